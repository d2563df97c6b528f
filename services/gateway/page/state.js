// What the talk button says. Pure: facts in, facts out; `face` names the one state that is shown.

export const FACES = [
  "checking", "ready", "connecting", "listening", "hearing", "thinking", "speaking", "paused",
  "muted", "reconnecting", "failed",
];

export const FIRST = Object.freeze({
  phase: "checking", // checking | ready | connecting | open | reconnecting | failed
  hasMicrophone: false,
  isMuted: false,
  isHeld: false, // push to talk: the button or the space bar is down
  mode: "free", // free | push | turns
  isHearing: false, // the person speaks
  isAwaited: false, // what was said is being understood
  turn: null, // the answer that is being made
  isPlaying: false,
  isPaused: false,
});

const QUIET = { isHearing: false, isAwaited: false, turn: null, isPaused: false };
const LINK = {
  "check.done": "ready",
  "link.connecting": "connecting",
  "link.open": "open",
  "link.lost": "reconnecting",
  "link.failed": "failed",
  "link.closed": "ready",
};

/** Returns the facts after an event: one of the server's (by its `type`), or one of the page's own. */
export function step(facts, event) {
  const phase = LINK[event.type];
  if (phase === "ready" && event.type === "check.done" && facts.phase !== "checking") return facts;
  if (phase) return { ...facts, ...(phase === "open" ? {} : QUIET), phase };
  switch (event.type) {
    case "mic.on":
      return { ...facts, hasMicrophone: true };
    case "mic.off":
      return { ...facts, hasMicrophone: false, isHearing: false, isHeld: false };
    case "mode":
      return { ...facts, mode: event.mode, isHeld: false };
    case "mute":
      return { ...facts, isMuted: event.on };
    case "hold":
      return held(facts, event.on);
    case "playing":
      return { ...facts, isPlaying: event.on, isPaused: event.on && facts.isPaused };
    default:
      return told(facts, event);
  }
}

function held(facts, on) {
  if (on) return { ...facts, isHeld: true };
  return { ...facts, isHeld: false, isHearing: false, isAwaited: facts.isHearing };
}

function told(facts, event) {
  switch (event.type) {
    case "speech_started":
      return { ...facts, isHearing: true, isAwaited: false };
    case "speech_stopped":
      return { ...facts, isHearing: false, isAwaited: true };
    case "final":
      return { ...facts, isHearing: false, isAwaited: false };
    case "turn_started":
      return { ...facts, turn: event.turn_id, isAwaited: false };
    case "turn_done":
    case "interrupted":
      return event.turn_id === facts.turn ? { ...facts, turn: null } : facts;
    case "error":
      if (event.turn_id) return event.turn_id === facts.turn ? { ...facts, turn: null } : facts;
      return { ...facts, isAwaited: false };
    case "pause":
      return { ...facts, isPaused: facts.isPlaying };
    case "resume":
    case "flush":
      return { ...facts, isPaused: false };
    default:
      return facts;
  }
}

/** Returns the name of the state that is shown. */
export function face(facts) {
  if (facts.phase !== "open") return facts.phase;
  if (facts.isPaused) return "paused";
  if (facts.isPlaying) return "speaking";
  if (facts.isHearing) return "hearing";
  if (facts.turn || facts.isAwaited) return "thinking";
  if (!facts.hasMicrophone) return "ready";
  if (facts.mode === "push") return facts.isHeld ? "hearing" : "listening";
  return facts.isMuted && !facts.isHeld ? "muted" : "listening";
}

/** Whether what the microphone hears goes to EVA. */
export function isOpen(facts) {
  if (!facts.hasMicrophone || facts.phase !== "open") return false;
  return facts.isHeld || (facts.mode !== "push" && !facts.isMuted);
}

/** What a press of the talk button means in this state. */
export function press(facts) {
  const now = face(facts);
  if (now === "checking" || now === "connecting") return "nothing";
  if (now === "ready" || now === "failed" || now === "reconnecting") return "start";
  if (now === "speaking" || now === "paused" || facts.turn) return "stop";
  if (facts.mode === "push") return "nothing"; // it is held, not pressed
  return facts.isMuted ? "unmute" : "mute";
}
