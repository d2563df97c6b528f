"""OpenAI's Realtime API over WebSocket (GA), translated at the edge to one session of EVA's."""
