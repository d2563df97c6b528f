// Gives the microphone's sound on as signed 16-bit samples at 24 kHz, in blocks of 20 ms.
class Microphone extends AudioWorkletProcessor {
  block = new Int16Array(480);
  filled = 0;
  phase = 0; // of the next sample at 24 kHz
  sum = 0;
  count = 0;
  level = 0;

  process([[samples]]) {
    for (const sample of samples ?? []) {
      this.sum += sample;
      this.count += 1;
      this.phase += 24000 / sampleRate; // the browser's rate, often 48 kHz
      while (this.phase >= 1) {
        this.phase -= 1;
        if (this.count) this.level = this.sum / this.count;
        this.sum = this.count = 0;
        this.push(Math.max(-1, Math.min(1, this.level)) * 32767);
      }
    }
    return true;
  }

  push(value) {
    this.block[this.filled++] = value;
    if (this.filled < this.block.length) return;
    this.port.postMessage(this.block.buffer.slice(0));
    this.filled = 0;
  }
}

registerProcessor("microphone", Microphone);
