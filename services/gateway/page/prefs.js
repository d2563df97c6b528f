// What a person chose, kept in this browser; the API key and the session only in this tab.

const FIRST = { mode: "free", device: "", voice: "", language: "", theme: "auto", ui: "" };
const MODES = new Set(["free", "push", "turns"]);

export class Prefs {
  constructor(local = safely(() => localStorage), tab = safely(() => sessionStorage)) {
    this._local = local;
    this._tab = tab;
    this._chosen = { ...FIRST, ...read(local, "eva") };
    if (!MODES.has(this._chosen.mode)) this._chosen.mode = FIRST.mode;
  }

  get(name) {
    return this._chosen[name];
  }

  set(name, value) {
    this._chosen[name] = value;
    safely(() => this._local?.setItem("eva", JSON.stringify(this._chosen)));
  }

  get key() {
    return safely(() => this._tab?.getItem("eva.key")) ?? "";
  }

  set key(value) {
    this._keep("eva.key", value.trim());
  }

  get session() {
    return safely(() => this._tab?.getItem("eva.session")) ?? "";
  }

  set session(value) {
    this._keep("eva.session", value);
  }

  /** For requests: who is asking. */
  get headers() {
    return this.key ? { authorization: `Bearer ${this.key}` } : {};
  }

  _keep(name, value) {
    safely(() => (value ? this._tab?.setItem(name, value) : this._tab?.removeItem(name)));
  }
}

/** Storage may be forbidden; then the choice holds until the page is closed. */
function safely(access) {
  try {
    return access() ?? null;
  } catch {
    return null;
  }
}

function read(storage, name) {
  const found = safely(() => JSON.parse(storage?.getItem(name) ?? "{}"));
  return found && typeof found === "object" ? found : {};
}
