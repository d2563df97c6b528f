// The stock client on a line: each line of stdin is an event to send, each line of stdout one that it emitted.
import net from "node:net";
import { createInterface } from "node:readline";
import OpenAI from "openai";
import { OpenAIRealtimeWS } from "openai/realtime/ws";

let sessionId = "";
const client = new OpenAI();
const realtime = new OpenAIRealtimeWS(
  {
    model: "gpt-realtime",
    reconnect: true,
    buildRealtimeURL: (client) => {
      const url = new URL(`${client.baseURL.replace(/^http:/, "wss:")}/realtime?model=gpt-realtime`);
      if (sessionId) url.searchParams.set("session_id", sessionId);
      return url;
    },
    options: { createConnection: (options) => net.connect({ host: options.host, port: options.port }) },
  },
  client,
);
realtime.on("session.created", (event) => (sessionId = event.session.id));
realtime.on("event", (event) => console.log(JSON.stringify(event)));
realtime.on("error", (error) => {
  if (!error.event_id && error.error?.type === undefined) console.error(error.message);
});
for await (const line of createInterface({ input: process.stdin })) realtime.send(JSON.parse(line));
realtime.close();
