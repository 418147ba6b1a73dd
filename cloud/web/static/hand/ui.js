// Words and elements. All text is set as text.

let words = {};
let language = "zh";
let zone; // of days and times: the service's, once it was told

export async function loadWords(chosen) {
  words = await (await fetch("/hand/words.json")).json();
  language = chosen in words ? chosen : "zh";
}

export const languages = () => Object.keys(words);
export const current = () => language;
export function speak(other) {
  language = other;
  document.documentElement.lang = other === "zh" ? "zh-CN" : "en";
  document.title = t("title");
}

export const place = (name) => { zone = name; };

export function t(key, values = {}) {
  const text = words[language]?.[key] ?? key;
  return text.replace(/\{(\w+)\}/g, (_, name) => values[name] ?? "");
}

export const has = (key) => key in (words[language] ?? {});
export const title = (one, name = "title") => (language === "zh" ? one[`${name}_zh`] : one[name]) ?? one.id;

export function el(tag, options = {}, ...children) {
  const { on = {}, data = {}, ...rest } = options;
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(rest)) {
    if (name === "class") made.className = value;
    else if (name in made) made[name] = value;
    else made.setAttribute(name, value);
  }
  for (const [name, act] of Object.entries(on)) made.addEventListener(name, act);
  Object.assign(made.dataset, data);
  made.append(...children.flat().filter((one) => one !== null && one !== undefined && one !== false));
  return made;
}

export const button = (key, act, { kind = "", text, ...rest } = {}) =>
  el("button", { type: "button", class: `big ${kind}`, on: { click: act }, data: { key }, ...rest }, text ?? t(key));

const FACES = {
  fill: ["✔", "good"], passed: ["✔", "good"], taken: ["✔", "good"],
  do_not_fill: ["✖", "bad"], stopped: ["✖", "bad"], refused: ["✖", "bad"],
  cannot_decide: ["?", "open"], instructed: ["!", "open"], conflict: ["!", "open"],
};

// A deciding word, by colour, symbol and word at once.
export function banner(word) {
  const [symbol, face] = FACES[word];
  return el("p", { class: `verdict ${face}`, role: "status", data: { verdict: word } }, el("b", {}, symbol), t(word));
}

export function facts(pairs) {
  const list = el("dl");
  for (const [key, value] of pairs) list.append(el("dt", {}, t(key)), el("dd", {}, value || t("not_known")));
  return list;
}

export function say(text, kind = "") {
  const said = document.getElementById("said");
  said.hidden = !text;
  said.className = kind;
  said.textContent = text;
}

export const moment = (ms) =>
  new Date(ms).toLocaleString(language === "zh" ? "zh-CN" : "en-GB",
    { timeZone: zone, month: "2-digit", day: "2-digit", hour: "2-digit", minute: "2-digit" });
