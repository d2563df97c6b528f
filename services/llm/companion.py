"""The scripted companion: a small, honest conversation where no language model is connected.

Pure. It reads what was said as speech recognition writes it (no case, no punctuation, small errors), so
words are first drawn to the nearest word that it knows. What it remembers stands in the messages
themselves: the same conversation always gets the same answer, which lets another worker go on with it.
"""

from __future__ import annotations

import difflib
import re
import unicodedata
from collections.abc import Sequence
from datetime import datetime

from services.llm import arithmetic
from services.llm.companion_lines import DAYS, LINES, LOST, MONTHS, NOTICE, PATTERNS
from services.llm.prompt import bare
from services.llm.tables import words
from shared.language import guess
from shared.messages import ChatMessage

_NAME = r"([^\W\d_][\w'’-]*(?: [A-ZÀ-Þ][\w'’-]*)?)"
_TOLD = re.compile(
    r"(?:(?i:my name is|my name's|call me|the name is|je m[ '’]?appelle|moi c[ '’]?est|mon nom (?:est|c'est)"
    rf"|mon prénom est|appelle[- ]moi)) {_NAME}"
)
_AM = re.compile(
    rf"(?:^|(?i:hello|hi|hey|bonjour|salut|yes|oui)[ ,!.]+)(?i:i am|i['’]m|je suis) {_NAME}[.! ]*$"
)
_NO_NAME = words(
    "a an the not so very fine good well ok okay happy sad tired here back there sorry sure hungry "
    "bored ready glad going trying looking just what it called un une le la fatigué fatiguée content "
    "contente triste désolé désolée ici sick ill old young cold hot free busy alone home lost late "
    "angry afraid nervous great alive curious awake human asleep new lucky only still also really too "
    "now back done sleepy thirsty là prêt prête bien pas en de comment quoi ton ta déjà"
)
_WORD = re.compile(r"[^\W_]+|[+*/×÷]|(?<=\s)-(?=\s)")
_KNOWN = {
    language: sorted(
        {word for _, pattern in patterns for word in re.findall(r"[a-z]{4,}", pattern.replace("\\b", " "))}
    )
    for language, patterns in PATTERNS.items()
}
_CLOSE = 0.8
_SAID_CHARS = 120


def answer(messages: Sequence[ChatMessage], *, language: str, now: datetime) -> str:
    """Returns the whole answer to the last user message.

    It begins with what stands as a final assistant message, if anything. Where that is not the companion's
    own (a provider stopped in mid-answer), it says so and asks again.
    """
    history = [
        ChatMessage(role=message.role, content=bare(message.content))
        for message in messages
        if message.role in {"user", "assistant"} and not message.tool_calls
    ]
    begun = history.pop().content if history and history[-1].role == "assistant" else ""
    spoken = language if language in LINES else _language(history)
    whole = _whole(history, spoken, now)
    if begun and not _same_start(whole, begun):
        return f"{begun} {LOST[spoken]}"
    return whole


def _language(history: Sequence[ChatMessage]) -> str:
    guesses = (guess(message.content) for message in reversed(history) if message.role == "user")
    return next((found for found in guesses if found), "en")


def _same_start(whole: str, begun: str) -> bool:
    return "".join(whole.split()).startswith("".join(begun.split()))


def _whole(history: Sequence[ChatMessage], language: str, now: datetime) -> str:
    said = history[-1].content.strip() if history else ""
    earlier = [message.content for message in history[:-1] if message.role == "assistant"]
    occasion, values = _occasion(said, history, earlier, language, now)
    lines = LINES[language][occasion]
    text = lines[len(earlier) % len(lines)].format(**values)
    return text if earlier else f"{text} {NOTICE[language]}"


def _occasion(  # noqa: PLR0911 - a table of cases
    said: str, history: Sequence[ChatMessage], earlier: Sequence[str], language: str, now: datetime
) -> tuple[str, dict[str, str]]:
    if not said:
        return "nothing", {}
    if name := told_name(said):
        return "name_told", {"name": name}
    plain = _plain(said)
    try:
        if (result := arithmetic.solve(plain)) is not None:
            return "sum", {"result": arithmetic.shown(result, decimal_mark="," if language == "fr" else ".")}
    except arithmetic.DividedByZero:
        return "sum_impossible", {}
    heard = _drawn_to_known(plain, language)
    found = next((key for key, pattern in PATTERNS[language] if re.search(pattern, heard)), "echo")
    match found:
        case "name_asked":
            known = next(
                (n for m in reversed(history) if m.role == "user" and (n := told_name(m.content))), ""
            )
            return ("name_known", {"name": known}) if known else ("name_unknown", {})
        case "repeat":
            return ("repeat", {"last": earlier[-1]}) if earlier else ("repeat_nothing", {})
        case "echo":
            return "echo", {"said": said[:_SAID_CHARS].rstrip(" .!?…")}
        case _:
            return found, {"time": _time(now, language), "date": _date(now, language)}


def told_name(text: str) -> str:
    """Returns the name that the person gave in ``text``, or an empty string."""
    found = _TOLD.search(text) or _AM.search(text.strip())
    if found is None:
        return ""
    name = found.group(1)
    if name.split()[0].casefold() in _NO_NAME or re.search(r"(?:ing|ed)$", name):
        return ""
    return name if name[0].isupper() else name.capitalize()


def _plain(text: str) -> str:
    flat = unicodedata.normalize("NFD", text.casefold())
    return " ".join(
        _WORD.findall("".join(char for char in flat if not unicodedata.combining(char)).replace("'", " "))
    )


def _drawn_to_known(plain: str, language: str) -> str:
    """Replaces what recognition or typing has slightly missed by the nearest word that a pattern knows."""
    known = _KNOWN[language]
    near = (
        difflib.get_close_matches(word, known, 1, _CLOSE) if len(word) > 3 and word not in known else []
        for word in plain.split()
    )
    return " ".join(close[0] if close else word for word, close in zip(plain.split(), near, strict=True))


def _time(now: datetime, language: str) -> str:
    return f"{now.hour} h {now.minute:02d}" if language == "fr" else f"{now.hour}:{now.minute:02d}"


def _date(now: datetime, language: str) -> str:
    day, month = DAYS[language][now.weekday()], MONTHS[language][now.month - 1]
    if language == "fr":
        return f"{day} {'1er' if now.day == 1 else now.day} {month} {now.year}"
    return f"{day}, {month} {now.day}, {now.year}"
