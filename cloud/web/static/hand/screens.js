// The screens. Each returns its nodes, and what is to be let go when it is left.

import * as camera from "./camera.js";
import * as db from "./db.js";
import * as people from "./people.js";
import { changes, lookUp, redeem, storeId } from "./sync.js";
import { banner, button, el, facts, has, moment, say, t, title } from "./ui.js";
import * as work from "./work.js";

const short = (asset) => asset.slice(asset.indexOf(":") + 1);

// Runs what a button does; what is refused is said.
const act = (app, does) => async (event) => {
  event?.preventDefault?.();
  try {
    say("");
    await does(event);
  } catch (error) {
    app.tell(error);
  }
};

const field = (key, options = {}) => {
  const input = el("input", { id: key, autocomplete: "off", ...options });
  return { input, node: el("label", { htmlFor: key }, t(key), input) };
};

const back = (app) => button("back", app.home, { kind: "plain" });

// --- who is it? -----------------------------------------------------------------------------------

export async function first(app) {
  const state = people.state();
  if (state === "signed_on") return home(app);
  const fresh = button("new_person", () => open(app, newPerson(app)), { kind: "plain" });
  const nodes = [el("h1", {}, t("title"))];
  if (["empty", "revoked", "offline_too_long"].includes(state)) nodes.push(el("p", { class: "verdict bad" }, t(state)));
  if (state === "offline_too_long") nodes.push(button("send", () => app.send().then(app.home)));
  if (state === "signed_off") {
    nodes.push(el("h2", {}, t("sign_on")));
    for (const one of people.members()) {
      const text = one.out ? `${one.name} ✖ ${t("person_out")}` : one.name;
      nodes.push(button("person", () => askPin(app, one), { text, disabled: one.out }));
    }
  }
  return [...nodes, fresh];
}
// the first screen stands for itself: it may be shown to anybody
const open = (app, nodes) => {
  document.getElementById("main").replaceChildren(...nodes);
  nodes[0].querySelector?.("input")?.focus();
};

function askPin(app, member, done) {
  const { input, node } = field("pin", { type: "password", inputMode: "numeric", maxLength: 8 });
  const sign = async () => {
    if (done) await done(input.value);
    else await people.signOn(member.id, input.value);
    if (!done) await app.home();
  };
  const form = el("form", { on: { submit: act(app, sign) } }, el("h2", {}, member.name), node,
    button("enter", () => form.requestSubmit(), { kind: "go" }), back(app));
  open(app, [form]);
}

function newPerson(app) {
  const code = field("code", { autocapitalize: "characters" });
  const name = field("name", { maxLength: 40 });
  const pin = field("pin_new", { type: "password", inputMode: "numeric", maxLength: 8 });
  const again = field("pin_again", { type: "password", inputMode: "numeric", maxLength: 8 });
  const admit = async () => {
    if (pin.input.value !== again.input.value) throw new people.Refused("pin_differs");
    await redeem(code.input.value.trim(), name.input.value.trim(), pin.input.value);
    await app.send({ quiet: true });
    await app.home();
  };
  const form = el("form", { on: { submit: act(app, admit) } }, el("h2", {}, t("new_person")),
    code.node, name.node, pin.node, again.node,
    button("enter", () => form.requestSubmit(), { kind: "go" }), back(app));
  return [form];
}

// --- scanning -------------------------------------------------------------------------------------

// A place to scan: camera, tag, or typed. `seen` gets the text of each code.
function scanner(app, seen) {
  const video = el("video", { hidden: true, muted: true });
  const typed = field("typed", { enterKeyHint: "go", autocapitalize: "off", spellcheck: false });
  let stops = [];
  const take = act(app, (event) => seen(event.text));
  const heard = (text) => take({ text });
  const look = act(app, async () => {
    video.hidden = false;
    stops.push(await camera.watch(video, (text) => { navigator.vibrate?.(80); heard(text); }));
    start.hidden = true;
  });
  const start = button("camera", look, { kind: "go" });
  const nfc = button("nfc", act(app, async () => {
    stops.push(await camera.listenNfc(heard));
    nfc.disabled = true;
    nfc.textContent = t("nfc_hold");
  }));
  const form = el("form", { class: "typed", on: { submit: act(app, async () => {
    const text = typed.input.value.trim();
    typed.input.value = "";
    if (text) await seen(text);
  }) } }, typed.node, button("ok", () => form.requestSubmit()));
  const node = el("section", { class: "scanner" }, video,
    camera.hasCamera() ? start : "", camera.hasNfc() ? nfc : "", form);
  return { node, look, leave: () => { for (const stop of stops) stop(); stops = []; } };
}

