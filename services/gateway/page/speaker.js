// The loudspeaker: an AudioContext at EVA's rate with the playback worklet in it.

export const RATE_HZ = 24000;

export class Speaker {
  /** `onReport` gets what the worklet tells, about 20 times a second while it lives. */
  constructor(onReport) {
    this._onReport = onReport;
    this._context = null;
    this._node = null;
    this._opening = null;
    this._early = [];
  }

  /**
   * Opens the audio; must first be called from a person's gesture. Again: wakes it where it was suspended.
   * False: it cannot be had now, and the next press tries again.
   */
  async open() {
    this._opening ??= this._open();
    try {
      await this._opening;
    } catch {
      this._opening = null;
      return false;
    }
    if (this._context.state === "suspended") await this._context.resume();
    return true;
  }

  /** Milliseconds from the worklet to the ear, as far as the browser knows. */
  get latencyMs() {
    return 1000 * ((this._context?.outputLatency || 0) + (this._context?.baseLatency || 0));
  }

  get state() {
    return this._context?.state ?? "closed";
  }

  /** Signed 16-bit samples of a turn. */
  push(turn, buffer) {
    const pcm = new Int16Array(buffer);
    const samples = new Float32Array(pcm.length);
    for (let index = 0; index < pcm.length; index++) samples[index] = pcm[index] / 32768;
    this._post({ type: "push", turn, samples }, [samples.buffer]);
  }

  end(turn) {
    this._post({ type: "end", turn });
  }

  pause() {
    this._post({ type: "pause" });
  }

  resume() {
    this._post({ type: "resume" });
  }

  flush(turn) {
    this._post({ type: "flush", turn });
  }

  async _open() {
    this._context = new AudioContext({ sampleRate: RATE_HZ, latencyHint: "interactive" });
    await this._context.audioWorklet.addModule("/page/playback.worklet.js");
    this._node = new AudioWorkletNode(this._context, "eva-playback", { numberOfInputs: 0, outputChannelCount: [1] });
    this._node.port.onmessage = ({ data }) => this._onReport(data);
    this._node.connect(this._context.destination);
    for (const [message, moved] of this._early.splice(0)) this._node.port.postMessage(message, moved);
  }

  _post(message, moved = []) {
    if (this._node) this._node.port.postMessage(message, moved);
    else this._early.push([message, moved]);
  }
}
