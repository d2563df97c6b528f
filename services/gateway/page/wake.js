// Keeps the screen on while there is a conversation.

export class Wake {
  constructor() {
    this._lock = null;
    this._isWanted = false;
  }

  async keep() {
    this._isWanted = true;
    if (!navigator.wakeLock || document.visibilityState !== "visible" || this._lock) return;
    try {
      this._lock = await navigator.wakeLock.request("screen");
      this._lock.addEventListener("release", () => (this._lock = null));
      if (!this._isWanted) this.release();
    } catch {
      this._lock = null; // a weak battery, or the browser does not want to
    }
  }

  release() {
    this._isWanted = false;
    this._lock?.release();
  }

  /** The tab is seen again: the browser has let the lock go. */
  seen() {
    if (this._isWanted) this.keep();
  }
}
