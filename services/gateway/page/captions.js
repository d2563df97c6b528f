// The words of both sides, as they are said and heard. Pure: events in, entries out.
//
// A person's entry is grey until it is final. EVA's words are told with their times (`words`), and the loudspeaker
// tells how far it has got: what lies behind that was heard. Of an answer that was cut off, the rest is
// struck through.

/** One side's words in one turn. */
class Entry {
  constructor(id, who) {
    this.id = id;
    this.who = who; // person | eva
    this.turn = null;
    this.text = "";
    this.stable = 0; // person: so many characters change no more
    this.isFinal = false;
    this.isAside = false; // a "mm-hm" that nobody answers
    this.isStruck = false; // eva: what was not heard never will be
    this.isSilent = false; // eva: an answer without sound is read, not heard
    this.isDone = false;
    this.filler = "";
    this.failure = null; // the error that ended it
    this.segments = []; // eva: {text, at, words}
    this.heardMs = 0;
    this.isHeardAll = false;
    this.before = 0; // eva: so many characters had been heard when the connection was lost
    this.kept = ""; // what the server took for heard, when it was stopped
    this.timeline = null;
    this.at = null; // when it began, ms of the caller's clock
  }

  get hasTimes() {
    return this.segments.some((segment) => segment?.words.size > 0);
  }

  /** EVA: so many characters of `text` were heard. */
  get heard() {
    if (this.isHeardAll) return this.text.length;
    let heard = this.text.startsWith(this.kept) && !this.hasTimes ? this.kept.length : 0;
    heard = Math.max(heard, this.before);
    for (const segment of this.segments.filter(Boolean)) {
      for (const word of segment.words.values()) {
        if (word.start_ms <= this.heardMs) heard = Math.max(heard, segment.at + word.end);
      }
    }
    return Math.min(heard, this.text.length);
  }
}

export class Captions {
  constructor() {
    this.entries = [];
    this._turns = new Map();
    this._live = null;
    this._next = 0;
  }

  /** Takes an event of the server; returns the entry that it changed, or null. */
  apply(event, nowMs = 0) {
    switch (event.type) {
      case "ready":
        return event.turn ? this._goesOn(event.turn, nowMs) : null;
      case "speech_started":
        return this._live ?? (this._live = this._add("person", nowMs));
      case "partial":
        this._live ??= this._add("person", nowMs);
        this._live.text = event.text;
        this._live.stable = event.stable ?? 0;
        return this._live;
      case "final":
        return this._final(event, nowMs);
      case "turn_started":
        return this._answer(event.turn_id, nowMs);
      case "token":
        return this._token(event);
      case "segment":
        return this._segment(event);
      case "words":
        return this._words(event);
      case "filler":
        return this._with(event.turn_id, (entry) => (entry.filler = event.text));
      case "flush":
        return this._with(event.turn_id, (entry) => (entry.isStruck = !entry.isHeardAll));
      case "turn_done":
        return this._with(event.turn_id, (entry) => done(entry, event));
      case "interrupted":
        return this._with(event.turn_id, (entry) => interrupted(entry, event));
      case "error":
        return event.turn_id ? this._with(event.turn_id, (entry) => failed(entry, event)) : null;
      default:
        return null;
    }
  }

  /** The person typed this. */
  typed(text, nowMs = 0) {
    const entry = this._add("person", nowMs);
    entry.text = text;
    entry.isFinal = true;
    return entry;
  }

  /** So much of a turn's sound was heard, ms. */
  played(turn, ms) {
    return this._with(turn, (entry) => (entry.heardMs = Math.max(entry.heardMs, ms)));
  }

  /** All of a turn's sound was heard. */
  finished(turn) {
    return this._with(turn, (entry) => {
      if (!entry.isStruck) entry.isHeardAll = true;
    });
  }

  /** Nothing more comes of what is unfinished: the connection is gone. Returns what it changed. */
  abandon() {
    const open = this.entries.filter((entry) => !(entry.who === "eva" ? entry.isDone : entry.isFinal));
    for (const entry of open) {
      entry.isFinal = true;
      entry.isDone = true;
      if (entry.who === "eva") entry.isStruck = !entry.isHeardAll;
    }
    this._live = null;
    return open;
  }

