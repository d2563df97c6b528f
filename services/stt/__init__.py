"""The ears: voice activity, end of turn and transcripts of the sessions that it has claimed."""
