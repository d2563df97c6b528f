// The ring around the talk button: the last seconds of the conversation as a groove. A hand goes round once in
// ROUND_S; the person's loudness stands outward, EVA's inward, so that one sees who spoke when, and the
// silence between. Where less motion is wished, two plain arcs show both levels instead.

const ROUND_S = 12;
const SLOTS = 200;
const SLOT_MS = (1000 * ROUND_S) / SLOTS;
const REST = 0.04;

/** Which slot a moment belongs to. */
export function slotAt(ms) {
  return Math.floor(ms / SLOT_MS) % SLOTS;
}

export class Ring {
  constructor(canvas) {
    this._canvas = canvas;
    this._ink = canvas.getContext("2d");
    this._person = new Float32Array(SLOTS);
    this._eva = new Float32Array(SLOTS);
    this._slot = 0;
    this._levels = [0, 0];
    this._isRunning = false;
    this._frame = 0;
    this._calm = matchMedia("(prefers-reduced-motion: reduce)");
    this._calm.addEventListener("change", () => this.draw());
    this._colours = null;
    new ResizeObserver(() => this.draw()).observe(canvas);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.recolour());
  }

  /** The theme has changed. */
  recolour() {
    this._colours = null;
    this.draw();
  }

  /** The loudness of a moment, 0..1. */
  person(level) {
    this._levels[0] = level;
    this._person[this._slot] = Math.max(this._person[this._slot], level);
  }

  eva(level) {
    this._levels[1] = level;
    this._eva[this._slot] = Math.max(this._eva[this._slot], level);
  }

  /** The hand goes round while a conversation is going on. */
  set isRunning(on) {
    if (on === this._isRunning) return;
    this._isRunning = on;
    if (on) this._frame = requestAnimationFrame((ms) => this._step(ms));
    else {
      cancelAnimationFrame(this._frame);
      this._levels = [0, 0];
      this.draw();
    }
  }

  draw() {
    const size = this._canvas.clientWidth;
    if (size === 0) return;
    const scale = Math.min(3, devicePixelRatio || 1);
    if (this._canvas.width !== Math.round(size * scale)) this._canvas.width = this._canvas.height = Math.round(size * scale);
    this._colours ??= coloursOf(this._canvas);
    const ink = this._ink;
    ink.setTransform(scale, 0, 0, scale, 0, 0);
    ink.clearRect(0, 0, size, size);
    ink.translate(size / 2, size / 2);
    ink.lineCap = "round";
    if (this._calm.matches) this._arcs(size / 2);
    else this._groove(size / 2);
  }

  _step(ms) {
    const slot = slotAt(ms);
    while (this._slot !== slot) {
      this._slot = (this._slot + 1) % SLOTS;
      this._person[this._slot] = this._eva[this._slot] = 0;
    }
    this.draw();
    if (this._isRunning) this._frame = requestAnimationFrame((next) => this._step(next));
  }

  _groove(radius) {
    const ink = this._ink;
    const base = radius * 0.79;
    const [out, inward] = [radius * 0.19, radius * 0.12];
    const stride = base < 110 ? 2 : 1; // a small ring has room for every other one
    ink.lineWidth = Math.max(1.5, (2 * Math.PI * base * stride) / SLOTS / 2.1);
    for (let slot = 0; slot < SLOTS; slot += stride) {
      const age = ((this._slot - slot + SLOTS) % SLOTS) / SLOTS;
      ink.globalAlpha = this._isRunning ? 1 - 0.8 * age : 0.75;
      const angle = (2 * Math.PI * slot) / SLOTS - Math.PI / 2;
      const isMark = slot % (SLOTS / 12) < 1;
      this._bar(angle, base, base + out * Math.max(isMark ? 2.2 * REST : REST, this._person[slot]), this._person[slot] > REST ? "person" : "rest");
      if (this._eva[slot] > REST) this._bar(angle, base - ink.lineWidth, base - ink.lineWidth - inward * this._eva[slot], "eva");
    }
    ink.globalAlpha = 1;
    if (this._isRunning) {
      const angle = (2 * Math.PI * this._slot) / SLOTS - Math.PI / 2;
      ink.fillStyle = this._colours.person;
      ink.beginPath();
      ink.arc(Math.cos(angle) * base, Math.sin(angle) * base, Math.max(3, radius * 0.017), 0, 2 * Math.PI);
      ink.fill();
    }
  }

  _bar(angle, from, to, colour) {
    const ink = this._ink;
    ink.strokeStyle = this._colours[colour];
    ink.beginPath();
    ink.moveTo(Math.cos(angle) * from, Math.sin(angle) * from);
    ink.lineTo(Math.cos(angle) * to, Math.sin(angle) * to);
    ink.stroke();
  }

  _arcs(radius) {
    const ink = this._ink;
    const parts = [["person", 0.86, this._levels[0]], ["eva", 0.7, this._levels[1]]];
    ink.lineWidth = Math.max(3, radius * 0.03);
    for (const [name, at, level] of parts) {
      ink.globalAlpha = 0.3;
      ink.strokeStyle = this._colours.rest;
      ink.beginPath();
      ink.arc(0, 0, radius * at, 0, 2 * Math.PI);
      ink.stroke();
      ink.globalAlpha = 1;
      if (level <= REST) continue;
      ink.strokeStyle = this._colours[name];
      ink.beginPath();
      ink.arc(0, 0, radius * at, -Math.PI / 2, -Math.PI / 2 + 2 * Math.PI * level);
      ink.stroke();
    }
  }
}

function coloursOf(canvas) {
  const style = getComputedStyle(canvas);
  return { person: style.color, eva: style.borderTopColor, rest: style.outlineColor };
}
