// The socket to the gateway: opened, kept, and opened again with the same session when it was lost.

import { ofStatus, waitMs } from "./trouble.js";

const STEADY_MS = 5000;
const LET_IN = 405; // what the question why is answered where nothing is wrong: there is nothing to post to

export class Link {
  /**
   * `start()` returns the first message, `key()` the API key or "". `on` has `state(name, facts)` with `connecting`,
   * `open`, `lost`, `closed` or `refused` (facts.status), `event(event)`, `sound(header, buffer)`.
   */
  constructor({ start, key, on }) {
    this._start = start;
    this._key = key;
    this._on = on;
    this._socket = null;
    this._header = null;
    this._isWanted = false;
    this._isOver = false;
    this._attempt = 0;
    this._timer = 0;
  }

  get isOpen() {
    return !this._isOver && this._socket?.readyState === WebSocket.OPEN;
  }

  /** Bytes that wait in the browser: more than a second of sound means that nobody takes them. */
  get waitingBytes() {
    return this._socket?.bufferedAmount ?? 0;
  }

  /** Connects now; does nothing where it is connected or about to be. */
  open() {
    this._isWanted = true;
    clearTimeout(this._timer);
    if (this._socket && this._isOver) {
      this._drop(1000);
      this._on.state("closed", {});
    }
    if (this._socket) return;
    this._on.state("connecting", {});
    this._connect();
  }

  /** Says good-bye. */
  close() {
    this._isWanted = false;
    clearTimeout(this._timer);
    if (this.isOpen) this.send({ type: "stop" });
    this._drop(1000);
    this._on.state("closed", {});
  }

  /** The server is about to close it: does not come back by itself, and takes nothing more; `open` opens another. */
  giveUp() {
    this._isWanted = false;
    this._isOver = true;
    clearTimeout(this._timer);
  }

  send(message) {
    if (this.isOpen) this._socket.send(JSON.stringify(message));
  }

  sendFrame(buffer) {
    if (this.isOpen) this._socket.send(buffer);
  }

  _connect() {
    const key = this._key();
    // A browser can send no header with a socket; the server selects one of the names, never the key.
    const protocols = key ? ["eva", "realtime", `openai-insecure-api-key.${key}`] : [];
    const url = `${location.protocol === "https:" ? "wss:" : "ws:"}//${location.host}/ws/chat`;
    let socket;
    try {
      socket = new WebSocket(url, protocols);
    } catch {
      this._on.state("refused", { status: 401 }); // the key has characters that no key has
      return;
    }
    socket.binaryType = "arraybuffer";
    this._socket = socket;
    this._isOver = false;
    this._header = null;
    let openedAt = 0;
    socket.onopen = () => {
      openedAt = performance.now();
      this.send(this._start());
    };
    socket.onmessage = ({ data }) => this._receive(data);
    socket.onclose = ({ code, reason }) => {
      if (this._socket !== socket) return;
      this._socket = null;
      if (openedAt && performance.now() - openedAt > STEADY_MS) this._attempt = 0;
      this._closed(code, reason, openedAt > 0);
    };
  }

  _receive(data) {
    if (typeof data !== "string") {
      const header = this._header;
      this._header = null;
      if (header) this._on.sound(header, data);
      return;
    }
    const event = JSON.parse(data);
    if (event.type === "audio") this._header = event;
    if (event.type === "ready") {
      this._on.state("open", {});
    }
    this._on.event(event);
  }

  async _closed(code, reason, wasOpen) {
    if (!this._isWanted) {
      this._on.state("closed", { code, reason });
      return;
    }
    this._on.state("lost", { code, reason, attempt: this._attempt });
    if (!wasOpen) {
      const status = await this._status();
      if (!this._isWanted || this._socket) return;
      const why = ofStatus(status);
      if (why === "key" || why === "origin") {
        this._isWanted = false;
        this._on.state("refused", { status });
        return;
      }
      // A gateway that answers requests and takes no socket has no room: it cannot tell a browser so.
      this._on.state("lost", { code, reason, status, isFull: status === LET_IN, attempt: this._attempt });
    }
    this._timer = setTimeout(() => {
      if (this._isWanted && !this._socket) this._connect();
    }, waitMs(this._attempt++, Math.random()));
  }

  /**
   * Why a socket does not open: a browser is not told, so a request asks. It posts, since a browser names the page's
   * origin with nothing less, and since a key's conversations are counted with nothing less.
   */
  async _status() {
    try {
      const key = this._key();
      const headers = key ? { authorization: `Bearer ${key}` } : {};
      const answer = await fetch("/v1/models", { method: "POST", headers, cache: "no-store" });
      return answer.status;
    } catch {
      return 0;
    }
  }

  _drop(code) {
    const socket = this._socket;
    this._socket = null;
    socket?.close(code);
  }
}
