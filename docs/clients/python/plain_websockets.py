"""One spoken turn by a plain socket: `python plain_websockets.py question.wav` (24 kHz, mono, 16 bit).

The address and the key come from OPENAI_BASE_URL (http://localhost:8000/v1) and OPENAI_API_KEY. `pip install
websockets`.
"""

import asyncio
import base64
import json
import os
import sys
import wave

from websockets.asyncio.client import connect


async def main(question: str) -> None:
    """Speaks a file, prints what was heard and what is answered, and keeps the answer's sound."""
    with wave.open(question, "rb") as file:
        pcm = file.readframes(file.getnframes())
    url = os.environ.get("OPENAI_BASE_URL", "http://localhost:8000/v1").replace("http", "ws", 1)
    key = os.environ.get("OPENAI_API_KEY", "unused")
    async with connect(
        f"{url}/realtime?model=gpt-realtime", additional_headers={"Authorization": f"Bearer {key}"}
    ) as socket:

        async def send(kind: str, **fields: object) -> None:
            await socket.send(json.dumps({"type": kind, **fields}))

        # Without turn detection we say ourselves when we have spoken and want an answer.
        hearing = {"transcription": {"model": "whisper-1"}, "turn_detection": None}
        await send("session.update", session={"type": "realtime", "audio": {"input": hearing}})
        for start in range(0, len(pcm), 4800):  # 100 ms
            chunk = base64.b64encode(pcm[start : start + 4800]).decode()
            await send("input_audio_buffer.append", audio=chunk)
        await send("input_audio_buffer.commit")
        await send("response.create")
        with wave.open("answer.wav", "wb") as file:
            file.setparams((1, 2, 24000, 0, "NONE", ""))
            async for frame in socket:
                event = json.loads(frame)
                match event["type"]:
                    case "conversation.item.input_audio_transcription.completed":
                        print("you:", event["transcript"])
                    case "response.output_audio_transcript.done":
                        print("eva:", event["transcript"])
                    case "response.output_audio.delta":
                        file.writeframes(base64.b64decode(event["delta"]))
                    case "error":
                        sys.exit(event["error"]["message"])
                    case "response.done":
                        break


asyncio.run(main(sys.argv[1]))
