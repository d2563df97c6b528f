"""An agent with a tool: `python agents_realtime.py "What colour is the sky in Paris?"` writes answer.wav.

The address and the key come from OPENAI_BASE_URL (http://localhost:8000/v1) and OPENAI_API_KEY.
"""

import asyncio
import os
import sys
import wave

from agents import function_tool
from agents.realtime import RealtimeAgent, RealtimeRunner


@function_tool
def sky(place: str) -> str:
    """Says what colour the sky over a place is."""
    return f"The sky over {place} is blue."


async def main(text: str) -> None:
    """Asks, and goes on until the answer to the tool's result has been spoken."""
    url = os.environ.get("OPENAI_BASE_URL", "http://localhost:8000/v1").replace("http", "ws", 1)
    agent = RealtimeAgent(name="Eva", instructions="Be brief.", tools=[sky])
    runner = RealtimeRunner(agent)
    key = os.environ.get("OPENAI_API_KEY", "unused")
    async with await runner.run(
        model_config={"url": f"{url}/realtime?model=gpt-realtime", "api_key": key}
    ) as session:
        await session.send_message(text)
        with wave.open("answer.wav", "wb") as file:
            file.setparams((1, 2, 24000, 0, "NONE", ""))
            async for event in session:
                if event.type == "tool_end":
                    print("tool:", event.output)
                elif event.type == "audio":
                    file.writeframes(event.audio.data)
                elif event.type == "audio_end":
                    break


asyncio.run(main(sys.argv[1]))
