// What is seen of the conversation: captions, the strip below an answer, the check, screens of trouble.

import { strip } from "./latency.js";

export function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === true) element.setAttribute(name, "");
    else if (value !== false && value !== null) element.setAttribute(name, value);
  }
  element.append(...children.filter((child) => child !== null && child !== ""));
  return element;
}

/** Text and labels of the page, in its language. */
export function translate(root, words) {
  for (const element of root.querySelectorAll("[data-text]")) element.textContent = words[element.dataset.text];
  for (const element of root.querySelectorAll("[data-label]")) element.setAttribute("aria-label", words[element.dataset.label]);
  for (const element of root.querySelectorAll("[data-title]")) element.title = words[element.dataset.title];
  for (const element of root.querySelectorAll("[data-placeholder]")) element.placeholder = words[element.dataset.placeholder];
}

export class CaptionList {
  constructor(list, scroller) {
    this._list = list;
    this._scroller = scroller;
    this._items = new Map();
  }

  clear() {
    this._list.replaceChildren();
    this._items.clear();
  }

  /** Shows an entry as it is now; one without words is taken away again. */
  show(entry, words, playoutMs) {
    const isAtEnd = this._scroller.scrollHeight - this._scroller.scrollTop - this._scroller.clientHeight < 80;
    let item = this._items.get(entry.id);
    if (entry.who === "person" && entry.isFinal && !entry.text) {
      item?.remove();
      return;
    }
    if (!item) {
      item = make("li", { class: entry.who, "data-turn": entry.turn ?? "" }, make("span", { class: "who" }), make("div", {}, make("p", { class: "words" })));
      this._items.set(entry.id, item);
      this._list.append(item);
    }
    item.className = [entry.who, entry.isAside ? "aside" : "", entry.isStruck ? "stopped" : "", entry.isDone || (entry.who === "person" && entry.isFinal) ? "done" : ""].filter(Boolean).join(" ");
    item.firstChild.textContent = entry.who === "eva" ? words.eva : words.you;
    const said = item.querySelector(".words");
    said.replaceChildren(...(entry.who === "eva" ? ofEva(entry, words) : ofPerson(entry)));
    this._foot(item, entry, words, playoutMs);
    if (isAtEnd) this._scroller.scrollTop = this._scroller.scrollHeight;
  }

  _foot(item, entry, words, playoutMs) {
    const body = item.lastChild;
    if (entry.failure && !body.querySelector(".failure")) body.append(make("p", { class: "failure" }, entry.failure.message));
    const told = entry.timeline && strip(entry.timeline, playoutMs);
    if (!told) return;
    const signature = JSON.stringify([told, words.firstSound]);
    const before = body.querySelector(".strip");
    if (before?.dataset.signature === signature) return;
    const made = stripOf(told, words);
    made.dataset.signature = signature;
    if (before) before.replaceWith(made);
    else body.append(made);
  }
}

function ofPerson(entry) {
  if (entry.isFinal) return [entry.text];
  if (!entry.text) return [make("span", { class: "partial" }, "…")];
  return [entry.text.slice(0, entry.stable), make("span", { class: "partial" }, entry.text.slice(entry.stable))].filter(Boolean);
}

function ofEva(entry, words) {
  if (!entry.text) {
    const text = entry.filler || (entry.isDone ? "" : "…");
    return text ? [make("span", { class: entry.filler ? "filler" : "coming" }, text)] : [];
  }
  const heard = entry.text.slice(0, entry.heard);
  const rest = entry.text.slice(entry.heard);
  const parts = [heard ? make("span", { class: "heard" }, heard) : null];
  if (rest.trim() && entry.isStruck) parts.push(make("del", { class: "struck", title: words.unheard }, make("span", { class: "hidden" }, ` (${words.unheard}:) `), rest));
  else if (rest) parts.push(make("span", { class: "coming" }, rest));
  return parts.filter(Boolean);
}

function stripOf(told, words) {
  const bar = make("div", { class: "bar", "aria-hidden": "true" }, ...told.parts.filter((part) => part.ms > 0).map((part) => {
    const piece = make("i", { class: part.name });
    piece.style.setProperty("--share", Math.max(part.share, 0.004));
    return piece;
  }));
  const rows = told.parts.map((part) => pair(words.part[part.name], String(part.ms)));
  const first = pair(words.firstSound, `${told.firstMs} ms, ${words.verdict[told.verdict]}`);
  first.className = "first";
  first.dataset.verdict = told.verdict;
  return make("div", { class: "strip" }, bar, make("dl", {}, ...rows, first));
}

function pair(name, value) {
  return make("div", {}, make("dt", {}, name), make("dd", {}, value));
}

const MARKS = {
  ok: "M5 12.5l4.5 4.5L19 7.5", weak: "M12 4.5v9M12 18.5v.01", bad: "M6 6l12 12M18 6L6 18", open: "M6 12h.01M12 12h.01M18 12h.01",
};

/** One row of the system check. */
export function checkRow(row, words) {
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  svg.setAttribute("viewBox", "0 0 24 24");
  svg.setAttribute("class", "mark");
  svg.setAttribute("role", "img");
  svg.setAttribute("aria-label", words.rowState[row.state]);
  const path = document.createElementNS("http://www.w3.org/2000/svg", "path");
  path.setAttribute("d", MARKS[row.state]);
  svg.append(path);
  const item = make("li", { "data-row": row.name, "data-state": row.state }, svg, make("span", { class: "name" }, words.row[row.name]), make("span", { class: "detail" }, row.detail));
  if (row.mend) item.append(make("p", { class: "mend" }, words.mend[row.mend]));
  return item;
}

/** A screen of trouble: `actions` are [label, what it does] with the one that mends first; `field`: an input before them. */
export function troubleScreen([title, text], { actions, field = null }) {
  const buttons = actions.map(([label, act], index) => {
    const button = make("button", { type: "button", class: index === 0 ? "main" : "" }, label);
    button.addEventListener("click", act);
    return button;
  });
  return [make("h2", {}, title), make("p", {}, text), field ? form(field, buttons) : make("div", { class: "row" }, ...buttons)];
}

/** A field that Enter sends off: a press of the first button. */
function form(field, buttons) {
  const row = make("form", { class: "row", autocomplete: "off" }, field, ...buttons);
  row.addEventListener("submit", (event) => {
    event.preventDefault();
    buttons[0].click();
  });
  return row;
}
