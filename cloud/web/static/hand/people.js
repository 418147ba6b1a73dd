// Who works with this phone: several people, each let in once by a one-time code, then by a PIN.

import * as db from "./db.js";

const TRIES = 5;
const LOCK_FIRST_MS = 30_000;
const LOCK_MAX_MS = 15 * 60_000;
const IDLE_MS = 10 * 60_000;
const ROUNDS = 310_000;
const SET_BACK_MS = 120_000;

export class Refused extends Error {
  constructor(reason, detail = "") {
    super(reason);
    this.reason = reason;
    this.detail = detail;
  }
}

let kept = { members: [], contact_at: 0, grace_s: 0, revoked: false, organisation: "" };
let on = null;
let touched = 0;
let last = 0;
let heardAt = null;

export async function load() {
  kept = (await db.get("people")) ?? kept;
  last = (await db.get("time")) ?? 0;
}

// --- the time: the service's word counts; without it, it never goes back behind what was written

export function now() {
  const wall = Date.now();
  if (heardAt !== null) {
    last = Math.max(last, Math.round(heardAt.time + performance.now() - heardAt.at));
    return { at: last, source: "service" };
  }
  if (wall < last - SET_BACK_MS) return { at: last, source: "doubtful" };
  last = Math.max(wall, last);
  return { at: last, source: "device" };
}

export function heard(time) {
  heardAt = { time, at: performance.now() };
  last = time;
}

// --- people

export const members = () => kept.members;
export const contactAt = () => kept.contact_at;
export const organisation = () => kept.organisation;
export const leftMs = () => kept.contact_at + kept.grace_s * 1000 - now().at;
export const known = (id) => kept.members.find((one) => one.id === id);

export function who() {
  if (on !== null && Date.now() - touched > IDLE_MS) on = null;
  return kept.members.find((one) => one.id === on) ?? null;
}

export function touch() {
  if (who()) touched = Date.now();
}

export function state() {
  if (kept.revoked) return "revoked";
  if (!kept.members.length) return "empty";
  if (leftMs() <= 0) return "offline_too_long";
  return who() ? "signed_on" : "signed_off";
}

async function keep(change) {
  kept = { ...kept, ...change };
  await db.set("people", kept);
  await db.set("time", now().at);
}

const changed = (id, change) =>
  kept.members.map((one) => (one.id === id ? { ...one, ...change } : one));

async function hash(pin, salt) {
  const key = await crypto.subtle.importKey("raw", new TextEncoder().encode(pin), "PBKDF2", false, ["deriveBits"]);
  const how = { name: "PBKDF2", hash: "SHA-256", salt, iterations: ROUNDS };
  return hex(await crypto.subtle.deriveBits(how, key, 256));
}

export const hex = (buffer) =>
  Array.from(new Uint8Array(buffer), (byte) => byte.toString(16).padStart(2, "0")).join("");

export function checkPin(pin) {
  if (!/^[0-9]{4,8}$/.test(pin) || new Set(pin).size === 1) throw new Refused("bad_pin");
}

export async function admit(told, name, pin) {
  checkPin(pin);
  const salt = crypto.getRandomValues(new Uint8Array(16));
  const member = {
    id: told.id, name, token: told.token, renew_at: Date.parse(told.renew_at), salt,
    pin: await hash(pin, salt), failures: 0, locked_until: 0, out: false,
  };
  const others = kept.revoked ? [] : kept.members.filter((one) => !(one.out && one.name === name));
  await keep({
    members: [...others, member], revoked: false, grace_s: told.offline_grace_s, contact_at: now().at,
  });
  [on, touched] = [member.id, Date.now()];
}

// Proves a person by the PIN.
export async function prove(id, pin) {
  const member = known(id);
  if (!member || member.out) throw new Refused("person_out");
  const at = now().at;
  if (member.locked_until > at) {
    throw new Refused("pin_locked", String(Math.ceil((member.locked_until - at) / 1000)));
  }
  if ((await hash(pin, member.salt)) !== member.pin) {
    const failures = member.failures + 1;
    const beyond = failures - TRIES;
    const locked = beyond >= 0 ? at + Math.min(LOCK_MAX_MS, LOCK_FIRST_MS * 2 ** Math.min(beyond, 16)) : 0;
    await keep({ members: changed(id, { failures, locked_until: locked }) });
    throw new Refused("wrong_pin");
  }
  if (member.failures) await keep({ members: changed(id, { failures: 0, locked_until: 0 }) });
  return member;
}

export async function signOn(id, pin) {
  if (state() !== "signed_off") throw new Refused("not_now");
  await prove(id, pin);
  [on, touched] = [id, Date.now()];
}

export function signOff() {
  on = null;
}

// --- what the service says

export async function answered(member, contact) {
  heard(contact.time);
  await keep({
    members: changed(member.id, { name: contact.name || member.name }),
    contact_at: contact.time, grace_s: contact.offline_grace_s, organisation: contact.organisation,
  });
}

export const renewed = (member, told) =>
  keep({ members: changed(member.id, { token: told.token, renew_at: Date.parse(told.renew_at) }) });

export async function shutOut(member) {
  await keep({ members: changed(member.id, { out: true, token: "" }) });
  if (on === member.id) on = null;
}

export async function revoke() {
  on = null;
  await keep({ members: [], revoked: true, organisation: "" });
  await db.clearSheets();
}

// Writes what was done as a record; durable when it resolves.
export async function record(what, also) {
  const person = who();
  if (!person || state() !== "signed_on") throw new Refused("not_now");
  const time = now();
  const made = (number) => ({
    number, observed_at: time.at, time_source: time.source, person: person.id,
    known_at: kept.contact_at, what,
  });
  return db.append(made, { ...also, keep: { time: time.at, ...also?.keep } });
}
