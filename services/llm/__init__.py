"""The mind: a user turn and its context in, speakable segments out."""
