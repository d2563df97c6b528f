"""The voice: segments in, audio chunks out, in the format that the client asked for."""
