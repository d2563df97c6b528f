// Node's own WebSocket on a line: each line of stdin is an event to send, each line of stdout one that came.
import { createInterface } from "node:readline";

const url = `${process.env.OPENAI_BASE_URL.replace(/^http/, "ws")}/realtime?model=gpt-realtime`;
const socket = new WebSocket(url, ["realtime", `openai-insecure-api-key.${process.env.OPENAI_API_KEY}`]);
socket.onmessage = ({ data }) => console.log(data);
socket.onerror = ({ message }) => console.error(message);
await new Promise((resolve) => (socket.onopen = resolve));
for await (const line of createInterface({ input: process.stdin })) socket.send(line);
socket.close();
