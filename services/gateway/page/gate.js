// Which of the microphone's frames go to EVA. Pure.

export const LEAD_FRAMES = 10; // push to talk: what was said while the finger came down
export const TAIL_FRAMES = 300; // muted: so much silence (6 s) ends an utterance, whatever its patience
const SILENCE = new ArrayBuffer(640);

export class Gate {
  constructor() {
    this._lead = [];
    this._tail = 0;
  }

  /** Returns what is to be sent for a frame. `isOpen`: the person is to be heard; `isPush`: push to talk. */
  take(pcm, { isOpen, isPush }) {
    if (isOpen) {
      this._tail = isPush ? 0 : TAIL_FRAMES;
      return [...this._lead.splice(0), pcm];
    }
    if (isPush) {
      this._lead.push(pcm);
      if (this._lead.length > LEAD_FRAMES) this._lead.shift();
      return [];
    }
    this._lead = [];
    if (this._tail === 0) return [];
    this._tail -= 1;
    return [SILENCE];
  }
}
