// The system check: which part of EVA is alive. `diagnose` is pure; `look` asks the gateway.

const STAGES = ["stt", "llm", "tts"];
const PATIENCE_MS = 5000;
const SERVES = new Set(["ready", "degraded"]);

/**
 * Returns the rows of the check, in order: {name, state, detail, mend}, where `state` is `ok`, `weak`, `bad` or
 * `open` (nothing is known yet), `detail` a fact to be shown as it is, and `mend` the key of a sentence.
 *
 * `facts`: {isSecure, status (HTTP; 0: unreachable; null: not asked yet), health, microphone}, with `microphone`
 * "unknown", "ok", "quiet" or the name of a trouble.
 */
export function diagnose(facts) {
  return [
    facts.isSecure ? ok("secure") : { name: "secure", state: "bad", detail: "", mend: "insecure" },
    gateway(facts),
    broker(facts.health),
    ...STAGES.map((stage) => ofStage(stage, facts.health)),
    sound(facts.health),
    microphone(facts.microphone),
  ];
}

/** Whether a conversation can begin: nothing that it needs is known to be dead. */
export function canTalk(rows) {
  return rows.every((row) => row.state !== "bad" || row.name === "microphone" || row.name === "secure");
}

/** The worst of the rows but the microphone's: `ok`, `weak`, `bad` or `open`. */
export function worst(rows) {
  const states = rows.filter((row) => row.name !== "microphone").map((row) => row.state);
  return ["bad", "open", "weak", "ok"].find((state) => states.includes(state));
}

function ok(name, detail = "") {
  return { name, state: "ok", detail, mend: "" };
}

function gateway(facts) {
  if (facts.status === null) return { name: "gateway", state: "open", detail: "", mend: "" };
  if (facts.status === 0) return { name: "gateway", state: "bad", detail: "", mend: "gateway" };
  if (facts.status === 401) return { name: "gateway", state: "bad", detail: "", mend: "key" };
  const version = facts.health?.version;
  return ok("gateway", version ? `v${version}` : "");
}

function broker(health) {
  if (!health) return { name: "broker", state: "open", detail: "", mend: "" };
  if (!health.broker) return { name: "broker", state: "bad", detail: "", mend: "broker" };
  return health.database ? ok("broker") : { name: "broker", state: "weak", detail: "", mend: "database" };
}

function ofStage(name, health) {
  const stage = health?.stages?.[name];
  if (!stage || !health.broker) return { name, state: "open", detail: "", mend: "" };
  const detail = [stage.engine, stage.model, stage.device].filter(Boolean).join(" · ");
  if (stage.workers > 0 && SERVES.has(stage.state)) {
    return { name, state: stage.is_degraded ? "weak" : "ok", detail, mend: stage.is_degraded ? `weak_${name}` : "" };
  }
  if (stage.state === "starting") return { name, state: "open", detail: "", mend: "starting" };
  return { name, state: "bad", detail, mend: name };
}

function sound(health) {
  if (!health || !health.broker) return { name: "sound", state: "open", detail: "", mend: "" };
  const turn = health.turn ?? {};
  if (turn.last_audible_age_s === null || turn.last_audible_age_s === undefined) {
    return { name: "sound", state: "open", detail: "", mend: "unproven" };
  }
  if (!health.tts) return { name: "sound", state: "bad", detail: turn.last_outcome ?? "", mend: "mute" };
  return ok("sound", turn.last_response_ms ? `${Math.round(turn.last_response_ms)} ms` : "");
}

function microphone(state) {
  if (state === "ok") return ok("microphone");
  if (state === "unknown") return { name: "microphone", state: "open", detail: "", mend: "ask" };
  if (state === "quiet") return { name: "microphone", state: "weak", detail: "", mend: "quiet" };
  return { name: "microphone", state: "bad", detail: "", mend: state };
}

/** Asks the gateway how it is; returns {status, health}. Never fails. */
export async function look(headers = {}) {
  try {
    const answer = await fetch("/health", { headers, cache: "no-store", signal: AbortSignal.timeout(PATIENCE_MS) });
    const health = await answer.json();
    return { status: answer.status, health: health.stages ? health : null };
  } catch {
    return { status: 0, health: null };
  }
}
