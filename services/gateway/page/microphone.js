// The microphone: opened with echo cancelling, read by the capture worklet in frames of 20 ms.

export const RATE_HZ = 16000;
const WISHES = { echoCancellation: true, noiseSuppression: true, autoGainControl: true, channelCount: 1 };
const SILENT = 1e-7;

export class Microphone {
  /** `onFrame(pcm, rms)` for each frame; `onEnd()` when the device was taken away. */
  constructor(onFrame, onEnd) {
    this._onFrame = onFrame;
    this._onEnd = onEnd;
    this._stream = null;
    this._context = null;
    this._node = null;
  }

  static get isPossible() {
    return Boolean(globalThis.isSecureContext && navigator.mediaDevices?.getUserMedia);
  }

  get isOpen() {
    return this._stream !== null;
  }

  get label() {
    return this._stream?.getAudioTracks()[0]?.label ?? "";
  }

  /** Opens a device (empty: the browser's choice). Raises the browser's DOMException. */
  async open(deviceId = "") {
    const audio = deviceId ? { ...WISHES, deviceId: { exact: deviceId } } : WISHES;
    const stream = await navigator.mediaDevices.getUserMedia({ audio });
    await this.close();
    this._stream = stream;
    const [track] = stream.getAudioTracks();
    track.addEventListener("ended", () => {
      if (this._stream === stream) this.close().then(this._onEnd);
    });
    try {
      await this._listen(stream, { sampleRate: RATE_HZ, latencyHint: "interactive" });
    } catch {
      // Firefox joins no microphone to a context of another rate: the worklet resamples.
      await this._context?.close();
      await this._listen(stream, { latencyHint: "interactive" });
    }
  }

  /** Muted at the device's track: the browser shows it, and the worklet gets silence. */
  set isEnabled(on) {
    for (const track of this._stream?.getAudioTracks() ?? []) track.enabled = on;
  }

  async close() {
    const [stream, context] = [this._stream, this._context];
    this._stream = this._context = null;
    this._node?.port.postMessage("over");
    this._node = null;
    for (const track of stream?.getTracks() ?? []) track.stop();
    await context?.close();
  }

  /** The devices that can be chosen, each {id, label}; labels are there once one was allowed. */
  static async devices() {
    if (!Microphone.isPossible) return [];
    const all = await navigator.mediaDevices.enumerateDevices();
    return all
      .filter((device) => device.kind === "audioinput" && device.deviceId)
      .map((device) => ({ id: device.deviceId, label: device.label }));
  }

  async _listen(stream, options) {
    this._context = new AudioContext(options);
    await this._context.audioWorklet.addModule("/page/capture.worklet.js");
    const source = this._context.createMediaStreamSource(stream);
    this._node = new AudioWorkletNode(this._context, "eva-capture", { numberOfOutputs: 1 });
    this._node.port.onmessage = ({ data }) => this._onFrame(data.pcm, data.rms);
    // Without a way to the loudspeaker some browsers do not run it; what it puts out is silence.
    source.connect(this._node).connect(this._context.destination);
    if (this._context.state === "suspended") await this._context.resume();
  }
}

/** Loudness of a frame as 0..1 of what a meter shows (-60 to 0 dBFS). */
export function meter(rms) {
  return Math.max(0, Math.min(1, 1 + (20 * Math.log10(Math.max(rms, SILENT))) / 60));
}
