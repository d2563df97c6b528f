// One conversation: the socket, the microphone and the loudspeaker, put together by what the state says.

import { Captions } from "./captions.js";
import { Gate } from "./gate.js";
import { Link } from "./link.js";
import { Microphone, RATE_HZ as MIC_HZ } from "./microphone.js";
import { Playback } from "./playback.js";
import { RATE_HZ as VOICE_HZ, Speaker } from "./speaker.js";
import { FIRST, face, isOpen, press, step } from "./state.js";
import { ofError, ofMicrophone, ofTurn } from "./trouble.js";
import { Wake } from "./wake.js";

const MOST_UNSENT = 320_000; // bytes: ten seconds that nobody takes

export class Conversation {
  /** `show`: face(facts, name), entry(entry), trouble(name, event), level(side, rms), report(report), event(way, event). */
  constructor(prefs, show) {
    this._prefs = prefs;
    this._show = show;
    this.facts = { ...FIRST, mode: prefs.get("mode") };
    this.captions = new Captions();
    this.link = new Link({
      start: () => this._start(),
      key: () => prefs.key,
      on: { state: (name, facts) => this._linked(name, facts), event: (event) => this._event(event), sound: (header, pcm) => this._sound(header, pcm) },
    });
    this.speaker = new Speaker((report) => this.playback.take(report));
    this.playback = new Playback(this.speaker, this.captions, {
      step: (event) => this._step(event),
      send: (message) => this.link.send(message),
      entry: (entry) => this._show.entry(entry),
      report: (report) => {
        this._show.level("eva", report.rms, report.rms);
        this._show.report(report);
      },
    });
    this.microphone = new Microphone((pcm, rms) => this._frame(pcm, rms), () => this._microphoneGone());
    this.ears = "";
    this.reconnects = 0;
    this.wake = new Wake();
    this._gate = new Gate();
    this._typed = [];
    this._has = null; // of the turn in which the connection was lost, for who goes on with it
    this._isReady = false;
  }

  /** The talk button was pressed, or the like. */
  async press() {
    const wish = press(this.facts);
    if (wish === "start") await this.begin();
    else if (wish === "stop") this.stop();
    else if (wish !== "nothing") this.mute(wish === "mute");
  }

  /** Opens all that a spoken conversation needs; must be called from a gesture. */
  async begin() {
    const speaking = this.speaker.open();
    const hears = this.microphone.isOpen || (await this.openMicrophone());
    if (!(await speaking)) this._show.trouble("gone");
    else if (!hears) return;
    if (this.link.isOpen) this._send(this._start());
    else this.link.open();
  }

  /** A typed turn; needs no microphone. */
  async type(text) {
    const speaking = this.speaker.open();
    this._show.entry(this.captions.typed(text, performance.now()));
    this._typed.push(text);
    if (this._isReady) this._sendTyped();
    else this.link.open();
    if (!(await speaking)) this._show.trouble("gone");
  }

  /** Opens the microphone that was chosen; false, with a screen that says why, if it cannot be. */
  async openMicrophone() {
    if (!Microphone.isPossible) {
      this._show.trouble("insecure");
      return false;
    }
    try {
      await this.microphone.open(this._prefs.get("device"));
    } catch (error) {
      if (error.name === "OverconstrainedError" && this._prefs.get("device")) {
        this._prefs.set("device", ""); // the one that was chosen is not plugged in today
        return this.openMicrophone();
      }
      this._show.trouble(ofMicrophone(error));
      return false;
    }
    this._step({ type: "mic.on" });
    this._open();
    this._show.microphone("ok");
    return true;
  }

  /** Changes to another device. */
  async choose(deviceId) {
    this._prefs.set("device", deviceId);
    if (this.microphone.isOpen) await this.openMicrophone();
  }

  /** Stops EVA's answer, if there is one. */
  stop() {
    const { turn } = this.facts;
    const { heard } = this.playback;
    if (!turn && !this.facts.isPlaying) return;
    this._send({ type: "interrupt", ...(heard ? { played_ms: heard.ms } : {}) });
    for (const one of new Set([turn, heard?.turn])) if (one) this.speaker.flush(one);
  }

  mute(on) {
    this._step({ type: "mute", on });
    this._open();
  }

  /** Push to talk, and a muted person who holds the key. */
  hold(on) {
    if (on === this.facts.isHeld || !this.facts.hasMicrophone) return;
    const isPush = this.facts.mode === "push";
    if (on && isPush) this.stop();
    this._step({ type: "hold", on });
    this._open();
    if (!on && isPush) this._send({ type: "end_of_speech" });
  }

  mode(name) {
    this._prefs.set("mode", name);
    this._step({ type: "mode", mode: name });
    this._open();
    this.retell();
  }

  /** Tells the server the settings anew. */
  retell() {
    if (this._isReady) this._send(this._start());
  }

  /** Ends the conversation; it can be gone on with later. */
  async leave() {
    this._typed = [];
    this.link.close();
    this._silence();
    await this.microphone.close();
    this._step({ type: "mic.off" });
  }

  /** Forgets the conversation, here and at the server; false if the server could not. */
  async forget() {
    const id = this._prefs.session;
    await this.leave();
    this._prefs.session = "";
    this.captions.clear();
    if (!id) return true;
    try {
      const answer = await fetch(`/sessions/${encodeURIComponent(id)}`, { method: "DELETE", headers: this._prefs.headers });
      return answer.status === 204 || answer.status === 404;
    } catch {
      return false;
    }
  }

