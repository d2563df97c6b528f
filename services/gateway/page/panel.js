// The developer panel (key D): figures of the moment, and the events of both ways.

import { make } from "./view.js";

const MOST = 200;
const QUIET = new Set(["audio", "played"]);
const PING_MS = 3000;

export class Panel {
  constructor(root, button, send) {
    this._root = root;
    this._button = button;
    this._figures = root.querySelector("#figures");
    this._events = root.querySelector("#events");
    this._send = send;
    this._facts = {};
    this._began = performance.now();
    this._pings = new Map();
    this._words = null;
    this._timer = 0;
    button.addEventListener("click", () => this.toggle());
  }

  get isOpen() {
    return !this._root.hidden;
  }

  toggle() {
    this._root.hidden = this.isOpen;
    this._button.setAttribute("aria-expanded", String(this.isOpen));
    clearInterval(this._timer);
    if (!this.isOpen) return;
    this._render();
    this._timer = setInterval(() => this._ping(), PING_MS);
  }

  /** Sets figures by their names in `words.figure`. */
  tell(facts, words) {
    Object.assign(this._facts, facts);
    this._words = words;
    if (this.isOpen) this._render();
  }

  /** Takes note of an event; sound is counted, not listed. */
  note(way, event) {
    if (event.type === "pong" && this._pings.has(event.id)) {
      this._facts.round = `${Math.round(performance.now() - this._pings.get(event.id))} ms`;
      this._pings.delete(event.id);
      return;
    }
    if (QUIET.has(event.type) || event.type === "ping") return;
    const isAtEnd = this._events.scrollHeight - this._events.scrollTop - this._events.clientHeight < 40;
    const at = ((performance.now() - this._began) / 1000).toFixed(2).padStart(7);
    this._events.append(make("li", {}, make("span", { class: "at" }, at), make("span", { class: way }, way === "in" ? "←" : "→"), `${event.type}${brief(event)}`));
    while (this._events.childElementCount > MOST) this._events.firstChild.remove();
    if (isAtEnd) this._events.scrollTop = this._events.scrollHeight;
  }

  _ping() {
    const id = `page-${Math.random().toString(36).slice(2, 10)}`;
    this._pings.clear();
    this._pings.set(id, performance.now());
    this._send({ type: "ping", id });
  }

  _render() {
    const rows = Object.entries(this._words?.figure ?? {}).flatMap(([name, label]) => [make("dt", {}, label), make("dd", { "data-figure": name }, String(this._facts[name] ?? "–"))]);
    this._figures.replaceChildren(...rows);
  }
}

function brief(event) {
  const told = event.code ?? event.text ?? event.verdict ?? event.reason ?? event.name;
  return told ? `  ${JSON.stringify(told).slice(0, 60)}` : "";
}
