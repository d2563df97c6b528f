// What the loudspeaker tells: how far each answer was heard, for the captions, the state and the server.

const TELL_EVERY_MS = 200;

export class Playback {
  /** `on`: step(event), send(message), entry(entry), report(report). */
  constructor(speaker, captions, on) {
    this._speaker = speaker;
    this._captions = captions;
    this._on = on;
    this.heard = null; // {turn, ms}: how far the loudspeaker has got
    this.delaysMs = new Map(); // turn → from its first sound's arrival to the loudspeaker
    this._arrived = new Map(); // turn → when its first sound came
    this._toldAt = 0;
    this._begun = null; // {turn, ms}: where the sound begins of a turn that went on after the connection was lost
  }

  /** A turn goes on: what comes of it lies so far behind the beginning of its sound. */
  begin(turn, ms) {
    this._begun = { turn, ms };
  }

  /** Sound of a turn has come. */
  arrived(turn) {
    if (!this._arrived.has(turn)) this._arrived.set(turn, performance.now());
  }

  /** Takes a report of the playback worklet. */
  take(report) {
    for (const event of report.events) this._event(event);
    const heardMs = Math.max(0, report.ms - this._speaker.latencyMs) + this._beganMs(report.turn);
    this.heard = report.turn === null ? null : { turn: report.turn, ms: Math.round(heardMs) };
    if (this.heard && report.isPlaying) {
      this._show(this._captions.played(report.turn, heardMs));
      const now = performance.now();
      if (now - this._toldAt >= TELL_EVERY_MS) {
        this._toldAt = now;
        this._on.send({ type: "played", turn_id: report.turn, ms: this.heard.ms });
      }
    }
    this._on.report(report);
  }

  _event(event) {
    if (event.type === "started") {
      const arrived = this._arrived.get(event.turn);
      if (arrived && !this.delaysMs.has(event.turn)) {
        this.delaysMs.set(event.turn, performance.now() - arrived + this._speaker.latencyMs);
      }
      this._on.step({ type: "playing", on: true });
    } else if (event.type === "silent") {
      this._on.step({ type: "playing", on: false });
    } else if (event.type === "finished" || event.type === "flushed") {
      this._arrived.delete(event.turn);
      const ms = event.ms + this._beganMs(event.turn);
      this._on.send({ type: "played", turn_id: event.turn, ms: Math.round(ms) });
      const isWhole = event.type === "finished";
      this._show(isWhole ? this._captions.finished(event.turn) : this._captions.played(event.turn, ms));
    }
  }

  _beganMs(turn) {
    return this._begun?.turn === turn ? this._begun.ms : 0;
  }

  _show(entry) {
    if (entry) this._on.entry(entry);
  }
}
