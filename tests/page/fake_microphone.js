// Runs before the page's own code: a microphone that speaks on command, and ears at the page's loudspeaker.
(() => {
  const bench = { refuse: "", destination: null, heard: [], recorders: 0, violations: [], constraints: null, sockets: [] };
  globalThis.bench = bench;
  document.addEventListener("securitypolicyviolation", (event) => bench.violations.push(`${event.violatedDirective} ${event.blockedURI}`));

  let context = null;
  if (navigator.mediaDevices) {
    navigator.mediaDevices.getUserMedia = async (constraints) => {
      bench.constraints = constraints;
      if (bench.refuse) throw new DOMException("the test says no", bench.refuse);
      context ??= new AudioContext({ sampleRate: 48000 });
      await context.resume();
      bench.destination = context.createMediaStreamDestination();
      return bench.destination.stream;
    };
  }

  // Speaks mono signed 16-bit samples at 16 kHz, base64; resolves when all was said.
  bench.say = (base64) => {
    const bytes = Uint8Array.from(atob(base64), (char) => char.charCodeAt(0));
    const pcm = new Int16Array(bytes.buffer);
    const buffer = context.createBuffer(1, pcm.length, 16000);
    buffer.copyToChannel(Float32Array.from(pcm, (sample) => sample / 32768), 0);
    const source = new AudioBufferSourceNode(context, { buffer });
    source.connect(bench.destination);
    return new Promise((resolve) => {
      source.onended = resolve;
      source.start();
    });
  };

  // The page's policy lets in no code of a test, so its own microphone listens: frames of 20 ms at 16 kHz. It is
  // there before what it listens to, or the first sounds would be heard by nobody. Other pages have none.
  const addModule = AudioWorklet.prototype.addModule;
  AudioWorklet.prototype.addModule = async function (url, ...rest) {
    if (url.startsWith("/page/")) await addModule.call(this, "/page/capture.worklet.js");
    return addModule.call(this, url, ...rest);
  };

  const connect = AudioNode.prototype.connect;
  AudioNode.prototype.connect = function (target, ...rest) {
    if (target instanceof AudioDestinationNode && this instanceof AudioWorkletNode && this.numberOfInputs === 0) {
      const recorder = new AudioWorkletNode(this.context, "eva-capture", { numberOfOutputs: 0 });
      recorder.port.onmessage = ({ data }) => bench.heard.push(new Uint8Array(data.pcm));
      connect.call(this, recorder);
      bench.recorders += 1;
    }
    return connect.call(this, target, ...rest);
  };

  // All that the loudspeaker played from a block on: base64 of 16-bit samples.
  bench.sound = (from = 0) => {
    let text = "";
    for (const block of bench.heard.slice(from)) text += String.fromCharCode(...block);
    return btoa(text);
  };

  // What goes over the page's sockets, for tests of what is sent.
  const send = WebSocket.prototype.send;
  WebSocket.prototype.send = function (data) {
    bench.sockets.push(typeof data === "string" ? data : new Uint8Array(data).some((byte) => byte !== 0) ? "sound" : "silence");
    return send.call(this, data);
  };
})();