async function home(app) {
  const scan = scanner(app, (text) => app.show(() => lookAt(app, text)));
  const faults = (await db.faulty()).length + (await db.lostPhotos()).length;
  const doubtful = people.now().source === "doubtful";
  const menu = el("nav", {},
    button("inspect", () => app.show(() => pick(app, "inspect_scan", (asset) => chooseForm(app, asset)))),
    button("count", () => app.show(() => countPlace(app))),
    button("tag", () => app.show(() => pick(app, "tag_scan", (asset) => newTag(app, asset)))),
    button("answers", () => app.show(() => answers(app)), { text: `${t("answers")} (${faults})`, kind: faults ? "open" : "" }),
    button("send", () => app.send().then(app.home)),
    button("sign_off", () => { people.signOff(); app.home(); }, { kind: "plain" }));
  const cut = await db.get("sheets_cut");
  const known = el("p", { class: cut ? "open" : "quiet", data: { cut: cut ? 1 : 0 } },
    t(cut ? "known_cut" : "known", { count: await db.sheets() }));
  return {
    nodes: [doubtful ? el("p", { class: "verdict open" }, t("clock_doubtful")) : "", scan.node, menu, known],
    leave: scan.leave,
  };
}

// What a text is: a tag by what the phone knows, a code, or a cylinder's number.
async function identify(text) {
  const uid = work.asUid(text);
  const asset = work.asCylinder(text);
  const plain = asset ? short(asset) : text.trim();
  let sheet = asset ? await db.sheet(asset) : null;
  for (const value of uid ? [uid, plain] : [plain]) {
    const found = sheet ? [] : await db.sheetOf(value);
    if (found.length === 1) sheet = found[0];
  }
  sheet = (await lookUp(sheet ? sheet.asset : uid ?? plain)) ?? sheet;
  if (sheet) return { text, asset: sheet.asset, sheet, uid };
  return { text, asset: uid && uid !== plain ? null : asset, sheet: null, uid };
}

async function judged(sheet) {
  const [rules, forms] = [await db.get("rules"), await db.get("forms")];
  return { rules, verdict: rules && forms ? work.verdict(sheet, people.now(), rules, forms.zone) : null };
}

async function lookAt(app, text) {
  const found = await identify(text);
  const { rules, verdict } = await judged(found.sheet);
  const told = found.asset ? verdict : null;
  await people.record({
    type: "scan", text: found.text, asset: found.asset, decision: told?.decision ?? null,
    reasons: [...new Set(told?.reasons.map((one) => one.reason) ?? [])], rules_version: found.sheet?.rules_version ?? "",
  });
  const scan = scanner(app, (next) => app.show(() => lookAt(app, next)));
  const nodes = found.asset
    ? [told ? banner(told.decision) : el("p", { class: "verdict open" }, t("no_rules")), reasons(told, rules),
      el("h2", {}, short(found.asset)), ...sheetFacts(found.sheet, rules), await past(found.asset),
      button("inspect", () => app.show(() => chooseForm(app, found.asset))),
      button("tag", () => app.show(() => newTag(app, found.asset)))]
    : [el("p", { class: "verdict open" }, t(found.uid ? "tag_unknown" : "not_cylinder")), el("code", {}, text)];
  return { nodes: [...nodes, scan.node, back(app)], leave: scan.leave };
}

