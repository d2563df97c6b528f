// Hears a recording, answers it, and says the answer, with fetch alone: `node plain_http.mjs question.wav`.
// The address and the key come from OPENAI_BASE_URL (http://localhost:8000/v1) and OPENAI_API_KEY.
import { readFileSync, writeFileSync } from "node:fs";

const url = process.env.OPENAI_BASE_URL ?? "http://localhost:8000/v1";
const headers = { authorization: `Bearer ${process.env.OPENAI_API_KEY ?? "unused"}` };
const question = readFileSync(process.argv[2]);

async function post(path, body) {
  const isForm = body instanceof FormData;
  const answer = await fetch(`${url}${path}`, {
    method: "POST",
    headers: isForm ? headers : { ...headers, "content-type": "application/json" },
    body: isForm ? body : JSON.stringify(body),
  });
  if (!answer.ok) throw new Error((await answer.json()).error.message);
  return answer;
}

const form = new FormData();
form.set("model", "whisper-1");
form.set("file", new Blob([question]), "question.wav");
const { text } = await (await post("/audio/transcriptions", form)).json();
console.log("you:", text);

// Words as they come: each line that begins with "data: " is a chunk, the last one is [DONE].
const messages = [{ role: "user", content: text }];
const stream = await post("/chat/completions", { model: "eva", messages, stream: true });
let answer = "", rest = "";
for await (const piece of stream.body.pipeThrough(new TextDecoderStream())) {
  const lines = (rest + piece).split("\n");
  rest = lines.pop();
  for (const line of lines.filter((line) => line.startsWith("data: {"))) {
    answer += JSON.parse(line.slice(6)).choices[0]?.delta.content ?? "";
  }
}
console.log("eva:", answer);

const speech = { model: "tts-1", voice: "alloy", input: answer, response_format: "wav" };
writeFileSync("spoken.wav", Buffer.from(await (await post("/audio/speech", speech)).arrayBuffer()));

// The same in one request: sound in, sound out.
const recording = { data: question.toString("base64"), format: "wav" };
const sound = await post("/chat/completions", {
  model: "gpt-audio",
  modalities: ["text", "audio"],
  audio: { voice: "alloy", format: "wav" },
  messages: [{ role: "user", content: [{ type: "input_audio", input_audio: recording }] }],
});
const { audio } = (await sound.json()).choices[0].message;
console.log("eva:", audio.transcript);
writeFileSync("answer.wav", Buffer.from(audio.data, "base64"));
