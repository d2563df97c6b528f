"""Moods that the model marks in its text, ``[joy]`` for instance: taken out, told to the segments behind.

Pure. Whatever is a mark, or the beginning of one at the end of an answer, reaches neither voice nor captions;
other text in brackets passes. What might still become a mark is held back, at most ``_LONGEST`` characters.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

DEFAULT: Final = ("neutral", "joy", "sadness", "anger", "surprise", "calm", "tenderness")
PROMPT: Final = (
    "Where the mood of what you say changes, and only there, put one of these marks before the words that are"
    " said in it: {moods}. The marks are not spoken."
)
_LONGEST: Final = 40
_ALIASES: Final = {
    "neutral": "neutre normal",
    "joy": "joie joyful joyous happy happiness cheerful excited excitement amused amusement playful delighted"
    " enthusiastic laugh laughs laughing laughter chuckle chuckles smile smiles smiling heureux heureuse"
    " content joyeux joyeuse",
    "sadness": "sad sorrow sorrowful melancholy disappointed sigh sighs sighing triste tristesse",
    "anger": "angry annoyed frustrated irritated colère fâché fâchée",
    "surprise": "surprised amazed amazement astonished shocked gasp gasps surpris étonné étonnée",
    "calm": "calme calmly relaxed serene peaceful soothing thoughtful pensive",
    "tenderness": "tender tenderly tendre tendresse love loving affection affectionate warm warmth caring"
    " gentle gently empathy empathetic sympathy sympathetic compassion compassionate",
    "fear": "afraid fearful scared anxious worried nervous peur",
    "disgust": "disgusted",
    "curiosity": "curious interested curieux",
}
"""Words that models write without having been asked to, under the mood that they mean."""
_PREFIX: Final = re.compile(r"\s*(?:(?:mood|emotion|tone|humeur|émotion)\s*[:=]\s*)?", re.IGNORECASE)
_PREFIXES: Final = ("mood", "emotion", "tone", "humeur", "émotion")


@dataclass(frozen=True, slots=True)
class Mood:
    """From here on it is said like this."""

    name: str


class Marks:
    """Takes the marks out of one stream."""

    def __init__(self, moods: Sequence[str] = DEFAULT) -> None:
        """``moods`` are those that are told on; marks of others are only taken out."""
        known = {alias: mood for mood, aliases in _ALIASES.items() for alias in (mood, *aliases.split())}
        self._moods = {word: mood if mood in moods else "" for word, mood in known.items()}
        self._moods |= {mood: mood for mood in moods}
        self._held = ""
        self._ends_with_space = True
        self._is_behind_mark = False

    def feed(self, text: str) -> list[str | Mood]:
        """Returns text to be passed on and moods, in order."""
        return list(self._read(self._held + text))

    def flush(self) -> list[str | Mood]:
        """The answer is over: the beginning of a mark is dropped."""
        self._held = ""
        return []

    def _read(self, text: str) -> Iterator[str | Mood]:
        self._held = ""
        while text:
            before, bracket, rest = text.partition("[")
            yield from self._passed(before)
            if not bracket:
                return
            inside, closed, behind = rest.partition("]")
            word = inside[found.end() :] if (found := _PREFIX.match(inside)) else inside
            word = word.strip().casefold()
            if closed and word in self._moods and len(inside) <= _LONGEST:
                self._is_behind_mark = True
                if mood := self._moods[word]:
                    yield Mood(mood)
                text = behind
            elif not closed and self._may_become(inside, word):
                self._held = bracket + inside
                return
            else:
                yield from self._passed(bracket)
                text = rest

    def _passed(self, text: str) -> Iterator[str]:
        if self._is_behind_mark and self._ends_with_space:
            text = text.lstrip()  # one space stands before the mark already
        if text:
            self._is_behind_mark = False
            self._ends_with_space = text[-1].isspace()
            yield text

    def _may_become(self, inside: str, word: str) -> bool:
        if len(inside) > _LONGEST:
            return False
        bare = inside.strip().casefold()
        return any(known.startswith(word) for known in self._moods) or any(
            prefix.startswith(bare) for prefix in _PREFIXES
        )


def sentence(template: str, moods: Sequence[str]) -> str:
    """Returns what the model is told; empty where no moods are wanted."""
    return template.replace("{moods}", ", ".join(f"[{mood}]" for mood in moods)) if moods else ""
