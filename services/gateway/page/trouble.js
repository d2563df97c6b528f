// What went wrong, in a person's terms. Pure: what is known in, the name of a screen out (its words: words.js).

const CLOSED = {
  session_taken_over: "taken",
  slow_client: "slow",
};

/** A refused microphone, from the browser's exception. */
export function ofMicrophone(error) {
  switch (error?.name) {
    case "NotAllowedError":
    case "SecurityError":
      return "denied";
    case "NotFoundError":
    case "OverconstrainedError":
      return "nodevice";
    default:
      return "nomic";
  }
}

/**
 * An error event of the server that is no turn's own; null: nothing that a screen is to say.
 * Screens that stay until somebody acts are `taken`, `erased`, `key` and `origin`.
 */
export function ofError(event) {
  switch (event.code) {
    case "session_taken_over":
      return "taken";
    case "session_erased":
      return "erased";
    case "busy":
    case "too_many_sessions":
      return "busy";
    case "draining":
      return "gone";
    case "broker_lost":
      return "broker";
    case "no_ears":
      return "ears";
    case "idle_timeout":
      return "idle";
    case "slow_client":
      return "slow";
    case "rate_limit_exceeded":
    case "limit_reached":
      return "limit";
    default:
      return null;
  }
}

/** A socket that was closed; null: it is tried again without a word but "reconnecting". */
export function ofClose(code, reason) {
  if (CLOSED[reason]) return CLOSED[reason];
  return null;
}

/** What a request to the gateway was answered with, where its socket would not open. */
export function ofStatus(status) {
  if (status === 0) return "gone";
  if (status === 401) return "key";
  if (status === 403) return "origin";
  if (status === 429) return "limit";
  return null;
}

/** A failed turn, by its code: which part of EVA it was. */
export function ofTurn(code) {
  if (code === "broker_lost") return "broker";
  if (code?.startsWith("llm")) return "mind";
  if (code?.startsWith("tts")) return "voice";
  if (code === "turn_timeout" || code === "no_responders" || code === "lost") return "stage";
  return "turn";
}

/** Milliseconds before the next try to connect; `random` is 0..1. */
export function waitMs(attempt, random) {
  const most = Math.min(8000, 400 * 2 ** Math.min(attempt, 10));
  return most * (0.6 + 0.4 * random);
}