  /** Something happened elsewhere on the page that the state must know. */
  told(event) {
    this._step(event);
  }

  _start() {
    const { mode } = this.facts;
    return {
      type: "start",
      session_id: this._prefs.session || null,
      voice: this._prefs.get("voice"),
      language: this._prefs.get("language"),
      audio_in: this.microphone.isOpen ? { rate_hz: MIC_HZ } : null,
      audio_out: { format: "pcm", rate_hz: VOICE_HZ },
      turn_taking: { mode: mode === "push" ? "manual" : "auto" },
      barge_in: { mode: mode === "turns" ? "half_duplex" : "judge" },
      timings: { words: true },
      has: this._has,
    };
  }

  _send(message) {
    this.link.send(message);
    this._show.event("out", message);
  }

  _sendTyped() {
    for (const text of this._typed.splice(0)) this._send({ type: "message", text });
  }

  _step(event) {
    const before = this.facts;
    this.facts = step(before, event);
    if (this.facts !== before) this._show.face(this.facts, face(this.facts));
  }

  /** Opens or shuts the microphone at its device, so that the browser shows what is so. */
  _open() {
    const { mode, isMuted, isHeld } = this.facts;
    // Push to talk keeps it open for what is said while the finger comes down; nothing is sent then.
    this.microphone.isEnabled = mode === "push" || isHeld || !isMuted;
  }

  _frame(pcm, rms) {
    const isSent = isOpen(this.facts);
    const isMute = this.facts.mode !== "push" && this.facts.isMuted && !this.facts.isHeld;
    this._show.level("person", isMute || (this.facts.mode === "push" && !isSent) ? 0 : rms, rms);
    const isPush = this.facts.mode === "push";
    for (const frame of this._gate.take(pcm, { isOpen: isSent, isPush })) {
      if (this.link.waitingBytes < MOST_UNSENT) this.link.sendFrame(frame);
    }
  }

  _microphoneGone() {
    this._step({ type: "mic.off" });
    this._show.trouble("nodevice");
  }

  _linked(name, facts) {
    if (name === "open") return; // `ready` says more
    this._isReady = false;
    if (name === "lost" || name === "closed" || name === "refused") this._silence();
    if (name === "lost" && facts.status === undefined) this.reconnects += 1;
    if (facts.status === 0) this._show.trouble("gone");
    else if (facts.isFull) this._show.trouble("busy");
    else if (name === "lost" && facts.status === 429) this._show.trouble("limit");
    if (name === "refused") this._show.trouble(facts.status === 401 ? "key" : "origin");
    this._step({ type: `link.${name === "refused" ? "failed" : name}` });
    if (name !== "connecting") this.wake.release();
  }

  /** What was going on is over: its sound, and the words that nobody will hear any more. */
  _silence() {
    const { heard } = this.playback;
    if (heard) {
      this.speaker.flush(heard.turn);
      const entry = this.captions.played(heard.turn, heard.ms);
      this._has = { turn_id: heard.turn, ms: heard.ms, heard: entry ? entry.text.slice(0, entry.heard).trim() : "" };
    }
    this._step({ type: "playing", on: false });
    for (const entry of this.captions.abandon()) this._show.entry(entry);
  }

  _event(event) {
    this._show.event("in", event);
    const entry = this.captions.apply(event, performance.now());
    if (event.type === "ready") this._ready(event);
    else if (event.type === "error") this._failed(event);
    else if (event.type === "pause") this.speaker.pause();
    else if (event.type === "resume") this.speaker.resume();
    else if (event.type === "flush") this.speaker.flush(event.turn_id);
    else if (event.type === "turn_done" || event.type === "interrupted") this.speaker.end(event.turn_id);
    this._step(event);
    if (entry) this._show.entry(entry);
  }

  _ready(event) {
    this._prefs.session = event.session_id;
    this.ears = event.ears ?? "";
    const isNew = !this._isReady;
    this._isReady = true;
    this._has = null;
    if (event.turn) {
      this.playback.begin(event.turn.turn_id, event.turn.from_ms);
      this._step({ type: "turn_started", turn_id: event.turn.turn_id });
    }
    this._step({ type: "link.open" });
    this._open();
    this._show.ready(event, isNew);
    if (isNew) this.wake.keep();
    this._sendTyped();
  }

  _failed(event) {
    if (event.turn_id) {
      this.speaker.end(event.turn_id);
      this._show.trouble(ofTurn(event.code), event);
      return;
    }
    const name = ofError(event);
    const isOver = name === "taken" || name === "erased" || name === "idle";
    if (isOver) this.link.giveUp();
    this._isReady &&= !isOver; // what is typed now goes over another
    if (name === "erased") this._prefs.session = "";
    if (name === "ears" && !this._isReady) this._ready({ session_id: this._prefs.session }); // typing works
    if (name) this._show.trouble(name, event);
    if (name === "broker" && !this._isReady) {
      setTimeout(() => !this._isReady && this._send(this._start()), event.retry_after_ms ?? 1000);
    }
  }

  _sound(header, pcm) {
    this.playback.arrived(header.turn_id);
    this.speaker.push(header.turn_id, pcm);
  }
}
