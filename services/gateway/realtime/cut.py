"""What of a spoken text lies before a moment of its sound. Pure."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from typing import NamedTuple


class SpokenTo(NamedTuple):
    """The transcript up to a character is said by a moment; both ascend."""

    end_ms: float
    chars: int


def heard(transcript: str, marks: Sequence[SpokenTo], *, until_ms: float, audio_ms: float) -> str:
    """Returns the whole words that are said by ``until_ms`` of ``audio_ms`` of sound.

    Where the voice told no ``marks`` it is by proportion, and a word that is only begun is not heard.
    """
    if until_ms >= audio_ms:
        return transcript if audio_ms else ""
    if marks:
        count = bisect_right(marks, until_ms, key=lambda mark: mark.end_ms)
        return transcript[: marks[count - 1].chars].rstrip() if count else ""
    chars = int(len(transcript) * until_ms / audio_ms)
    is_border = transcript[chars : chars + 1].isspace()
    begun = transcript[:chars]
    whole = begun if is_border else begun[: max((at for at, c in enumerate(begun) if c.isspace()), default=0)]
    return whole.rstrip()
