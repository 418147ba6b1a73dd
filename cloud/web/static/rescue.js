// The rescue desk: clocks that run to a deadline, updates that come together, sound, keys.
"use strict";

(() => {
  const EACH_MS = 250; // at most four updates a second, however many items the feed brings
  const RING_MS = 5000; // the sound comes again until somebody has taken the rescue up
  const TONES = {
    emergency: [[660, 0.28], [880, 0.28], [660, 0.28], [880, 0.28]],
    overdue: [[330, 0.45], [294, 0.6]],
    drill: [[523, 0.5]],
  };
  const body = document.body;
  let ahead = 0; // the server's clock minus ours

  // --- clocks ------------------------------------------------------------------------------

  function span(ms) {
    const two = (number) => String(number).padStart(2, "0");
    const seconds = Math.max(0, Math.floor(ms / 1000));
    const hours = Math.floor(seconds / 3600);
    const minutes = Math.floor((seconds % 3600) / 60);
    return hours ? `${hours}:${two(minutes)}:${two(seconds % 60)}` : `${minutes}:${two(seconds % 60)}`;
  }

  function setClock(root) {
    const signs = [...(root.querySelectorAll?.("[data-now]") ?? [])];
    const sign = signs.pop() ?? (root.matches?.("[data-now]") ? root : null);
    if (sign) ahead = Number(sign.dataset.now) - Date.now();
  }

  function tick() {
    const now = Date.now() + ahead;
    for (const element of document.querySelectorAll("[data-until]")) {
      const left = Number(element.dataset.until) - now;
      element.textContent = left >= 0 ? span(left) : `+${span(-left)}`;
      element.classList.toggle("over", left < 0);
      element.classList.toggle("soon", left >= 0 && left <= Number(element.dataset.soon || 30000));
    }
  }

  // --- updates that come together -------------------------------------------------------------

  const dirty = new Set();
  let last = 0;
  let waiting = 0;

  function refresh() {
    waiting = 0;
    last = performance.now();
    for (const element of dirty) if (element.isConnected) htmx.trigger(element, "refresh");
    dirty.clear();
  }

  function mark(element) {
    dirty.add(element);
    if (!waiting) waiting = setTimeout(refresh, Math.max(0, EACH_MS - (performance.now() - last)));
  }

  function markAll() {
    for (const element of document.querySelectorAll("[data-refresh]")) mark(element);
  }

  document.addEventListener("feed-item", (event) => {
    const { name, data } = event.detail;
    if (name !== "incident") return;
    let id = null;
    try {
      id = String(JSON.parse(data).id);
    } catch { /* an item that cannot be read still says that something changed */ }
    for (const element of document.querySelectorAll('[data-refresh="incident"]')) {
      const only = element.dataset.only;
      if (!only || id === null || only === id) mark(element);
    }
  });
  document.addEventListener("feed-open", markAll);
  for (const name of ["htmx:sendError", "htmx:timeout", "htmx:responseError"]) {
    document.addEventListener(name, (event) => {
      if (event.detail.elt?.matches?.("[data-refresh]")) setTimeout(markAll, 3000);
    });
  }

  // What a form was refused with is shown where it was sent from.
  document.addEventListener("htmx:beforeSwap", (event) => {
    const { xhr, target } = event.detail;
    const html = (xhr.getResponseHeader("content-type") || "").startsWith("text/html");
    if (html && ["course", "new-link"].includes(target.id) && [400, 403, 409, 503].includes(xhr.status)) {
      event.detail.shouldSwap = true;
      event.detail.isError = false;
    }
  });

  // --- what was open and chosen stays so when the page changes under one's hands ----------------

  let chosen = null;
  let opened = [];
  let kept = [];
  let focused = null;

  function isTouched(one) {
    if (one.type === "radio") return one.checked && !one.defaultChecked;
    if (one.type === "checkbox") return one.checked !== one.defaultChecked;
    if (one.options) return [...one.options].some((option) => option.selected !== option.defaultSelected);
    return one.value !== one.defaultValue;
  }

  function place(one) {
    return { action: one.closest("form")?.getAttribute("action"), name: one.name, value: one.value };
  }

  document.addEventListener("htmx:beforeSwap", (event) => {
    const { target, xhr, requestConfig } = event.detail;
    const taken = requestConfig?.verb === "post" && xhr.status < 400;
    const sent = taken ? requestConfig.elt?.closest?.("form")?.getAttribute("action") : null;
    opened = [...target.querySelectorAll("details[open]")].map((one) => one.id).filter(Boolean);
    kept = [...target.querySelectorAll("input:not([type=hidden]), textarea, select")]
      .filter(isTouched).map((one) => ({ ...place(one), checked: one.checked }))
      .filter((one) => one.action && one.action !== sent);
    const active = document.activeElement;
    focused = active?.name && target.contains(active) && place(active).action !== sent
      ? { ...place(active), radio: active.type === "radio", start: active.selectionStart, end: active.selectionEnd } : null;
  });
  function openAgain(target) {
    for (const id of opened) {
      const one = target.querySelector?.(`#${CSS.escape(id)}`);
      if (one) one.open = true;
    }
  }

  // At once: a moment later somebody may have typed on.
  document.addEventListener("htmx:afterSwap", (event) => {
    openAgain(event.target);
    const fields = (one) => event.target.querySelectorAll?.(
      `form[action="${CSS.escape(one.action)}"] [name="${CSS.escape(one.name)}"]`) ?? [];
    for (const one of kept) {
      for (const field of fields(one)) {
        if (field.type === "radio") field.checked = field.value === one.value || field.checked;
        else if (field.type === "checkbox") field.checked = one.checked;
        else if (!field.options || [...field.options].some((option) => option.value === one.value)) field.value = one.value;
      }
    }
    const field = focused && [...fields(focused)].find((one) => !focused.radio || one.value === focused.value);
    if (field) {
      field.focus({ preventScroll: true });
      if (focused.start !== null && focused.start !== undefined) field.setSelectionRange?.(focused.start, focused.end);
    }
    kept = [];
    focused = null;
  });
  document.addEventListener("htmx:afterSettle", (event) => {
    openAgain(event.target);
    opened = [];
    setClock(event.target);
    tick();
    choose(chosen, false);
    look();
  });

  // --- sound -----------------------------------------------------------------------------------

  const mute = document.getElementById("mute");
  let audio = null;
  let known = null;
  let rang = 0;

  function isMuted() {
    return localStorage.getItem("suyuan-rescue-muted") === "yes";
  }

  function showMute() {
    if (!mute) return;
    const blocked = !isMuted() && (!audio || audio.state !== "running");
    mute.classList.toggle("muted", isMuted());
    mute.classList.toggle("blocked", blocked);
    const { textOn, textMuted, textBlocked } = mute.dataset;
    mute.textContent = isMuted() ? textMuted : blocked ? textBlocked : textOn;
  }

  function unlock() {
    audio ??= new AudioContext();
    if (audio.state === "running") return;
    audio.resume().then(showMute, () => {});
  }

  function play(tone) {
    if (isMuted() || !TONES[tone] || !mute) return;
    unlock();
    rang = performance.now();
    body.dataset.rang = tone; // what was played last, also for a screen without loudspeakers
    let start = audio.currentTime + 0.02;
    for (const [pitch, length] of TONES[tone]) {
      const sound = audio.createOscillator();
      const level = audio.createGain();
      sound.type = tone === "emergency" ? "triangle" : "sine";
      sound.frequency.value = pitch;
      level.gain.setValueAtTime(0, start);
      level.gain.linearRampToValueAtTime(0.35, start + 0.03);
      level.gain.linearRampToValueAtTime(0, start + length);
      sound.connect(level).connect(audio.destination);
      sound.start(start);
      sound.stop(start + length + 0.02);
      start += length + 0.05;
    }
  }

  function worst() {
    for (const tone of Object.keys(TONES)) {
      if (document.querySelector(`[data-tone="${tone}"]`)) return tone;
    }
    return null;
  }

  function look() {
    const rows = [...document.querySelectorAll("#board [data-incident]")];
    if (!document.getElementById("board")) return;
    const fresh = rows.filter((row) => known !== null && !known.has(row.dataset.incident));
    known = new Set(rows.map((row) => row.dataset.incident));
    for (const row of fresh.slice(0, 5)) {
      row.classList.add("fresh");
      document.getElementById("announce").textContent = row.innerText.replace(/\s+/g, " ");
    }
    const loud = fresh.find((row) => row.dataset.tone);
    if (loud) play(loud.dataset.tone);
    const asking = document.querySelector("#board [data-asking]")?.dataset.asking;
    if (asking !== undefined) {
      document.title = document.title.replace(/^(\(\d+\) )?/, Number(asking) ? `(${asking}) ` : "");
    }
  }

  setInterval(() => {
    const tone = worst();
    if (tone && performance.now() - rang >= RING_MS - 100) play(tone);
    showMute();
  }, RING_MS);

  function toggleMute() {
    localStorage.setItem("suyuan-rescue-muted", isMuted() ? "no" : "yes");
    unlock();
    showMute();
  }

  mute?.addEventListener("click", toggleMute);
  for (const name of ["pointerdown", "keydown"]) document.addEventListener(name, unlock, { once: true });

  // --- keys ------------------------------------------------------------------------------------

  function rows() {
    return [...document.querySelectorAll("#incidents tbody tr")];
  }

  function choose(id, scroll = true) {
    const all = rows();
    if (!all.length) return;
    const row = all.find((one) => one.dataset.incident === id) ?? (id === null ? null : all[0]);
    for (const one of all) one.classList.toggle("chosen", one === row);
    if (!row) return;
    chosen = row.dataset.incident;
    if (scroll) row.scrollIntoView({ block: "nearest" });
  }

  function step(by) {
    const all = rows();
    if (!all.length) return;
    const at = all.findIndex((one) => one.dataset.incident === chosen);
    const next = at < 0 ? (by > 0 ? 0 : all.length - 1) : Math.min(all.length - 1, Math.max(0, at + by));
    choose(all[next].dataset.incident);
  }

  function openVerb(key) {
    const first = document.querySelector(`form[data-first][data-key="${CSS.escape(key)}"]`);
    const folded = document.querySelector(`details[data-key="${CSS.escape(key)}"]`);
    if (folded) folded.open = true;
    const form = first ?? folded?.querySelector("form");
    if (!form) return false;
    const fields = "input:not([type=hidden]), select, textarea";
    const field = form.querySelector("input:checked") ?? form.querySelector(fields);
    (field ?? form.querySelector("button")).focus();
    form.scrollIntoView({ block: "nearest" });
    return true;
  }

  const VERBS = {};
  for (const one of document.querySelectorAll("#help .keys dt")) {
    VERBS[one.textContent.trim().toLowerCase()] = true;
  }

  function onControl(target) {
    const control = target.closest("a, button");
    return control && !control.closest("dialog:not([open])"); // a closed one may have the focus still
  }

  function onList(event) {
    if (event.key === "ArrowDown") step(1);
    else if (event.key === "ArrowUp") step(-1);
    else if (event.key === "Home") choose(rows()[0]?.dataset.incident ?? null);
    else if (event.key === "End") choose(rows().at(-1)?.dataset.incident ?? null);
    else if (event.key === "Enter" && chosen && !onControl(event.target)) {
      location.href = `/rescue/${chosen}`;
    } else if (chosen && event.key.length === 1 && VERBS[event.key.toLowerCase()]) {
      location.href = `/rescue/${chosen}#key-${event.key.toLowerCase()}`;
    } else return;
    event.preventDefault();
  }

  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.altKey || event.metaKey || event.isComposing) return;
    const typing = event.target.closest("input:not([type=radio]):not([type=checkbox]), select, textarea");
    const help = document.getElementById("help");
    if (event.key === "Escape") {
      if (help?.open) return; // the browser closes it
      if (typing) typing.blur();
      else if (body.dataset.page === "rescue" && location.pathname !== "/rescue") location.href = "/rescue";
      return;
    }
    if (typing || help?.open) return;
    const key = event.key.toLowerCase();
    if (key === "?" && help) help.showModal();
    else if (key === "m" && mute) toggleMute();
    else if (key === "o" && document.querySelector("[data-key=o]")) location.href = "/rescue/call";
    else if (key === " " && !event.target.closest("button, a, summary, input")) {
      document.querySelector("form[data-first] button")?.focus();
    } else if (document.getElementById("incidents")) return onList(event);
    else if (key.length !== 1 || !openVerb(key)) return;
    event.preventDefault();
  });

  document.addEventListener("click", (event) => {
    const row = event.target.closest("#incidents tbody tr");
    if (row) choose(row.dataset.incident, false);
    if (event.target.closest("[data-open-help]")) document.getElementById("help")?.showModal();
    if (event.target.closest("[data-print]")) window.print();
    // The lift is chosen on another page: what was typed goes along.
    const carry = event.target.closest("[data-carry]");
    const typed = carry && document.querySelector(".call-form");
    if (typed) {
      const address = new URL(carry.href);
      for (const name of ["people", "caller_name", "caller_phone", "note", "call"]) {
        const value = typed.elements[name]?.value;
        if (value) address.searchParams.set(name, value);
      }
      carry.href = address.href;
    }
    const copy = event.target.closest("[data-copy]");
    if (copy) {
      const text = document.getElementById(copy.dataset.copy);
      text.select();
      navigator.clipboard?.writeText(text.value).catch(() => document.execCommand("copy"));
    }
  });
  document.addEventListener("dblclick", (event) => {
    const row = event.target.closest("#incidents tbody tr");
    if (row) location.href = row.dataset.href;
  });
  for (const field of document.querySelectorAll(".code-input, .digits")) {
    field.addEventListener("input", () => { field.value = field.value.replace(/\D/g, ""); });
  }

  setClock(body);
  if (body.dataset.now && !document.querySelector("main [data-now]")) {
    ahead = Number(body.dataset.now) - Date.now();
  }
  tick();
  setInterval(tick, 500);
  look();
  showMute();
  if (worst()) play(worst());
  if (location.hash.startsWith("#key-")) openVerb(location.hash.slice(5));
})();
