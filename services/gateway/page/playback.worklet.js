// The loudspeaker's side: a queue of samples by turn that is played without a click.
//
// It begins once PREBUFFER_MS are there, and waits longer after it has run dry. A pause holds the exact sample:
// what is heard while it fades is played again when it goes on. Of each turn it is known how much was heard.

export const PREBUFFER_MS = 60;
export const LATER_MS = 20; // more, after each time that it ran dry
export const MOST_MS = 300;
export const FADE_MS = 5;
export const REPORT_MS = 50;

/** What is to be played; counts in samples of one rate. */
export class Playout {
  constructor(rateHz) {
    this._rateHz = rateHz;
    this._fade = Math.round((FADE_MS * rateHz) / 1000);
    this.prebufferMs = PREBUFFER_MS;
    this.underruns = 0;
    this.isPlaying = false; // false: waiting for enough to begin with
    this.isPaused = false;
    this.events = [];
    this._chunks = []; // {turn, samples, at}
    this._ended = new Set();
    this._played = new Map();
    this._tail = new Float32Array(0);
    this._tailAt = 0;
    this._rise = 1; // 0..1
    this._last = 0;
    this._waited = 0;
  }

  /** Samples that wait. */
  get waiting() {
    return this._chunks.reduce((sum, chunk) => sum + chunk.samples.length - chunk.at, 0);
  }

  push(turn, samples) {
    if (samples.length === 0) return;
    if (!this._played.has(turn)) this._played.set(turn, 0);
    this._chunks.push({ turn, samples, at: 0 });
  }

  /** No more comes of this turn. */
  end(turn) {
    this._ended.add(turn);
    if (!this._played.has(turn)) this._ended.delete(turn);
    else if (!this._chunks.some((chunk) => chunk.turn === turn)) this._finish(turn);
  }

  pause() {
    if (this.isPaused) return;
    this.isPaused = true;
    this._fadeOut();
  }

  resume() {
    if (!this.isPaused) return;
    this.isPaused = false;
    this._rise = 0;
  }

  /** Throws away what waits of a turn; tells how much of it was heard. */
  flush(turn) {
    if (this._chunks[0]?.turn === turn && this.isPlaying && !this.isPaused) this._fadeOut();
    this._chunks = this._chunks.filter((chunk) => chunk.turn !== turn);
    this.isPaused = false;
    this._rise = 0;
    if (this._played.has(turn)) {
      this.events.push({ type: "flushed", turn, ms: this.playedMs(turn) });
      this._played.delete(turn);
      this._ended.delete(turn);
    }
    if (this._chunks.length === 0) this._stop();
  }

  playedMs(turn) {
    return ((this._played.get(turn) ?? 0) * 1000) / this._rateHz;
  }

  /** The turn that is heard now or next, or has run dry; null if there is none. */
  get turn() {
    return this._chunks[0]?.turn ?? [...this._played.keys()].pop() ?? null;
  }

  /** Fills a block. */
  pull(out) {
    out.fill(0);
    if (!this.isPaused && this._mayBegin(out.length)) this._play(out);
    for (let index = 0; index < out.length && this._tailAt < this._tail.length; index++) {
      out[index] += this._tail[this._tailAt++];
    }
  }

  _mayBegin(blockLength) {
    if (this.isPlaying) return true;
    if (this._chunks.length === 0) return false;
    const wanted = (this.prebufferMs * this._rateHz) / 1000;
    this._waited += blockLength;
    // What comes slowly is not waited for longer than it would have lasted.
    if (this.waiting < wanted && this._waited < wanted && !this._ended.has(this.turn)) return false;
    this.isPlaying = true;
    this._rise = 0;
    this.events.push({ type: "started", turn: this.turn });
    return true;
  }

  _play(out) {
    for (let index = 0; index < out.length; index++) {
      const chunk = this._chunks[0];
      if (!chunk) {
        this._ranDry();
        return;
      }
      const sample = chunk.samples[chunk.at++];
      if (this._rise < 1) this._rise = Math.min(1, this._rise + 1 / this._fade);
      out[index] = this._last = sample * this._rise;
      this._played.set(chunk.turn, this._played.get(chunk.turn) + 1);
      if (chunk.at === chunk.samples.length) this._next(chunk.turn);
    }
  }

  _next(turn) {
    this._chunks.shift();
    const isLast = !this._chunks.some((chunk) => chunk.turn === turn);
    if (isLast && this._ended.has(turn)) this._finish(turn);
  }

  _finish(turn) {
    this.events.push({ type: "finished", turn, ms: this.playedMs(turn) });
    this._played.delete(turn);
    this._ended.delete(turn);
    if (this._chunks.length === 0) this._stop();
  }

  _ranDry() {
    if (!this.isPlaying) return;
    this.underruns += 1;
    this.prebufferMs = Math.min(MOST_MS, this.prebufferMs + LATER_MS);
    const last = this._last;
    this._setTail(Float32Array.from({ length: this._fade }, (_, index) => last * (1 - index / this._fade)));
    this._stop();
    this.events.push({ type: "dry" });
  }

  _stop() {
    if (this.isPlaying) this.events.push({ type: "silent" });
    this.isPlaying = false;
    this._waited = 0;
    this._last = 0;
  }

  /** The next few samples are heard once more, fading, and stay in the queue. */
  _fadeOut() {
    if (!this.isPlaying) return;
    const tail = new Float32Array(this._fade);
    let filled = 0;
    for (const chunk of this._chunks) {
      for (let at = chunk.at; at < chunk.samples.length && filled < tail.length; at++, filled++) {
        tail[filled] = chunk.samples[at] * this._rise * (1 - filled / this._fade);
      }
    }
    this._setTail(tail);
  }

  _setTail(tail) {
    this._tail = tail;
    this._tailAt = 0;
  }
}

if (globalThis.registerProcessor) {
  class Playback extends AudioWorkletProcessor {
    constructor() {
      super();
      this._playout = new Playout(sampleRate);
      this._since = 0;
      this._power = 0;
      this.port.onmessage = ({ data }) => this._take(data);
    }

    _take(message) {
      const playout = this._playout;
      if (message.type === "push") playout.push(message.turn, message.samples);
      else if (message.type === "end") playout.end(message.turn);
      else if (message.type === "pause") playout.pause();
      else if (message.type === "resume") playout.resume();
      else if (message.type === "flush") playout.flush(message.turn);
      this._report(true);
    }

    process(_inputs, outputs) {
      const out = outputs[0][0];
      this._playout.pull(out);
      for (const sample of out) this._power += sample * sample;
      this._since += out.length;
      for (let channel = 1; channel < outputs[0].length; channel++) outputs[0][channel].set(out);
      this._report(this._playout.events.length > 0);
      return true;
    }

    _report(isUrgent) {
      if (!isUrgent && this._since < (REPORT_MS * sampleRate) / 1000) return;
      const playout = this._playout;
      const turn = playout.turn;
      this.port.postMessage({
        turn,
        ms: turn === null ? 0 : playout.playedMs(turn),
        bufferMs: (playout.waiting * 1000) / sampleRate,
        underruns: playout.underruns,
        prebufferMs: playout.prebufferMs,
        isPlaying: playout.isPlaying,
        rms: this._since ? Math.sqrt(this._power / this._since) : 0,
        events: playout.events.splice(0),
      });
      if (this._since) this._since = this._power = 0;
    }
  }

  registerProcessor("eva-playback", Playback);
}
