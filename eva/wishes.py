"""Choices of the command line that several modules name; imports nothing, so that ``--help`` is quick."""

from __future__ import annotations

from typing import Literal

BargeInMode = Literal["judge", "immediate", "off", "half_duplex"]
"""What happens when the person speaks while EVA does: see ``BargeIn`` of the chat protocol."""

TranscriptForm = Literal["text", "json", "srt", "vtt"]
"""How ``eva transcribe`` writes what it heard."""