function reasons(told, rules) {
  return el("ul", { class: "reasons" }, (told?.reasons ?? []).map((one) => {
    const rule = rules.reasons.find((each) => each.id === one.reason);
    const name = rule ? title(rule) : one.reason;
    return el("li", { class: rule?.decision ?? "", data: { reason: one.reason } }, el("b", {}, one.found ? `${name}: ${one.found}` : name),
      rule?.do ? el("small", {}, title(rule, "do")) : "");
  }));
}

function sheetFacts(sheet, rules) {
  if (!sheet) return [el("p", {}, t("unknown"))];
  const named = (all, id) => title(all?.find((one) => one.id === id) ?? { id });
  return [facts([
    ["kind", named(rules?.kinds, sheet.kind)], ["gas", named(rules?.gases, sheet.gas)], ["filler", sheet.filler],
    ["made", sheet.manufactured_on], ["inspected", sheet.inspected_on], ["due", sheet.due_on],
    ["life", sheet.life_ends_on], ["filled", sheet.last_filled_on],
    ["limit", sheet.limit_kg ? `${sheet.limit_kg} kg` : null], ["as_of", moment(sheet.fetched_at)],
  ])];
}

async function past(asset) {
  const here = (await db.history(asset)).map((row) => {
    const { what, observed_at: at } = JSON.parse(row.body);
    const mark = row.word ? (["taken", "known"].includes(row.word.outcome) ? "✔" : "!") : "…";
    return el("li", {}, `${mark} ${moment(at)} ${t(`did_${what.type}`)} ${what.outcome ? t(what.outcome) : ""}`);
  });
  const there = ((await changes(asset)) ?? []).map((one) => {
    const key = `change_${one.what}`;
    return el("li", {}, `${moment(Date.parse(one.recorded_at))} ${has(key) ? t(key) : one.what}`);
  });
  const part = (key, all) => (all.length ? [el("h3", {}, t(key)), el("ul", { class: "past" }, all)] : []);
  return el("section", { class: "history" }, part("history_here", here), part("history_there", there));
}

// Asks for a cylinder by scanning it.
function pick(app, key, chosen) {
  const scan = scanner(app, async (text) => {
    const found = await identify(text);
    if (!found.asset) throw new people.Refused("not_cylinder");
    await app.show(() => chosen(found.asset));
  });
  return { nodes: [el("h2", {}, t(key)), scan.node, back(app)], leave: scan.leave };
}

// --- inspection -----------------------------------------------------------------------------------

async function chooseForm(app, asset) {
  const known = (await db.get("forms"))?.forms.filter((one) => one.of === "cylinder") ?? [];
  if (!known.length) return [el("p", { class: "verdict open" }, t("no_forms")), back(app)];
  const draft = { asset, form: known[0], findings: [], instruction: null, photos: [], position: null,
    recheck_of: await recheck(asset), signatures: [] };
  if (known.length === 1) return inspect(app, draft);
  return [el("h2", {}, t("choose_form")), ...known.map((form) =>
    button("form", () => app.show(() => inspect(app, { ...draft, form })), { text: title(form) }))];
}

// The newest inspection made here that wanted something put right is looked at again.
async function recheck(asset) {
  for (const row of await db.history(asset)) {
    const { number, what } = JSON.parse(row.body);
    if (what.type === "inspection") return what.outcome === "passed" ? null : `${await storeId()}:${number}`;
  }
  return null;
}

