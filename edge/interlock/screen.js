"use strict";
// Shows what the gateway says and sends what is pressed. Everything is set as text, never as markup.

const LOST_MS = 6000;
const SHOWN = {
  idle: ["请放瓶读标签", "Put a cylinder here"],
  fill: ["可以充装", "FILL"],
  do_not_fill: ["禁止充装", "DO NOT FILL"],
  cannot_decide: ["无法判定", "CANNOT DECIDE"],
  settling: ["正在复称", "WEIGHING AGAIN"],
  done: ["已记录，请取走", "RECORDED: TAKE IT AWAY"],
  checking: ["充后检查", "CHECK IT BEFORE IT LEAVES"],
  blocked: ["本位停用", "BLOCKED"],
};
const WHY = [
  ["已人工核对瓶身与检验标志", "Looked at by hand: marks and inspection label"],
  ["已电话核实登记信息", "Confirmed with the office by telephone"],
  ["应急供气，负责人批准", "Emergency supply, approved"],
];
const REFUSED = {
  wrong_pin: ["密码错误", "Wrong number"],
  wait: ["错误次数过多，请等一分钟", "Too many wrong numbers: wait a minute"],
  not_allowed: ["无此权限", "Not allowed"],
  not_now: ["状态已变化", "The place has changed meanwhile"],
};
const dialog = document.getElementById("asked");
let heard = 0;

function make(tag, attributes = {}, ...children) {
  const found = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name === "press") found.addEventListener("click", value);
    else if (value !== null && value !== undefined) found.setAttribute(name, value);
  }
  found.append(...children.filter((one) => one !== null && one !== undefined));
  return found;
}

function both(zh, en) {
  return [zh, " ", make("span", { lang: "en" }, en)];
}

function button(zh, en, press, attributes = {}) {
  return make("button", { type: "button", press, ...attributes }, ...both(zh, en));
}

async function send(act) {
  const answer = await fetch("/act", {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify(act),
  });
  return answer.ok ? null : (await answer.json()).reason;
}

function kg(value) {
  return value === null || value === undefined ? "—" : `${value.toFixed(2)} kg`;
}

function banner(gate) {
  const asks = gate.show === "done" && gate.checks.length;
  const words = gate.blocked ? [gate.blocked.title_zh, gate.blocked.title] : SHOWN[asks ? "checking" : gate.show];
  const overruled = gate.overruled_by
    ? make("p", {}, ...both(`由 ${gate.overruled_by} 决定`, "decided by this person"))
    : null;
  return make(
    "div",
    { class: "banner" },
    make("div", { class: "top" }, make("span", {}, `${gate.id} · ${gate.gas}`), make("span", {}, gate.operator || "—")),
    make("h1", {}, ...both(...words)),
    gate.blocked ? make("p", { class: "do" }, ...both(gate.blocked.do_zh, gate.blocked.do)) : null,
    make("div", { class: "code" }, gate.code || ""),
    gate.due_on || gate.life_ends_on
      ? make("p", {}, ...both(`检验至 ${gate.due_on || "—"}　寿命至 ${gate.life_ends_on || "—"}`, "inspection due, life ends"))
      : null,
    overruled,
  );
}

function mass(gate) {
  if (!gate.weighs) return null;
  const net = gate.after_kg !== null && gate.before_kg !== null ? gate.after_kg - gate.before_kg : null;
  const meter = make("meter", { min: 0, max: gate.limit_kg || 1, value: gate.kg || 0, "aria-label": "毛重 gross" });
  return make(
    "div",
    { class: "mass" },
    make("output", { class: gate.at_rest ? "" : "moves" }, ...(gate.kg === null ? both("变化中", "moving") : [kg(gate.kg)])),
    make(
      "div",
      { class: "facts" },
      make("span", {}, ...both(`上限 ${kg(gate.limit_kg)}`, "limit")),
      make("span", {}, ...both(`充前 ${kg(gate.before_kg)}`, "before")),
      net === null ? null : make("span", {}, ...both(`充入 ${kg(net)}`, "filled")),
    ),
    gate.limit_kg ? meter : null,
  );
}

function reason(line) {
  return make(
    "li",
    { class: `line ${line.decision}` },
    make("b", {}, ...both(line.title_zh, line.title)),
    line.found ? make("span", { class: "found" }, line.found) : null,
    line.do_zh ? make("span", { class: "do" }, ...both(`→ ${line.do_zh}`, line.do)) : null,
  );
}

function checks(gate) {
  if (!gate.checks.length) return null;
  const answer = (line, passed) => () => send({ gate: gate.id, do: "answer", check: line.id, passed });
  const rows = gate.checks.map((line) =>
    make(
      "li",
      { class: "check" },
      make("span", {}, ...both(line.title_zh, line.title)),
      button("合格", "yes", answer(line, true), { class: "yes", "aria-pressed": line.answer === true }),
      button("不合格", "no", answer(line, false), { class: "no", "aria-pressed": line.answer === false }),
    ),
  );
  const open = gate.checks.some((line) => line.answer === null);
  const all = button("全部合格", "All in order", () => send({ gate: gate.id, do: "all_passed" }), { class: "all" });
  return make("div", { class: "choice" }, open ? all : null, make("ul", {}, ...rows));
}

