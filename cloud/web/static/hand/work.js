// The work as pure steps: nothing here touches the page, the disk or the clock.

const UID = /^(?:[0-9A-F]{8}|[0-9A-F]{14}|[0-9A-F]{16}|[0-9A-F]{20})$/;
const ASSET = /^cylinder:[A-Za-z0-9._-]{1,64}$/;
const LINK = /^https?:\/\/[^/?#@\\]+(?:\/[^?#]*)?\/id\/cylinder\/([A-Za-z0-9._-]{1,64})\/?(?:[?#].*)?$/i;
const HOUR_MS = 3_600_000;
export const COUNT_MAX = 100;

export function asUid(text) {
  const plain = text.trim().toUpperCase().replaceAll(":", "").replaceAll(" ", "");
  return UID.test(plain) ? plain : null;
}

// The asset id of a text that is, or that somebody says is, a cylinder's code; null: it is none.
export function asCylinder(text) {
  const plain = text.trim();
  const link = LINK.exec(plain);
  const code = link ? link[1] : plain;
  const asset = code.startsWith("cylinder:") ? code : `cylinder:${code}`;
  return ASSET.test(asset) ? asset : null;
}

// The day of a time where the service counts days, whatever zone the phone is set to.
export function day(ms, zone) {
  const format = { timeZone: zone, year: "numeric", month: "2-digit", day: "2-digit" };
  const parts = new Intl.DateTimeFormat("en", format).formatToParts(ms);
  const piece = (type) => parts.find((one) => one.type === type).value;
  return `${piece("year")}-${piece("month")}-${piece("day")}`;
}

// The verdict of a sheet for a time: that of its day, and what the age of the sheet adds.
export function verdict(sheet, time, rules, zone) {
  if (!sheet) return { decision: "cannot_decide", reasons: [{ reason: "code_unknown", found: "" }] };
  const today = day(time.at, zone);
  const stretch = sheet.verdicts.filter((one) => one.since <= today).at(-1);
  const reasons = [...(stretch?.reasons ?? [])];
  const age = time.at - sheet.fetched_at;
  const { term_h: term, grace_h: grace } = rules.snapshot;
  if (time.source === "doubtful") reasons.push({ reason: "clock_set_back", found: "" });
  if (!stretch || age > (term + grace) * HOUR_MS) reasons.push({ reason: "snapshot_expired", found: "" });
  else if (age > term * HOUR_MS) reasons.push({ reason: "snapshot_ageing", found: "" });
  const kinds = new Set(reasons.map((one) => rules.reasons.find((rule) => rule.id === one.reason)?.decision));
  const decision = kinds.has("do_not_fill") ? "do_not_fill" : reasons.length ? "cannot_decide" : "fill";
  return { decision, reasons };
}

export function outcome(form, findings) {
  const found = form.findings.filter((one) => findings.includes(one.code)).map((one) => one.severity);
  if (found.includes("stop")) return "stopped";
  return found.includes("instruct") ? "instructed" : "passed";
}

export function dueOn(form, calendar, ms, zone) {
  const date = new Date(day(ms, zone));
  const name = () => date.toISOString().slice(0, 10);
  for (let left = form.recheck_working_days; left > 0;) {
    date.setUTCDate(date.getUTCDate() + 1);
    const weekday = date.getUTCDay() % 6 !== 0;
    if (calendar.working_weekends.includes(name()) || (weekday && !calendar.holidays.includes(name()))) left -= 1;
  }
  return name();
}

// What the inspectors sign: all of an inspection but the signatures, its keys in this order.
export function inspection(draft) {
  const result = outcome(draft.form, draft.findings);
  return {
    type: "inspection", asset: draft.asset, form: draft.form.id, outcome: result,
    findings: draft.findings.map((code) => ({ code, note: "" })),
    instruction: result === "passed" ? null : draft.instruction,
    photos: draft.photos.map(({ file, sha256, size_bytes }) => ({ file, sha256, size_bytes })),
    position: draft.position, recheck_of: draft.recheck_of, signatures: [],
  };
}

export function shelf(seen, expected) {
  const found = seen.filter((one) => expected.includes(one));
  const unexpected = seen.filter((one) => !expected.includes(one));
  const missing = expected.filter((one) => !seen.includes(one)).sort();
  return { found, missing, unexpected };
}

// The records of a count, as many as it takes; at least one.
export function counts(place, seen, expected) {
  const parts = shelf(seen, expected);
  const most = Math.max(1, ...Object.values(parts).map((one) => Math.ceil(one.length / COUNT_MAX)));
  return Array.from({ length: most }, (_, number) => ({
    type: "count", place,
    ...Object.fromEntries(Object.entries(parts).map(([name, all]) =>
      [name, all.slice(number * COUNT_MAX, (number + 1) * COUNT_MAX)])),
  }));
}
