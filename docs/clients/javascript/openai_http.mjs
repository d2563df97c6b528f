// Hears a recording, answers it, and says the answer: `node openai_http.mjs question.wav`.
// The address and the key come from OPENAI_BASE_URL (http://localhost:8000/v1) and OPENAI_API_KEY.
import { createReadStream, readFileSync, writeFileSync } from "node:fs";
import OpenAI from "openai";

const question = process.argv[2];
const client = new OpenAI();

const heard = await client.audio.transcriptions.create({
  model: "whisper-1",
  file: createReadStream(question),
});
console.log("you:", heard.text);

let answer = "";
const stream = await client.chat.completions.create({
  model: "eva",
  messages: [{ role: "user", content: heard.text }],
  stream: true,
});
for await (const chunk of stream) answer += chunk.choices[0].delta.content ?? "";
console.log("eva:", answer);

const speech = await client.audio.speech.create({
  model: "tts-1",
  voice: "alloy",
  input: answer,
  response_format: "wav",
});
writeFileSync("spoken.wav", Buffer.from(await speech.arrayBuffer()));

// The same in one request: sound in, sound out.
const data = readFileSync(question).toString("base64");
const sound = await client.chat.completions.create({
  model: "gpt-audio",
  modalities: ["text", "audio"],
  audio: { voice: "alloy", format: "wav" },
  messages: [
    { role: "user", content: [{ type: "input_audio", input_audio: { data, format: "wav" } }] },
  ],
});
const { audio } = sound.choices[0].message;
console.log("eva:", audio.transcript);
writeFileSync("answer.wav", Buffer.from(audio.data, "base64"));
