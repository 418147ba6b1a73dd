// Counting times, announcing new alarms, the sound, and what went wrong with a click.
"use strict";

(() => {
  const ALARM_EACH_MS = 15000; // the sound comes again while an emergency waits for its answer
  const AGAIN_MS = 3000;
  const body = document.body;
  let ahead = 0; // the server's clock minus ours
  let known = null; // ids of the alarms that were on the page

  // --- times -------------------------------------------------------------------------------

  function span(ms) {
    const two = (number) => String(number).padStart(2, "0");
    let seconds = Math.max(0, Math.floor(ms / 1000));
    const days = Math.floor(seconds / 86400);
    seconds %= 86400;
    const hours = Math.floor(seconds / 3600);
    const minutes = Math.floor((seconds % 3600) / 60);
    if (days) return `${days}d ${two(hours)}:${two(minutes)}`;
    const rest = two(seconds % 60);
    return hours ? `${hours}:${two(minutes)}:${rest}` : `${minutes}:${rest}`;
  }

  function setClock(root) {
    const sign = root.matches?.("[data-now]") ? root : root.querySelector?.("[data-now]");
    if (sign) ahead = Number(sign.dataset.now) - Date.now();
  }

  const wall = new Intl.DateTimeFormat("zh-CN", {
    timeZone: body.dataset.zone, hour: "2-digit", minute: "2-digit", second: "2-digit",
    hourCycle: "h23",
  });

  function tick() {
    const now = Date.now() + ahead;
    for (const element of document.querySelectorAll("[data-since]")) {
      element.textContent = span(now - Number(element.dataset.since));
    }
    for (const element of document.querySelectorAll("[data-age]")) {
      element.textContent = span(now - Number(element.dataset.age));
    }
    document.getElementById("clock").textContent = wall.format(now);
  }

  // --- what is new -------------------------------------------------------------------------

  function cards() {
    return [...document.querySelectorAll("#open [data-alarm]")];
  }

  function look() {
    const shown = cards();
    const fresh = shown.filter((card) => known !== null && !known.has(card.dataset.alarm));
    known = new Set(shown.map((card) => card.dataset.alarm));
    for (const card of fresh) {
      card.classList.add("fresh");
      const words = card.querySelector(".tags .tag").textContent;
      const title = card.querySelector("h2").textContent.replace(/\s+/g, " ");
      const place = card.querySelector(".place").textContent;
      document.getElementById("announce").textContent = `${words}: ${title}, ${place}`;
    }
    if (fresh.some((card) => card.classList.contains("asks"))) ring();
    const count = document.querySelector("#open [data-asking]")?.dataset.asking;
    if (count !== undefined) {
      document.title = document.title.replace(/^(\(\d+\) )?/, Number(count) ? `(${count}) ` : "");
    }
  }

  // --- sound -------------------------------------------------------------------------------

  const button = document.getElementById("sound");
  let audio = null;

  function wantsSound() {
    return localStorage.getItem("suyuan-sound") === "on";
  }

  function showSound() {
    const on = wantsSound();
    button.setAttribute("aria-pressed", String(on));
    button.textContent = on ? body.dataset.textSoundOn : body.dataset.textSoundOff;
  }

  function ring() {
    if (!wantsSound()) return;
    audio ??= new AudioContext();
    audio.resume();
    [660, 880, 660].forEach((pitch, index) => {
      const tone = audio.createOscillator();
      const level = audio.createGain();
      const start = audio.currentTime + index * 0.35;
      tone.frequency.value = pitch;
      level.gain.setValueAtTime(0, start);
      level.gain.linearRampToValueAtTime(0.25, start + 0.04);
      level.gain.linearRampToValueAtTime(0, start + 0.3);
      tone.connect(level).connect(audio.destination);
      tone.start(start);
      tone.stop(start + 0.32);
    });
  }

  button.addEventListener("click", () => {
    localStorage.setItem("suyuan-sound", wantsSound() ? "off" : "on");
    showSound();
    ring();
  });

  setInterval(() => {
    if (document.querySelector("#open .card.emergency.asks")) ring();
  }, ALARM_EACH_MS);

  // --- htmx --------------------------------------------------------------------------------

  let hiding = 0;

  function tell(text) {
    const place = document.getElementById("problem");
    place.textContent = text;
    place.hidden = false;
    clearTimeout(hiding);
    hiding = setTimeout(() => { place.hidden = true; }, 8000);
  }

  document.addEventListener("htmx:afterSettle", (event) => {
    setClock(event.target);
    tick();
    if (event.target.id === "open") look();
  });
  // A list that could not be read is asked for again: a missed alarm must not stay missed.
  let again = 0;

  function mend(event) {
    const { elt, requestConfig } = event.detail;
    if (requestConfig?.verb === "post") htmx.trigger(body, "alarms-changed");
    else if (elt.id === "open" || elt.id === "recent") {
      clearTimeout(again);
      again = setTimeout(() => htmx.trigger(body, "alarms-changed"), AGAIN_MS);
    }
  }

  document.addEventListener("htmx:responseError", (event) => {
    const { xhr } = event.detail;
    if (xhr.status === 401) return; // the banner says so
    let text = `${xhr.status}`;
    try {
      text = JSON.parse(xhr.responseText).detail || text;
    } catch { /* no problem details: the number must do */ }
    tell(text);
    mend(event);
  });
  for (const name of ["htmx:sendError", "htmx:timeout"]) {
    document.addEventListener(name, (event) => {
      tell(body.dataset.textDown);
      mend(event);
    });
  }
  document.addEventListener("feed-open", () => htmx.trigger(body, "alarms-changed"));

  setClock(body);
  showSound();
  tick();
  look();
  setInterval(tick, 1000);
})();
