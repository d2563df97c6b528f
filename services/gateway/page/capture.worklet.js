// The microphone's side: frames of 20 ms, mono, signed 16 bits at 16 kHz, from whatever rate the browser runs at.
//
// Posts {pcm: ArrayBuffer of 640 bytes, rms: 0..1} for each frame.

export const RATE_HZ = 16000;
export const FRAME = 320;
const TAPS = 24; // on each side of a sample, at the lower of both rates

/** Band-limited resampling by a windowed sinc; keeps its state between blocks. */
export class Resampler {
  constructor(fromHz, toHz) {
    this._step = fromHz / toHz;
    this._isSame = fromHz === toHz;
    this._cutoff = Math.min(1, toHz / fromHz) * 0.94;
    this._reach = Math.ceil(TAPS * Math.max(1, this._step));
    this._past = new Float32Array(2 * this._reach);
    this._at = this._reach; // of the next output sample, in `_past` and what follows
  }

  /** Returns the samples that this block makes possible. */
  push(block) {
    if (this._isSame) return block;
    const samples = new Float32Array(this._past.length + block.length);
    samples.set(this._past);
    samples.set(block, this._past.length);
    const made = [];
    while (this._at + this._reach < samples.length) {
      made.push(this._one(samples, this._at));
      this._at += this._step;
    }
    const drop = Math.min(Math.floor(this._at) - this._reach, samples.length);
    this._past = samples.slice(drop);
    this._at -= drop;
    return Float32Array.from(made);
  }

  _one(samples, at) {
    const first = Math.max(0, Math.ceil(at - this._reach));
    const last = Math.min(samples.length - 1, Math.floor(at + this._reach));
    let sum = 0;
    for (let index = first; index <= last; index++) {
      const offset = at - index;
      const x = Math.PI * offset * this._cutoff;
      const sinc = Math.abs(x) < 1e-9 ? 1 : Math.sin(x) / x;
      const window = 0.5 + 0.5 * Math.cos((Math.PI * offset) / this._reach);
      sum += samples[index] * sinc * window;
    }
    return sum * this._cutoff;
  }
}

/** Cuts samples into frames. */
export class Framer {
  constructor() {
    this._frame = new Int16Array(FRAME);
    this._filled = 0;
    this._power = 0;
  }

  /** Takes samples; returns the frames that became full, each {pcm, rms}. */
  push(samples) {
    const full = [];
    for (const sample of samples) {
      const clean = Number.isFinite(sample) ? Math.max(-1, Math.min(1, sample)) : 0;
      this._power += clean * clean;
      this._frame[this._filled++] = Math.round(clean * 32767);
      if (this._filled === FRAME) {
        full.push({ pcm: this._frame.buffer, rms: Math.sqrt(this._power / FRAME) });
        this._frame = new Int16Array(FRAME);
        this._filled = 0;
        this._power = 0;
      }
    }
    return full;
  }
}

if (globalThis.registerProcessor) {
  class Capture extends AudioWorkletProcessor {
    constructor() {
      super();
      this._resampler = new Resampler(sampleRate, RATE_HZ);
      this._framer = new Framer();
      this._isOver = false;
      this.port.onmessage = () => (this._isOver = true);
    }

    process(inputs) {
      const channels = inputs[0];
      if (channels.length > 0) {
        const mono = channels.length === 1 ? channels[0] : mixed(channels);
        for (const frame of this._framer.push(this._resampler.push(mono))) {
          this.port.postMessage(frame, [frame.pcm]);
        }
      }
      return !this._isOver;
    }
  }

  const mixed = (channels) =>
    channels[0].map((_, index) => channels.reduce((sum, one) => sum + one[index], 0) / channels.length);

  registerProcessor("eva-capture", Capture);
}