function inspect(app, draft) {
  const again = (change) => app.show(() => inspect(app, { ...draft, signatures: [], ...change }));
  const result = work.outcome(draft.form, draft.findings);
  const rows = draft.form.findings.map((one) => {
    const there = draft.findings.includes(one.code);
    const findings = there ? draft.findings.filter((code) => code !== one.code) : [...draft.findings, one.code];
    return button("finding", () => again({ findings }), {
      text: `${there ? "■" : "□"} ${title(one)}`, kind: there ? `tick ${one.severity}` : "tick",
      ariaPressed: String(there), title: one.code,
    });
  });
  const camera_ = el("input", { type: "file", id: "photo", accept: "image/*", capture: "environment", hidden: true,
    on: { change: act(app, async () => {
      const one = await camera.picture(camera_.files[0], people.hex);
      const known = draft.photos.some((each) => each.sha256 === one.sha256) || draft.photos.length >= 16;
      if (!known) await again({ photos: [...draft.photos, one] });
    }) } });
  const where = act(app, async () => again({ position: await camera.position() }));
  return [
    banner(result), el("h2", {}, short(draft.asset)),
    draft.recheck_of ? el("p", {}, t("recheck", { number: draft.recheck_of.split(":")[1] })) : "",
    el("div", { class: "ticks" }, rows),
    result === "passed" ? "" : instruction(app, draft, again),
    camera_,
    button("photo", () => camera_.click(), { text: `${t("photo")} (${draft.photos.length})` }),
    button("position", where, { text: `${t("position")} ${draft.position ? "✔" : ""}` }),
    button("sign", act(app, () => sign(app, draft)),
      { kind: "go", text: `${t("sign")} (${draft.signatures.length}/${draft.form.inspectors})` }),
    back(app),
  ];
}

function instruction(app, draft, again) {
  const area = el("textarea", { id: "instruction", rows: 3, maxLength: 500, value: draft.instruction?.text ?? "",
    on: { change: act(app, async () => {
      const { calendar, zone } = await db.get("forms");
      const text = area.value.trim();
      const due_on = work.dueOn(draft.form, calendar, people.now().at, zone);
      await again({ instruction: text ? { text, due_on } : null });
    }) } });
  const due = draft.instruction ? el("p", {}, t("due_on", { day: draft.instruction.due_on })) : "";
  return el("label", { htmlFor: "instruction" }, t("instruction"), area, due);
}

async function sign(app, draft) {
  const bare = work.inspection(draft);
  if (bare.outcome !== "passed" && !bare.instruction) throw new people.Refused("not_ready");
  const signed = draft.signatures.map((one) => one.person);
  const left = people.members().filter((one) => !one.out && !signed.includes(one.id));
  const nodes = left.map((one) => button("person", () => askPin(app, one, async (pin) => {
    await people.prove(one.id, pin);
    const raw = new TextEncoder().encode(JSON.stringify(bare));
    const sha256 = people.hex(await crypto.subtle.digest("SHA-256", raw));
    const signatures = [...draft.signatures, { person: one.id, signed_at: people.now().at, sha256 }];
    if (signatures.length < draft.form.inspectors) {
      await app.show(() => inspect(app, { ...draft, signatures }));
      return;
    }
    const record = await people.record({ ...bare, signatures }, { photos: draft.photos });
    await kept(app, record);
  }), { text: one.name }));
  const none = nodes.length ? "" : el("p", { class: "verdict open" }, t("sign_nobody"));
  open(app, [el("div", {}, banner(bare.outcome), el("h2", {}, t("sign_who")), none, nodes,
    button("back", () => app.show(() => inspect(app, draft)), { kind: "plain" }))]);
}

async function kept(app, record) {
  await app.home();
  say(`✔ ${t("saved", { number: record.number })}`, "good");
  app.send({ quiet: true });
}

// --- counting a shelf -----------------------------------------------------------------------------

function countPlace(app) {
  const place = field("count_place", { maxLength: 64 });
  const begin = async () => {
    const name = place.input.value.trim();
    if (!name) return;
    const expected = (await db.get(`shelf ${name}`)) ?? [];
    await app.show(() => counting(app, { place: name, expected, seen: [] }));
  };
  const form = el("form", { on: { submit: act(app, begin) } }, el("h2", {}, t("count")), place.node,
    button("enter", () => form.requestSubmit(), { kind: "go" }), back(app));
  return [form];
}

