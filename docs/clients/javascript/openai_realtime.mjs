// One typed turn, spoken into answer.pcm (24 kHz, mono, 16 bit): `node openai_realtime.mjs "What time is it?"`.
// The address and the key come from OPENAI_BASE_URL (http://localhost:8000/v1) and OPENAI_API_KEY.
import { createWriteStream } from "node:fs";
import net from "node:net";
import OpenAI from "openai";
import { OpenAIRealtimeWS } from "openai/realtime/ws";

const file = createWriteStream("answer.pcm");
const realtime = new OpenAIRealtimeWS(
  {
    model: "gpt-realtime",
    // The class speaks TLS only; behind a TLS proxy leave this out.
    options: { createConnection: (options) => net.connect({ host: options.host, port: options.port }) },
  },
  new OpenAI(),
);
realtime.on("error", (error) => {
  console.error(error.message);
  process.exit(1);
});
realtime.on("session.created", () => {
  realtime.send({
    type: "conversation.item.create",
    item: {
      type: "message",
      role: "user",
      content: [{ type: "input_text", text: process.argv[2] }],
    },
  });
  realtime.send({ type: "response.create" });
});
realtime.on("response.output_audio.delta", (event) => file.write(Buffer.from(event.delta, "base64")));
realtime.on("response.output_audio_transcript.done", (event) => console.log("eva:", event.transcript));
realtime.on("response.done", () => {
  file.end();
  realtime.close();
});