  clear() {
    this.entries = [];
    this._turns.clear();
    this._live = null;
  }

  /** The conversation as plain text: what was said, and of EVA what was heard. */
  transcript(names) {
    return this.entries
      .map((entry) => [entry, entry.who === "eva" ? said(entry) : entry.text.trim()])
      .filter(([, text]) => text)
      .map(([entry, text]) => `${names[entry.who]}: ${text}\n`)
      .join("\n");
  }

  _add(who, nowMs) {
    const entry = new Entry(this._next++, who);
    entry.at = nowMs;
    this.entries.push(entry);
    return entry;
  }

  _answer(turn, nowMs) {
    const entry = this._add("eva", nowMs);
    entry.turn = turn;
    this._turns.set(turn, entry);
    return entry;
  }

  /** The connection is back in the middle of an answer: the rest of it follows. */
  _goesOn(turn, nowMs) {
    if (!this._turns.has(turn.turn_id) && turn.question) this.typed(turn.question, nowMs);
    const entry = this._turns.get(turn.turn_id) ?? this._answer(turn.turn_id, nowMs);
    entry.before = turn.text.startsWith(entry.text.slice(0, entry.heard)) ? entry.heard : 0;
    entry.text = turn.text;
    entry.segments = []; // those that are not heard to their end are told again
    entry.isDone = entry.isStruck = entry.isHeardAll = false;
    return entry;
  }

  _with(turn, change) {
    const entry = this._turns.get(turn) ?? null;
    if (entry) change(entry);
    return entry;
  }

  _final(event, nowMs) {
    const text = event.text.trim();
    const entry = this._live ?? (text ? this._add("person", nowMs) : null);
    this._live = null;
    if (!entry) return null;
    entry.text = text;
    entry.isFinal = true;
    entry.turn = event.turn_id;
    entry.isAside = event.turn_id === null;
    if (!text) this.entries = this.entries.filter((other) => other !== entry);
    return entry;
  }

  _token(event) {
    return this._with(event.turn_id, (entry) => {
      entry.text = entry.text.slice(0, event.at ?? entry.text.length) + event.text;
      place(entry);
    });
  }

  _segment(event) {
    return this._with(event.turn_id, (entry) => {
      entry.segments[event.segment] ??= { text: "", at: 0, words: new Map() };
      entry.segments[event.segment].text = event.text;
      place(entry);
    });
  }

  _words(event) {
    return this._with(event.turn_id, (entry) => {
      const segment = entry.segments[event.segment];
      if (!segment) return;
      for (const word of event.words) segment.words.set(word.begin, word);
    });
  }
}

/** Finds where in the text each segment begins; one that is not there word by word follows the one before. */
function place(entry) {
  const first = entry.segments.find(Boolean);
  let end = first ? Math.max(0, entry.before - first.text.length) : 0;
  for (const segment of entry.segments) {
    if (!segment) continue;
    const found = entry.text.indexOf(segment.text, end);
    segment.at = found >= 0 ? found : end;
    end = segment.at + segment.text.length;
  }
}

function done(entry, event) {
  entry.text = event.text || entry.text;
  entry.isDone = true;
  entry.timeline = event.timeline ?? null;
  entry.isSilent = !event.has_audio;
  if (entry.isSilent) entry.isHeardAll = true;
  place(entry);
}

function interrupted(entry, event) {
  entry.isDone = true;
  entry.isStruck = true;
  entry.kept = event.heard ?? "";
  entry.timeline = event.timeline ?? null;
}

function failed(entry, event) {
  entry.isDone = true;
  entry.failure = event;
  if (event.text) entry.text = event.text;
  place(entry);
}

function said(entry) {
  const text = entry.isStruck ? `${entry.text.slice(0, entry.heard).trim()} …` : entry.text.trim();
  return text === " …" || text === "…" ? "" : text;
}
