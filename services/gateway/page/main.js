// Puts the page together: what is pressed goes to the conversation, what it tells is shown.

import { canTalk, diagnose, look, worst } from "./check.js";
import { Conversation } from "./conversation.js";
import { bindControls } from "./controls.js";
import { Microphone, meter } from "./microphone.js";
import { Panel } from "./panel.js";
import { Prefs } from "./prefs.js";
import { Ring } from "./ring.js";
import { CaptionList, checkRow, make, translate, troubleScreen } from "./view.js";
import { LANGUAGES, SPOKEN, languageOf } from "./words.js";

const LOOK_MS = 4000;
const WELL_LOOKS = 2; // what a worker told before it died still holds at the first
const HUSH_FRAMES = 150; // three seconds of nothing from a microphone that is open
const HUSH = 2e-4;
const HEALTHS = { ok: "allWell", weak: "someWeak", bad: "someBad", open: "someOpen" };
// Which trouble is over when which part of the check is in order again.
const MENDED_BY = { broker: ["broker"], ears: ["stt"], mind: ["llm"], voice: ["tts"], stage: ["stt", "llm", "tts"] };
const MENDED_BY_OPENING = new Set(["gone", "busy", "slow", "key", "origin", "taken", "idle", "erased", "limit"]);

const by = (id) => document.getElementById(id);
const root = document.documentElement;

class Page {
  constructor() {
    this.prefs = new Prefs();
    this.words = null;
    this._trouble = null;
    this._check = { isSecure: Microphone.isPossible, status: null, health: null, microphone: "unknown" };
    this._rows = [];
    this._hush = 0;
    this._isChecked = true; // the check is shown until something was said
    this.ring = new Ring(by("ring"));
    this.list = new CaptionList(by("captions"), by("scroll"));
    this.talk = new Conversation(this.prefs, {
      face: (facts, name) => this._face(facts, name),
      entry: (entry) => this._entry(entry),
      trouble: (name, event) => this.trouble(name, event),
      level: (side, rms, raw) => this._level(side, rms, raw),
      report: (report) => this._report(report),
      event: (way, event) => this.panel.note(way, event),
      ready: (event, isNew) => this._ready(event, isNew),
      microphone: (state) => this._microphone(state),
    });
    this.panel = new Panel(by("panel"), by("open-panel"), (message) => this.talk.link.send(message));
    this.speak(languageOf(this.prefs.get("ui"), navigator.languages ?? ["en"]));
    this.theme(this.prefs.get("theme"));
    bindControls(this);
    this.look();
    setInterval(() => document.visibilityState === "visible" && this.look(), LOOK_MS);
  }

  /** Changes the page's language. */
  speak(language) {
    this.words = LANGUAGES[language];
    root.lang = language;
    for (const one of Object.keys(LANGUAGES)) by(`to-${one}`).setAttribute("aria-pressed", String(one === language));
    translate(document, this.words);
    this._languages();
    this.devices();
    this._face(this.talk.facts, root.dataset.face);
    this._render();
    for (const entry of this.talk.captions.entries) this._entry(entry);
    if (this._trouble) this.trouble(this._trouble.name, this._trouble.event);
  }

  theme(name) {
    if (name === "auto") delete root.dataset.theme;
    else root.dataset.theme = name;
    this.ring.recolour();
  }

  /** Asks the gateway how it is, and shows it. */
  async look() {
    const { status, health } = await look(this.prefs.headers);
    const isFirst = this._check.status === null;
    this._check = { ...this._check, status, health };
    this._render();
    this.talk.told({ type: "check.done" });
    if (isFirst && status === 401) this.trouble("key");
    if (isFirst && !this._check.isSecure) this.trouble("insecure");
    const wanted = MENDED_BY[this._trouble?.name];
    const isWell = wanted?.every((name) => this._rows.some((row) => row.name === name && row.state !== "bad" && row.state !== "open"));
    if (wanted) this._trouble.looks = isWell ? this._trouble.looks + 1 : 0;
    if (isWell && this._trouble.looks >= WELL_LOOKS) this.mended();
    if (this._trouble?.name === "gone" && status && this.talk.facts.phase === "ready") this.mended();
  }

  /** Shows a screen that says what is wrong and how to mend it. */
  trouble(name, event = null) {
    this._trouble = { name, event, looks: 0 };
    if (["denied", "nodevice", "nomic"].includes(name)) this._microphone(name);
    const { actions, field } = this._remedy(name);
    by("trouble").dataset.trouble = name;
    const isWrong = name === "key" && this.prefs.key !== "";
    by("trouble").replaceChildren(...troubleScreen(this.words.trouble[isWrong ? "wrong" : name], { actions, field }));
    by("trouble").hidden = false;
    if (isWrong && document.activeElement === document.body) field.focus(); // they typed in the one that it replaces
  }

  mended() {
    this._trouble = null;
    by("trouble").hidden = true;
    by("trouble").replaceChildren();
  }

  /** Shows or hides the system check. */
  showCheck(on) {
    this._isChecked = on;
    by("check").hidden = !on;
    by("health").setAttribute("aria-expanded", String(on));
    if (on) by("scroll").scrollTop = 0;
  }

  get isChecked() {
    return this._isChecked;
  }

  async testMicrophone() {
    this._hush = 0;
    if (await this.talk.openMicrophone()) this.mended();
  }

  async forget() {
    const isDone = await this.talk.forget();
    this.list.clear();
    by("resumed").textContent = isDone ? this.words.forgotten : this.words.trouble.gone[1];
    by("resumed").hidden = false;
    this.mended();
  }

