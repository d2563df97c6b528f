// An agent with a tool, spoken into answer.pcm (24 kHz, mono, 16 bit):
// `node agents_realtime.mjs "What colour is the sky in Paris?"`.
// The address and the key come from OPENAI_BASE_URL (http://localhost:8000/v1) and OPENAI_API_KEY.
import { createWriteStream } from "node:fs";
import { OpenAIRealtimeWebSocket, RealtimeAgent, RealtimeSession, tool } from "@openai/agents-realtime";
import { z } from "zod";

const sky = tool({
  name: "sky",
  description: "Says what colour the sky over a place is.",
  parameters: z.object({ place: z.string() }),
  execute: ({ place }) => `The sky over ${place} is blue.`,
});
const agent = new RealtimeAgent({ name: "Eva", instructions: "Be brief.", tools: [sky] });
const url = (process.env.OPENAI_BASE_URL ?? "http://localhost:8000/v1").replace(/^http/, "ws");
const transport = new OpenAIRealtimeWebSocket({ url: `${url}/realtime?model=gpt-realtime` });
const session = new RealtimeSession(agent, { transport });

const file = createWriteStream("answer.pcm");
session.on("error", (error) => console.error(error));
session.on("agent_tool_end", (context, agent, tool, result) => console.log("tool:", result));
session.on("audio", (event) => file.write(Buffer.from(event.data)));
session.on("agent_end", (context, agent, text) => {
  if (!text) return; // of a call of the tool; its result is still to be spoken of
  console.log("eva:", text);
  file.end();
  session.close();
});
await session.connect({ apiKey: process.env.OPENAI_API_KEY ?? "unused" });
session.sendMessage(process.argv[2]);
