"""A conversation that outlives its connection: each line of stdin is a turn, in text.

`session_id` is EVA's extension: who names the session that was cut goes on with its memory. The address and
the key come from OPENAI_BASE_URL (http://localhost:8000/v1) and OPENAI_API_KEY.
"""

import asyncio
import sys

from openai import AsyncOpenAI
from openai.resources.realtime.realtime import AsyncRealtimeConnection
from openai.types.websocket_reconnection import ReconnectingEvent, ReconnectingOverrides


class Conversation:
    """Which session it is, and whether EVA can be asked something now."""

    def __init__(self) -> None:
        self.session_id = ""
        self.is_free = asyncio.Event()

    def come_back(self, event: ReconnectingEvent) -> ReconnectingOverrides:
        """Names the session that the next connection is to go on with."""
        print("reconnecting", event.attempt, flush=True)
        self.is_free.clear()
        return {"extra_query": {**event.extra_query, "session_id": self.session_id}}

    async def ask(self, connection: AsyncRealtimeConnection) -> None:
        """Sends one line after the other, each when the one before has been answered."""
        while line := await asyncio.to_thread(sys.stdin.readline):
            await self.is_free.wait()
            self.is_free.clear()
            content = [{"type": "input_text", "text": line.strip()}]
            await connection.send(
                {
                    "type": "conversation.item.create",
                    "item": {"type": "message", "role": "user", "content": content},
                }
            )
            await connection.response.create(response={"output_modalities": ["text"]})
        await self.is_free.wait()
        await connection.close()

    async def run(self) -> None:
        """Talks until there are no more lines."""
        connecting = AsyncOpenAI().realtime.connect(model="gpt-realtime", on_reconnecting=self.come_back)
        async with connecting as connection, asyncio.TaskGroup() as tasks:
            tasks.create_task(self.ask(connection))
            async for event in connection:
                if event.type == "session.created":
                    self.session_id = event.session.id
                    print("session", self.session_id, flush=True)
                    self.is_free.set()
                elif event.type == "response.output_text.done":
                    print("eva:", event.text, flush=True)
                elif event.type == "response.done":
                    self.is_free.set()


asyncio.run(Conversation().run())
