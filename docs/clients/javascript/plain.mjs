// Each line of stdin is a turn, spoken into answer.pcm (24 kHz, mono, 16 bit): `node plain.mjs`, without any
// package. A connection that is cut is opened again, and `session_id` (EVA's extension) goes on with the memory.
// Node 22 has the socket built in; Node 20 needs --experimental-websocket.
// The address and the key come from OPENAI_BASE_URL (http://localhost:8000/v1) and OPENAI_API_KEY.
import { createWriteStream } from "node:fs";
import { createInterface } from "node:readline";

const url = (process.env.OPENAI_BASE_URL ?? "http://localhost:8000/v1").replace(/^http/, "ws");
const key = process.env.OPENAI_API_KEY ?? "unused";
const file = createWriteStream("answer.pcm");
const questions = [];
let socket, sessionId = "", isFree = false, isEnd = false, attempts = 0;

const send = (type, fields) => socket.send(JSON.stringify({ type, ...fields }));

function next() {
  if (!isFree) return;
  if (questions.length) {
    isFree = false;
    const content = [{ type: "input_text", text: questions.shift() }];
    send("conversation.item.create", { item: { type: "message", role: "user", content } });
    send("response.create");
  } else if (isEnd) {
    file.end();
    socket.close(1000);
  }
}

function take(event) {
  if (event.type === "session.created") {
    sessionId = event.session.id;
    attempts = 0;
    console.log("session", sessionId);
  } else if (event.type === "response.output_audio.delta") {
    file.write(Buffer.from(event.delta, "base64"));
  } else if (event.type === "response.output_audio_transcript.done") {
    console.log("eva:", event.transcript);
  } else if (event.type === "error") {
    console.error(event.error.message);
  }
  if (event.type === "session.created" || event.type === "response.done") {
    isFree = true;
    next();
  }
}

function connect() {
  const query = new URLSearchParams({ model: "gpt-realtime" });
  if (sessionId) query.set("session_id", sessionId);
  // A WebSocket of this kind cannot set headers, so the key is a subprotocol.
  socket = new WebSocket(`${url}/realtime?${query}`, ["realtime", `openai-insecure-api-key.${key}`]);
  socket.onmessage = ({ data }) => take(JSON.parse(data));
  socket.onclose = ({ code }) => {
    isFree = false;
    if (code === 1000) return; // we hung up
    if (code === 1008 || ++attempts > 10) process.exit(1); // not let in, or nobody is there
    console.log("reconnecting", attempts);
    setTimeout(connect, 500);
  };
}

const lines = createInterface({ input: process.stdin });
lines.on("line", (line) => {
  questions.push(line);
  next();
});
lines.on("close", () => {
  isEnd = true;
  next();
});
connect();
