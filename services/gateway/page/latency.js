// Where the time of a turn went. Pure.

export const QUICK_MS = 300;
export const FAIR_MS = 500;
const PARTS = ["endpoint", "stt", "llm", "tts", "send"];

/** Returns `quick`, `fair` or `slow`. */
export function verdict(ms) {
  if (ms <= QUICK_MS) return "quick";
  return ms <= FAIR_MS ? "fair" : "slow";
}

/**
 * Returns the strip of one turn: its parts in order with their share of the whole, and the first sound.
 *
 * `timeline` is the server's (docs/asyncapi.yaml); `playoutMs` is what this page added, from the arrival of the
 * first chunk to the loudspeaker. Null where the turn had no sound: there is nothing to be told.
 */
export function strip(timeline, playoutMs = 0) {
  if (!timeline || !(timeline.response_ms > 0)) return null;
  const parts = PARTS.map((name) => ({ name, ms: timeline[`${name}_ms`] ?? 0 }));
  parts.push({ name: "play", ms: playoutMs });
  const whole = parts.reduce((sum, part) => sum + part.ms, 0) || 1;
  // A filler may have been heard before the answer was.
  const heard = timeline.first_sound_ms > 0 ? timeline.first_sound_ms : timeline.response_ms;
  const firstMs = Math.min(heard, timeline.response_ms) + playoutMs;
  return {
    parts: parts.map((part) => ({ name: part.name, ms: Math.round(part.ms), share: part.ms / whole })),
    firstMs: Math.round(firstMs),
    verdict: verdict(firstMs),
    isSpeculative: Boolean(timeline.is_speculative),
  };
}