  download() {
    const text = this.talk.captions.transcript({ person: this.words.you, eva: this.words.eva });
    const link = make("a", { href: URL.createObjectURL(new Blob([text], { type: "text/plain;charset=utf-8" })), download: "eva.txt" });
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
  }

  /** Fills the list of microphones. */
  async devices() {
    const found = await Microphone.devices();
    const chosen = this.prefs.get("device");
    const options = found.filter((device) => device.id !== "default").map((device) => make("option", { value: device.id, selected: device.id === chosen }, device.label || this.words.microphone));
    by("devices").replaceChildren(make("option", { value: "" }, this.words.microphoneAny), ...options);
  }

  _remedy(name) {
    const { words, talk } = this;
    const away = [words.dismiss, () => this.mended()];
    const again = (label) => [label, () => { this.mended(); talk.begin(); }];
    if (name === "taken") return { actions: [again(words.takeBack)] };
    if (name === "erased") return { actions: [again(words.newOne), away] };
    if (name === "key") return this._keyRemedy();
    if (name === "insecure" || name === "broker" || name === "busy" || name === "ears") return { actions: [away] };
    if (name === "gone") return { actions: [[words.retry, () => { this.look(); talk.link.open(); }]] };
    if (["mind", "voice", "turn", "stage", "slow"].includes(name)) return { actions: [away] };
    return { actions: [again(words.retry), away] };
  }

  _keyRemedy() {
    const input = make("input", { type: "password", autocomplete: "off", "aria-label": this.words.keyField, placeholder: this.words.keyField });
    const use = () => {
      this.prefs.key = input.value;
      this.mended();
      this.look();
      if (this.talk.facts.phase === "failed") this.talk.link.open();
    };
    return { field: input, actions: [[this.words.enterKey, use]] };
  }

  _face(facts, name) {
    const { words } = this;
    const isPush = facts.mode === "push" && facts.phase === "open" && facts.hasMicrophone;
    const label = isPush && name === "listening" ? words.hold : words.face[name];
    const hint = isPush && name === "listening" ? words.hintPush : isPush && facts.isHeld ? words.hintHeld : words.hint[name];
    root.dataset.face = name;
    by("face").textContent = label;
    by("hint").textContent = hint;
    const told = `${label}. ${hint}`;
    if (by("status").textContent !== told) by("status").textContent = told;
    by("mute").disabled = !facts.hasMicrophone || facts.mode === "push";
    by("mute").setAttribute("aria-pressed", String(facts.isMuted));
    by("mute-text").textContent = facts.isMuted ? words.unmute : words.mute;
    by("mode-note").textContent = { free: words.noteFree, push: words.notePush, turns: words.noteTurns }[facts.mode];
    by("leave").hidden = facts.phase !== "open";
    this.ring.isRunning = facts.hasMicrophone || facts.phase === "open";
    this.panel?.tell({ turn: facts.turn ?? "–" }, words);
  }

  _entry(entry) {
    this.list.show(entry, this.words, this.talk.playback.delaysMs.get(entry.turn) ?? 0);
    by("resumed").hidden = true;
    if (this._isChecked && this.talk.captions.entries.length > 0) this.showCheck(false);
    if (entry.who === "eva" && entry.isDone && entry.isSilent) by("spoken").textContent = this.words.said(this.words.eva, entry.text);
  }

  _level(side, rms, raw) {
    this.ring[side](meter(rms));
    if (side !== "person" || this.talk.facts.isMuted) return;
    if (raw > HUSH) {
      this._hush = 0;
      if (this._check.microphone === "quiet") this._microphone("ok");
    } else if (++this._hush === HUSH_FRAMES) this._microphone("quiet");
  }

  _microphone(state) {
    this._check = { ...this._check, microphone: state };
    if (state === "ok") this.devices();
    this._render();
  }

  _report(report) {
    const facts = { buffer: `${Math.round(report.bufferMs)} ms`, prebuffer: `${report.prebufferMs} ms`, underruns: report.underruns };
    this.panel.tell({ ...facts, latency: `${Math.round(this.talk.speaker.latencyMs)} ms`, waiting: `${this.talk.link.waitingBytes} B` }, this.words);
  }

  _ready(event, isNew) {
    if (event.ears && this._trouble?.name === "ears") this.mended(); // somebody listens
    if (!isNew) return;
    if (this._trouble && MENDED_BY_OPENING.has(this._trouble.name)) this.mended();
    if (this._trouble?.name === "broker") this.mended();
    this.panel.tell({ session: event.session_id, ears: event.ears ?? "–", tries: this.talk.reconnects }, this.words);
    if (event.is_resumed && event.turns > 0 && this.talk.captions.entries.length === 0) {
      by("resumed").textContent = this.words.resumed(event.turns);
      by("resumed").hidden = false;
    }
  }

  _render() {
    this._rows = diagnose(this._check);
    const state = worst(this._rows);
    by("checks").replaceChildren(...this._rows.map((row) => checkRow(row, this.words)));
    by("health").dataset.health = state;
    by("health-text").textContent = this._check.status === 0 ? this.words.gatewayGone : this.words[HEALTHS[state]];
    const voices = [this._check.health?.stages?.tts?.model].filter(Boolean);
    by("voices").replaceChildren(...voices.map((voice) => make("option", { value: voice })));
    root.dataset.can = canTalk(this._rows) ? "talk" : "";
  }

  _languages() {
    const chosen = this.prefs.get("language");
    const options = Object.entries(SPOKEN).map(([code, name]) => make("option", { value: code, lang: code, selected: code === chosen }, name));
    by("language").replaceChildren(make("option", { value: "" }, this.words.languageAny), ...options);
  }
}

globalThis.eva = new Page();
