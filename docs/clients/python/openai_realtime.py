"""One typed turn, spoken into answer.wav: `python openai_realtime.py "What time is it?"`.

The address and the key come from OPENAI_BASE_URL (http://localhost:8000/v1) and OPENAI_API_KEY.
"""

import asyncio
import base64
import sys
import wave

from openai import AsyncOpenAI


async def main(text: str) -> None:
    """Asks, prints the words while they are spoken, and keeps the sound."""
    async with AsyncOpenAI().realtime.connect(model="gpt-realtime") as connection:
        await connection.session.update(session={"type": "realtime", "instructions": "Be brief."})
        await connection.conversation.item.create(
            item={"type": "message", "role": "user", "content": [{"type": "input_text", "text": text}]}
        )
        await connection.response.create()
        with wave.open("answer.wav", "wb") as file:
            file.setparams((1, 2, 24000, 0, "NONE", ""))
            async for event in connection:
                if event.type == "response.output_audio_transcript.delta":
                    print(event.delta, end="", flush=True)
                elif event.type == "response.output_audio.delta":
                    file.writeframes(base64.b64decode(event.delta))
                elif event.type == "error":
                    sys.exit(event.error.message)
                elif event.type == "response.done":
                    print()
                    break


asyncio.run(main(sys.argv[1]))