function counting(app, count) {
  const list = el("section", { id: "count" });
  const draw = () => {
    const parts = work.shelf(count.seen, count.expected);
    const part = (key, symbol, all) => el("div", { data: { part: key } }, el("b", {}, `${symbol} ${t(key)} ${all.length}`),
      el("ul", {}, all.slice(-20).map((one) => el("li", {}, short(one)))));
    list.replaceChildren(part("found", "✔", parts.found), part("missing", "✖", parts.missing),
      part("unexpected", "!", parts.unexpected));
  };
  const scan = scanner(app, async (text) => {
    const { asset } = await identify(text);
    if (!asset) throw new people.Refused("not_cylinder");
    if (!count.seen.includes(asset)) count.seen.push(asset);
    draw();
  });
  const done = act(app, async () => {
    const all = work.counts(count.place, count.seen, count.expected);
    let record;
    for (const one of all) record = await people.record(one, { keep: { [`shelf ${count.place}`]: count.seen } });
    await kept(app, record);
  });
  draw();
  const drop = button("drop_last", () => { count.seen.pop(); draw(); }, { kind: "plain" });
  return { nodes: [el("h2", {}, count.place), scan.node, list, button("done", done, { kind: "go" }), drop, back(app)], leave: scan.leave };
}

// --- putting on a tag -----------------------------------------------------------------------------

async function newTag(app, asset) {
  const sheet = await db.sheet(asset);
  const tags = (sheet?.codes ?? []).filter((one) => one.startsWith("tag_uid:")).map(short);
  const scan = scanner(app, async (text) => {
    const uid = work.asUid(text);
    if (!uid) throw new people.Refused("bad_tag");
    if (tags.includes(uid)) throw new people.Refused("tag_there");
    const owners = await db.sheetOf(uid);
    if (owners.some((one) => one.asset !== asset)) throw new people.Refused("tag_taken", short(owners[0].asset));
    await app.show(() => confirmTag(app, asset, uid, tags.length === 1 ? tags[0] : null));
  });
  return { nodes: [el("h2", {}, short(asset)), el("p", {}, t("tag_read")), scan.node, back(app)], leave: scan.leave };
}

function confirmTag(app, asset, uid, replaces) {
  const put = act(app, async () => kept(app, await people.record({ type: "tag", asset, uid, replaces })));
  return [el("h2", {}, uid), el("p", {}, t("tag_on", { asset: short(asset) })),
    replaces ? el("p", {}, t("tag_replaces", { uid: replaces })) : "", button("confirm", put, { kind: "go" }), back(app)];
}

// --- the service's words --------------------------------------------------------------------------

async function answers(app) {
  const lost = await db.lostPhotos();
  if (lost.length) return photosLost(app, lost);
  const all = await db.faulty();
  if (!all.length) return [el("p", { class: "verdict good" }, t("no_faults")), back(app)];
  const { body, word, number } = all[0];
  const { what, observed_at: at } = JSON.parse(body);
  const key = `reason_${word.reason}`;
  return [
    banner(word.outcome),
    el("h2", { data: { reason: word.reason } }, has(key) ? t(key) : word.reason),
    el("p", {}, t("fault_of", { number, left: all.length })),
    el("p", {}, `${moment(at)} ${t(`did_${what.type}`)} ${short(what.asset ?? what.place ?? what.text ?? "")}`),
    word.expected && !has(key) ? el("p", {}, `${t("expected")}: ${word.expected}`) : "",
    word.found ? el("p", {}, `${t("told_found")}: ${inWords(word.found)}`) : "",
    button("understood", act(app, async () => { await db.lookAt(number); await app.show(() => answers(app)); }), { kind: "go" }),
    back(app),
  ];
}

const STATES = /\b(blocked|scrapped|lost|not known)\b/g;
const inWords = (found) => found.replaceAll("cylinder:", "").replace(STATES, (state) => t(`is_${state.replace(" ", "_")}`));

function photosLost(app, lost) {
  const rows = lost.slice(-10).map(({ number, reason }) =>
    el("li", {}, `${t("photo_of", { number })}: ${t(`photo_${reason}`)}`));
  return [
    banner("refused"),
    el("h2", { data: { reason: "photos_lost" } }, t("photos_lost", { count: lost.length })),
    el("ul", { class: "past" }, rows),
    button("understood", act(app, async () => { await db.lookAtPhotos(); await app.show(() => answers(app)); }), { kind: "go" }),
    back(app),
  ];
}
