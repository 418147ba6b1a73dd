// The page: one screen at a time, a bar above it, and a run of sending now and then.

import * as db from "./db.js";
import * as people from "./people.js";
import { first } from "./screens.js";
import { run } from "./sync.js";
import { current, el, languages, loadWords, place, say, speak, t } from "./ui.js";

const BUSY_MS = 30_000;
const IDLE_MS = 600_000;
const RETRY_MS = 2_000;
const RETRY_MAX_MS = 60_000;
const LANGUAGE = "suyuan_language";

let leave = null;
let failures = 0;
let timer = 0;
let shown = null;

const app = { show, home: () => show(first), refresh: () => show(shown), send, tell };

// Shows a screen; what the last one holds, such as the camera, is let go.
async function show(screen) {
  leave?.();
  leave = null;
  shown = screen;
  const main = document.getElementById("main");
  const allowed = people.state() === "signed_on" ? screen : first;
  const children = await allowed(app);
  main.replaceChildren(...[children.nodes ?? children].flat().filter(Boolean));
  leave = children.leave ?? null;
  children.shown?.();
  window.scrollTo(0, 0);
  await bar();
}

async function bar() {
  const waiting = await db.waiting();
  const hours = Math.floor(people.leftMs() / 3_600_000);
  const left = hours >= 48 ? t("days", { count: Math.floor(hours / 24) }) : t("hours", { count: Math.max(0, hours) });
  const faults = (await db.faulty()).length + (await db.lostPhotos()).length;
  const other = languages().find((one) => one !== current());
  const state = waiting ? `▲ ${waiting} ${t("waiting")}` : `✔ ${t("synced")}`;
  const parts = [
    el("b", { class: "who" }, people.who()?.name ?? t("short")),
    el("span", { id: "state", class: waiting ? "open" : "good", data: { waiting } }, state),
    faults ? el("span", { class: "open" }, `! ${faults}`) : "",
    navigator.onLine ? "" : el("span", { class: "open" }, `! ${t("offline")}`),
    people.members().length ? el("span", {}, t("left", { left })) : "",
    el("button", { type: "button", class: "small", lang: other, on: { click: () => choose(other) } }, t("language")),
  ];
  document.getElementById("bar").replaceChildren(...parts.filter((one) => one !== ""));
}

function choose(language) {
  speak(language);
  localStorage.setItem(LANGUAGE, language);
  say("");
  app.refresh();
}

function tell(error) {
  const detail = error.detail ?? "";
  const key = error.reason ?? error.message;
  say(`✖ ${t(key, { detail })}`, "bad");
}

async function send({ quiet = false } = {}) {
  clearTimeout(timer);
  if (people.members().length) {
    if (!quiet) say(t("syncing"));
    const report = await run().catch((error) => ({ ended: "away", why: String(error), sent: 0, faulty: 0 }));
    place((await db.get("forms"))?.zone);
    failures = report.ended === "away" ? failures + 1 : 0;
    if (!quiet || report.sent) told(report);
    if (report.ended === "revoked") app.home();
    else await bar();
  }
  const jitter = 0.5 + Math.random() / 2;
  const again = failures ? Math.min(RETRY_MAX_MS, RETRY_MS * 2 ** failures) * jitter : null;
  timer = setTimeout(() => send({ quiet: true }), again ?? ((await db.waiting()) ? BUSY_MS : IDLE_MS));
}

function told(report) {
  if (report.ended === "nobody") say(`✖ ${t("sync_nobody")}`, "bad");
  else if (report.ended === "away") say(`⚠ ${t("sync_away")}`, "open");
  else if (report.ended === "revoked") say(`✖ ${t("revoked")}`, "bad");
  else if (report.faulty) say(`! ${t("sync_faulty", report)}`, "open");
  else say(`✔ ${t("sync_done", report)}`, "good");
}

async function start() {
  const cookie = /(?:^|; )suyuan_language=(\w+)/.exec(document.cookie)?.[1];
  await loadWords(localStorage.getItem(LANGUAGE) ?? cookie ?? document.documentElement.lang.slice(0, 2));
  speak(current());
  place((await db.get("forms"))?.zone);
  if (!window.isSecureContext) {
    document.getElementById("main").replaceChildren(el("p", { class: "verdict bad" }, t("insecure")));
    return;
  }
  await people.load();
  await navigator.storage?.persist?.();
  navigator.serviceWorker?.register("/hand/worker.js", { scope: "/hand" }).catch(tell);
  window.addEventListener("online", () => send({ quiet: true }));
  window.addEventListener("offline", bar);
  document.addEventListener("pointerdown", people.touch);
  document.addEventListener("keydown", people.touch);
  setInterval(() => (shown !== first && people.state() !== "signed_on" ? app.home() : bar()), 15_000);
  await app.home();
  await send({ quiet: true });
}

start().catch(tell);
