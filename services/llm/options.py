"""How turns are answered, as the settings say."""

from __future__ import annotations

from dataclasses import dataclass

from services.llm.guard import LONGEST_S
from services.llm.moods import DEFAULT, PROMPT, sentence
from services.llm.turn import Bounds


@dataclass(frozen=True, kw_only=True)
class Options:
    """How turns are answered."""

    slots: int = 16
    persona: str = ""
    max_tokens: int = 400
    context_tokens: int = 4000
    summary: bool = False
    """Whether what falls off a conversation is summarised."""
    max_speech_s: float = LONGEST_S
    moods: tuple[str, ...] = DEFAULT
    """Empty: none are asked for; marks are taken out all the same."""
    mood_prompt: str = PROMPT

    @property
    def mood_sentence(self) -> str:
        """What the model is told of moods."""
        return sentence(self.mood_prompt, self.moods)

    @property
    def bounds(self) -> Bounds:
        """Of one answer."""
        return Bounds(max_tokens=self.max_tokens, max_speech_s=self.max_speech_s, moods=self.moods)
