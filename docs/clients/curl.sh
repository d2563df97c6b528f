#!/bin/sh
# Every HTTP endpoint with curl: `sh curl.sh question.wav`.
# The address and the key come from OPENAI_BASE_URL (http://localhost:8000/v1) and OPENAI_API_KEY.
set -eu
url=${OPENAI_BASE_URL:-http://localhost:8000/v1}
key=${OPENAI_API_KEY:-unused}
eva() { path=$1; shift; curl -sS --fail-with-body -H "Authorization: Bearer $key" "$url$path" "$@"; }
json='content-type: application/json'

eva /models
echo

# What is said in a recording, as text or as subtitles.
eva /audio/transcriptions -F model=whisper-1 -F file=@"$1" -F response_format=text
eva /audio/transcriptions -F model=whisper-1 -F file=@"$1" -F response_format=srt >question.srt

# Words, as they come.
eva /chat/completions -N -H "$json" \
  -d '{"model": "eva", "stream": true, "messages": [{"role": "user", "content": "Say hello."}]}'

# Words as sound; `-N | aplay -t raw -f S16_LE -r 24000` plays the pcm while it is being made.
eva /audio/speech -H "$json" -o spoken.mp3 \
  -d '{"model": "tts-1", "voice": "alloy", "input": "Good morning."}'
eva /audio/speech -N -H "$json" -o spoken.pcm \
  -d '{"model": "tts-1", "voice": "alloy", "input": "Good morning.", "response_format": "pcm"}'

# A recording in, an answer in sound and in words out.
printf '{"model": "gpt-audio", "modalities": ["text", "audio"], "audio": {"voice": "alloy", "format": "wav"},
  "messages": [{"role": "user", "content": [
    {"type": "input_audio", "input_audio": {"format": "wav", "data": "%s"}}]}]}' \
  "$(base64 <"$1" | tr -d '\n')" | eva /chat/completions -H "$json" -d @- -o answer.json

# A short-lived secret for a page in a browser, instead of the key.
eva /realtime/client_secrets -H "$json" -d '{"session": {"type": "realtime"}}'
echo