function actions(gate) {
  const row = make("div", { class: "row" });
  if (gate.show === "fill") {
    row.append(button("停止充装", "Stop filling", () => send({ gate: gate.id, do: "end" }), { class: "stop" }));
  }
  if (gate.show === "done") {
    row.append(button("重新判定", "Judge again", () => send({ gate: gate.id, do: "again" })));
  }
  row.append(button("操作人", "Who works here", () => choose(gate, gate.people, "name")));
  if (gate.may_overrule.length) {
    row.append(button("负责人决定", "A responsible person decides", () => why(gate)));
  }
  if (gate.show === "blocked") {
    row.append(button("解除停用", "Clear", () => choose(gate, people(gate, gate.may_clear), "clear")));
  }
  return row;
}

function people(gate, ids) {
  return gate.people.filter(([id]) => ids.includes(id));
}

function ask(zh, en, ...children) {
  const close = button("返回", "Back", () => dialog.close());
  dialog.replaceChildren(make("h2", {}, ...both(zh, en)), make("div", { class: "choice" }, ...children, close));
  if (!dialog.open) dialog.showModal();
}

function choose(gate, persons, act, more = {}) {
  const one = ([id, name, proves]) =>
    button(name, id, () => (act !== "name" && proves ? number(gate, id, act, more) : finish(gate, id, act, more)));
  ask("请选择姓名", "Who", ...persons.map(one));
}

function why(gate) {
  const one = ([zh, en]) => button(zh, en, () => choose(gate, people(gate, gate.may_overrule), "overrule", { why: zh }));
  ask("决定充装的理由", "Why it is to be filled all the same", ...WHY.map(one));
}

function number(gate, person, act, more) {
  let pin = "";
  const typed = make("div", { class: "typed", "aria-live": "polite" });
  const press = (digit) => () => {
    pin = digit === "⌫" ? pin.slice(0, -1) : (pin + digit).slice(0, 12);
    typed.textContent = "●".repeat(pin.length);
  };
  const keys = [..."123456789⌫0"].map((digit) => make("button", { type: "button", press: press(digit) }, digit));
  keys.push(make("button", { type: "button", press: () => finish(gate, person, act, { ...more, pin }) }, "✓"));
  ask("输入密码", "Number", typed, make("div", { class: "pad" }, ...keys));
}

async function finish(gate, person, act, more) {
  const refused = await send({ gate: gate.id, do: act, person, ...more });
  if (refused === null) {
    dialog.close();
    return;
  }
  const [zh, en] = REFUSED[refused] || [refused, refused];
  ask(zh, en);
}

const drawn = new Map();
// What did not change is left alone: a button must not be replaced under a finger.
function fill(slot, key, seen, draw) {
  const text = JSON.stringify(seen);
  if (drawn.get(key) === text) return;
  drawn.set(key, text);
  const found = draw();
  slot.replaceChildren(...(found ? [found] : []));
}

function section(gate) {
  const id = `gate-${gate.id}`;
  let found = document.getElementById(id);
  if (!found) {
    found = make("section", { id }, ...Array.from({ length: 5 }, () => make("div")));
    document.getElementById("gates").append(found);
  }
  found.className = `gate ${gate.show}`;
  found.dataset.operator = gate.operator ? "known" : "unknown";
  const [head, scale, told, asked, done] = found.children;
  const speaks = gate.reasons.length && !["fill", "settling", "done", "blocked"].includes(gate.show);
  const reasons = speaks ? gate.reasons : [];
  fill(head, `${id} head`, [gate.show, gate.blocked, gate.checks.length > 0, gate.code, gate.operator, gate.due_on, gate.life_ends_on, gate.overruled_by], () => banner(gate));
  fill(scale, `${id} mass`, [gate.kg, gate.at_rest, gate.limit_kg, gate.before_kg, gate.after_kg], () => mass(gate));
  fill(told, `${id} reasons`, reasons, () => (reasons.length ? make("ul", {}, ...reasons.map(reason)) : null));
  fill(asked, `${id} checks`, gate.checks, () => checks(gate));
  fill(done, `${id} actions`, [gate.show, gate.people, gate.may_overrule, gate.may_clear], () => actions(gate));
}

function draw(told) {
  if (!told.snapshot) return;
  document.getElementById("day").textContent = told.clock === "trusted" ? told.day : `${told.day} ？`;
  const snapshot = document.getElementById("snapshot");
  snapshot.textContent = `档案 ${told.snapshot.version || "—"} (${told.snapshot.state})`;
  snapshot.className = told.snapshot.state === "fresh" ? "" : "bad";
  told.gates.forEach(section);
  const shown = new Set(told.gates.map((gate) => `gate-${gate.id}`));
  for (const one of [...document.getElementById("gates").children]) {
    if (!shown.has(one.id)) one.remove();
  }
}

function listen() {
  const source = new EventSource("/events");
  source.onmessage = (event) => {
    heard = performance.now();
    document.getElementById("lost").hidden = true;
    document.getElementById("beat").textContent = new Date().toLocaleTimeString("zh-CN");
    draw(JSON.parse(event.data));
  };
  source.onerror = () => {
    if (source.readyState === EventSource.CLOSED) setTimeout(listen, 1000);
  };
}

setInterval(() => {
  document.getElementById("lost").hidden = performance.now() - heard < LOST_MS;
}, 500);
listen();
