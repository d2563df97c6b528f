"""What a language model is told: who EVA is, how speech differs from writing, and as much history as fits.

Pure. Tokens are estimated, not counted: every provider counts differently, and four letters a token (one
for scripts without spaces) errs on the safe side for the budgets used here.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from services.llm.borders import SPACELESS
from shared.messages import ChatMessage

PERSONA = "You are EVA, a warm and quick-witted companion whom people talk to by voice."
_STYLE = (
    "Your answer is spoken aloud. Answer in one to three short sentences unless more is asked for, and"
    " begin with a short one. Write as people talk: no markdown, no lists, no headings, no code, no emoji,"
    " no links. What you read is a transcript of speech and may hold errors: take the most likely meaning."
)
_BEHIND = (
    "A part of your answer has already been spoken; it is the last assistant message. Go on exactly behind"
    " it, without repeating or rewording any of it, and without remarking on this."
)
_LANGUAGES = {
    "en": "English", "fr": "French", "de": "German", "es": "Spanish", "it": "Italian", "pt": "Portuguese",
    "nl": "Dutch", "pl": "Polish", "ja": "Japanese", "zh": "Chinese", "ko": "Korean", "ru": "Russian",
}  # fmt: skip
_PER_MESSAGE_TOKENS = 4


def tokens(text: str) -> int:
    """Returns an estimate of the tokens of ``text``."""
    spaceless = len(re.findall(f"[{SPACELESS}]", text))
    return spaceless + (len(text) - spaceless + 3) // 4


def build(
    messages: Sequence[ChatMessage], *, persona: str, language: str, spoken: str, budget_tokens: int
) -> list[ChatMessage]:
    """Returns the messages for a provider: the system's first, then the newest history that fits the budget.

    The last message always stays. ``spoken``, the answer's beginning, becomes a final assistant message.
    """
    extra = [message.content for message in messages if message.role == "system"]
    system = " ".join([persona or PERSONA, _STYLE, _speak(language), *extra, *([_BEHIND] if spoken else [])])
    history = [message for message in messages if message.role != "system"]
    left = budget_tokens - tokens(system) - tokens(spoken)
    kept: list[ChatMessage] = []
    for message in reversed(history):
        left -= tokens(message.content) + _PER_MESSAGE_TOKENS
        if left < 0 and kept:
            break
        kept.insert(0, message)
    if len(kept) > 1 and kept[0].role == "assistant":
        del kept[0]  # an answer whose question did not fit
    beginning = [ChatMessage(role="assistant", content=spoken)] if spoken else []
    return [ChatMessage(role="system", content=system), *kept, *beginning]


def _speak(language: str) -> str:
    if not language:
        return "Answer in the language that the person speaks."
    return f"The person speaks {_LANGUAGES.get(language, language)}: answer in that language."
