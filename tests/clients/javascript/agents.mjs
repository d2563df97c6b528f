// A RealtimeSession on a line. Each line of stdin is [what, value]; each line of stdout [what, value] too:
// "frame": what the transport gave on, "audio", "interrupted", "tool", "end", "history", "error".
import { createInterface } from "node:readline";
import { OpenAIRealtimeWebSocket, RealtimeAgent, RealtimeSession, tool } from "@openai/agents-realtime";
import { z } from "zod";

const sky = tool({
  name: "sky",
  description: "Says what colour the sky is.",
  parameters: z.object({ place: z.string() }),
  execute: ({ place }) => `blue over ${place}`,
});
const { tools, ...config } = JSON.parse(process.argv[2]);
const agent = new RealtimeAgent({ name: "Eva", instructions: "Be brief.", tools: tools ? [sky] : [] });
const url = `${process.env.OPENAI_BASE_URL.replace(/^http/, "ws")}/realtime?model=gpt-realtime`;
const transport = new OpenAIRealtimeWebSocket({ url });
const session = new RealtimeSession(agent, { transport, config });
const tell = (what, value = null) => console.log(JSON.stringify([what, value]));

transport.on("*", (event) => tell("frame", event));
session.on("audio", ({ data }) => tell("audio", Buffer.from(data).toString("base64")));
session.on("audio_interrupted", () => tell("interrupted"));
session.on("agent_tool_end", (context, agent, tool, result) => tell("tool", result));
session.on("agent_end", (context, agent, text) => tell("end", text));
session.on("history_updated", (history) =>
  tell("history", history.filter((item) => item.type === "message").map((item) =>
    [item.role, item.content.map((part) => part.transcript ?? part.text ?? "").join("")])));
session.on("error", (error) => tell("error", error));

await session.connect({ apiKey: process.env.OPENAI_API_KEY });
tell("connected");
const does = {
  message: (text) => session.sendMessage(text),
  audio: (data) => session.sendAudio(new Uint8Array(Buffer.from(data, "base64")).buffer),
  event: (event) => transport.sendEvent(event),
};
for await (const line of createInterface({ input: process.stdin })) {
  const [what, value] = JSON.parse(line);
  does[what](value);
}
session.close();
