// Pages for telephones: refresh by themselves; what a glove pressed is kept until it is sent, once.
"use strict";

(() => {
  const EACH_MS = 5000;
  const RETRY_MS = 3000;
  const { token, base, textOffline, textKept, textRefused, textGone } = document.body.dataset;
  const KEPT = `suyuan-link-${token}`;
  const place = document.getElementById("link");
  const sign = document.getElementById("offline");
  let ahead = Number(document.body.dataset.now) - Date.now();
  let sending = false;
  let told = "";
  let over = false;

  function span(ms) {
    const seconds = Math.max(0, Math.floor(ms / 1000));
    const two = (number) => String(number).padStart(2, "0");
    const hours = Math.floor(seconds / 3600);
    const minutes = Math.floor((seconds % 3600) / 60);
    return hours ? `${hours}:${two(minutes)}:${two(seconds % 60)}` : `${minutes}:${two(seconds % 60)}`;
  }

  function tick() {
    const now = Date.now() + ahead;
    for (const one of document.querySelectorAll("[data-since]")) {
      one.textContent = span(now - Number(one.dataset.since));
    }
    for (const one of document.querySelectorAll("[data-until]")) {
      const left = Number(one.dataset.until) - now;
      one.textContent = left >= 0 ? span(left) : `+${span(-left)}`;
    }
  }

  // --- what was pressed --------------------------------------------------------------------

  function kept() {
    try {
      return JSON.parse(localStorage.getItem(KEPT)) ?? [];
    } catch {
      return [];
    }
  }

  function keep(list) {
    if (list.length) localStorage.setItem(KEPT, JSON.stringify(list));
    else localStorage.removeItem(KEPT);
    show();
  }

  function show(text = told) {
    told = text;
    const waiting = kept().length;
    sign.textContent = waiting && !sending ? textKept.replace("{count}", waiting) : text;
    sign.hidden = sign.textContent === "";
    for (const one of document.querySelectorAll("[data-mine]")) one.classList.toggle("waiting", waiting > 0);
  }

  function press(button) {
    const key = [...crypto.getRandomValues(new Uint8Array(12))].map((b) => b.toString(16).padStart(2, "0")).join("");
    const said = { verb: button.dataset.say, at: Date.now(), key };
    if (button.dataset.eta) said.eta_s = Number(button.dataset.eta);
    if (button.dataset.note) said.note = button.dataset.note;
    if (said.verb === "release") said.people = Number(document.getElementById("count").dataset.count);
    const list = kept().filter((one) => one.verb !== said.verb);
    keep([...list, said]);
    send();
  }

  async function send() {
    if (sending) return;
    sending = true;
    try {
      while (kept().length) {
        const { verb, ...said } = kept()[0];
        const body = JSON.stringify({ ...said, sent_at: Date.now() });
        const answer = await fetch(`${base}/${verb}`, {
          method: "POST", body, headers: { "Content-Type": "application/json" },
          signal: AbortSignal.timeout(10000),
        });
        if (answer.status >= 500 || answer.status === 429 || answer.status === 408) throw new Error("later");
        keep(kept().slice(1));
        await swap(answer);
        show(answer.ok ? "" : answer.status === 404 ? textGone : textRefused);
      }
    } catch {
      setTimeout(send, RETRY_MS); // no link: it stays kept, with the time at which it was pressed
    } finally {
      sending = false;
      show();
    }
  }

  // --- what it is now ------------------------------------------------------------------------

  async function swap(answer) {
    if (answer.status === 404) {
      over = true;
      if (!kept().length) location.reload();
      return;
    }
    if (!answer.ok && answer.status !== 409) return;
    const text = await answer.text();
    if (!(answer.headers.get("content-type") || "").startsWith("text/html")) return;
    place.replaceChildren(...new DOMParser().parseFromString(text, "text/html").body.childNodes);
    const now = place.querySelector("[data-now]");
    if (now) ahead = Number(now.dataset.now) - Date.now();
    tick();
    show();
  }

  async function refresh() {
    if (over || document.hidden || sending || kept().length || place.querySelector(".sure")) return;
    const count = document.getElementById("count")?.dataset.count;
    try {
      const answer = await fetch(`${base}/now`, { signal: AbortSignal.timeout(10000) });
      await swap(answer);
      const output = document.getElementById("count");
      if (output && count) output.textContent = output.dataset.count = count;
      show(answer.ok || answer.status === 409 ? (told === textOffline ? "" : told) : told);
    } catch {
      show(textOffline);
    }
  }

  document.addEventListener("click", (event) => {
    const button = event.target.closest("button");
    if (!button) return;
    const output = document.getElementById("count");
    if (output && ("less" in button.dataset || "more" in button.dataset)) {
      const by = "more" in button.dataset ? 1 : -1;
      output.textContent = output.dataset.count = Math.min(99, Math.max(0, Number(output.dataset.count) + by));
    }
    if (!button.dataset.say) return;
    if ("confirm" in button.dataset && !button.classList.contains("sure")) {
      button.classList.add("sure"); // a glove presses by mistake: once more within four seconds
      setTimeout(() => button.classList.remove("sure"), 4000);
      return;
    }
    press(button);
  });
  addEventListener("online", () => { send(); refresh(); });
  addEventListener("offline", () => show(textOffline));
  document.addEventListener("visibilitychange", refresh);
  setInterval(refresh, EACH_MS);
  setInterval(tick, 1000);
  tick();
  show();
  send();
})();
