// Gives the service what was done, in batches, until each record has its word; fetches what is new.
// A batch that broke off is sent again, and the service knows what it has.

import * as db from "./db.js";
import * as people from "./people.js";

const RECORDS_MAX = 200;
const BYTES_MAX = 256 * 1024;
const SHEETS_MAX = 20_000;
const SHEETS_PAGE = 500;
const SHEETS_EACH_MS = 6 * 3_600_000;
const TIMEOUT_MS = 20_000;
const HALVED = ["bad_request", "too_large"];
const PHOTO_LOST = ["not_found", "too_large", "bad_hash", "bad_photo"];

export class Away extends Error {}

export async function ask(method, path, token, { json, body } = {}) {
  const headers = token ? { Authorization: `Bearer ${token}` } : {};
  if (json !== undefined) headers["Content-Type"] = "application/json";
  let answer;
  try {
    answer = await fetch(path, {
      method, headers, body: json ?? body, cache: "no-store", credentials: "omit",
      signal: AbortSignal.timeout(TIMEOUT_MS),
    });
  } catch (error) {
    throw new Away(String(error));
  }
  if (answer.ok) return answer;
  const problem = await answer.json().catch(() => ({}));
  if ([408, 429].includes(answer.status) || answer.status >= 500) throw new Away(problem.detail);
  throw new people.Refused((problem.type ?? "").split(":").pop() || `http_${answer.status}`, problem.detail);
}

async function read(answer) {
  const told = await answer.json().catch(() => null);
  if (told === null) throw new Away("not an answer of the service");
  return told;
}

export async function redeem(code, name, pin) {
  people.checkPin(pin);
  const json = JSON.stringify({ code, name: "phone" });
  await people.admit(await read(await ask("POST", "/api/v1/devices", "", { json })), name, pin);
}

export async function storeId() {
  let id = await db.get("store");
  if (!id) {
    id = people.hex(crypto.getRandomValues(new Uint8Array(16)));
    await db.set("store", id);
  }
  return id;
}

// One run, in one page of this phone at a time.
export function run() {
  return navigator.locks.request("suyuan-sync", { ifAvailable: true }, async (lock) =>
    lock ? once() : { ended: "running", sent: 0, faulty: 0 });
}

async function once() {
  const report = { ended: "done", sent: 0, faulty: 0 };
  try {
    const member = await reach();
    if (!member) return { ...report, ended: "nobody" };
    const store = await storeId();
    for (;;) {
      const rows = await db.unsettled(RECORDS_MAX, BYTES_MAX);
      if (!rows.length) break;
      const words = await send(member.token, store, rows);
      report.sent += words.length;
      report.faulty += words.filter((one) => ["conflict", "refused"].includes(one.outcome)).length;
    }
    await sendPhotos(member.token);
    await fetchNews(member.token);
  } catch (error) {
    if (error.reason === "device_revoked") {
      await people.revoke();
      return { ...report, ended: "revoked" };
    }
    if (!(error instanceof Away) && !error.reason) throw error;
    return { ...report, ended: "away", why: error.message };
  }
  return report;
}

// All people are asked for: any one's token that was revoked locks the phone, and each is renewed.
async function reach() {
  let known = null;
  const on = people.who();
  const order = [...people.members()].sort((one, other) => (other.id === on?.id) - (one.id === on?.id));
  for (const member of order.filter((one) => !one.out)) {
    try {
      const contact = await read(await ask("GET", "/api/v1/handheld", member.token));
      await people.answered(member, contact);
      if (contact.time >= member.renew_at) {
        await people.renewed(member, await read(await ask("POST", "/api/v1/devices/renew", member.token)));
      }
      known ??= member.id;
    } catch (error) {
      if (!["no_token", "forbidden"].includes(error.reason)) throw error;
      await people.shutOut(member);
    }
  }
  return known && people.known(known);
}

async function send(token, store, rows) {
  const json = `{"store":${JSON.stringify(store)},"records":[${rows.map((row) => row.body).join(",")}]}`;
  let told;
  try {
    told = await read(await ask("POST", "/api/v1/handheld/records", token, { json }));
  } catch (error) {
    if (!HALVED.includes(error.reason)) throw error;
    if (rows.length === 1) {
      const word = { number: rows[0].number, outcome: "refused", reason: error.reason, found: error.detail };
      await db.settle([word]);
      return [word];
    }
    const middle = rows.length >> 1;
    const first = await send(token, store, rows.slice(0, middle));
    return [...first, ...(await send(token, store, rows.slice(middle)))];
  }
  const sent = new Set(rows.map((row) => row.number));
  const words = (told.settled ?? []).filter((one) => sent.has(one.number));
  if (!words.length) throw new Away("the answer tells of none of the records");
  people.heard(told.time);
  await db.settle(words);
  return words;
}

async function sendPhotos(token) {
  for (const one of await db.unsentPhotos()) {
    try {
      await ask("PUT", `/api/v1/handheld/photos/${one.sha256}`, token, { body: one.raw });
      await db.photoSent(one.sha256);
    } catch (error) {
      if (!PHOTO_LOST.includes(error.reason)) throw error;
      await db.photoLost(one, error.reason);
    }
  }
}

async function optional(path, token) {
  try {
    return await read(await ask("GET", path, token));
  } catch (error) {
    if (["not_found", "forbidden"].includes(error.reason)) return null;
    throw error;
  }
}

async function fetchNews(token) {
  const rules = await optional("/api/v1/handheld/rules", token);
  if (rules) await db.set("rules", rules);
  const forms = await optional("/api/v1/handheld/forms", token);
  if (forms) await db.set("forms", forms);
  const at = (await db.get("sheets_at")) ?? 0;
  if (Math.abs(Date.now() - at) > SHEETS_EACH_MS) await fetchSheets(token);
}

// Keeps `most` sheets, and whether that was all.
export async function fetchSheets(token, most = SHEETS_MAX) {
  const all = [];
  const next = async (limit) => {
    const after = encodeURIComponent(all.at(-1)?.asset ?? "");
    return (await optional(`/api/v1/handheld/sheets?limit=${limit}&after=${after}`, token)) ?? [];
  };
  while (all.length < most) {
    const limit = Math.min(SHEETS_PAGE, most - all.length);
    const page = await next(limit);
    all.push(...page.map(indexed));
    if (page.length < limit) break;
  }
  const cut = all.length === most && (await next(1)).length > 0;
  await db.replaceSheets(all, cut);
}

function indexed(sheet) {
  const values = sheet.codes.map((code) => code.slice(code.indexOf(":") + 1));
  return { ...sheet, values, fetched_at: people.now().at };
}

// Asks for one cylinder, so that the newest counts; null: away, or not there.
export async function lookUp(text) {
  const member = people.who();
  if (!member || !navigator.onLine) return null;
  try {
    const found = await optional(`/api/v1/handheld/sheets?limit=2&text=${encodeURIComponent(text)}`, member.token);
    if (found?.length !== 1) return null;
    const sheet = indexed(found[0]);
    await db.putSheet(sheet);
    return sheet;
  } catch {
    return null;
  }
}

export async function changes(asset) {
  const member = people.who();
  if (!member || !navigator.onLine) return null;
  try {
    const code = encodeURIComponent(asset.slice(asset.indexOf(":") + 1));
    return await optional(`/api/v1/cylinders/${code}/history?limit=5`, member.token);
  } catch {
    return null;
  }
}
