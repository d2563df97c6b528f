"""Hears a recording, answers it, and says the answer: `python openai_http.py question.wav`.

The address and the key come from OPENAI_BASE_URL (http://localhost:8000/v1) and OPENAI_API_KEY.
"""

import base64
import sys
from pathlib import Path

from openai import OpenAI

question = Path(sys.argv[1])
client = OpenAI()

heard = client.audio.transcriptions.create(model="whisper-1", file=question)
print("you:", heard.text)

answer = ""
for chunk in client.chat.completions.create(
    model="eva", messages=[{"role": "user", "content": heard.text}], stream=True
):
    answer += chunk.choices[0].delta.content or ""
print("eva:", answer)

with client.audio.speech.with_streaming_response.create(
    model="tts-1", voice="alloy", input=answer, response_format="wav"
) as speech:
    speech.stream_to_file("spoken.wav")

# The same in one request: sound in, sound out.
recording = base64.b64encode(question.read_bytes()).decode()
sound = client.chat.completions.create(
    model="gpt-audio",
    modalities=["text", "audio"],
    audio={"voice": "alloy", "format": "wav"},
    messages=[
        {
            "role": "user",
            "content": [{"type": "input_audio", "input_audio": {"data": recording, "format": "wav"}}],
        }
    ],
)
audio = sound.choices[0].message.audio
if audio is None:
    sys.exit("there is no sound in the answer")
print("eva:", audio.transcript)
Path("answer.wav").write_bytes(base64.b64decode(audio.data))
