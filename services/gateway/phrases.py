"""What EVA says on her own account, in the languages that she speaks. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

_APOLOGY = {
    "en": "Sorry, I cannot answer right now. Please try again in a moment.",
    "fr": "Pardon, je ne peux pas répondre maintenant. Réessaie dans un instant.",
}
_ONE_MOMENT = {
    "en": "One moment.",
    "fr": "Un instant.",
}
_FILLERS = {
    "en": ("Hmm…", "Let me see.", "Well…", "One moment."),
    "fr": ("Hmm…", "Alors…", "Voyons voir.", "Eh bien…"),
}
_ANY_LANGUAGE = ("Hmm…", "Ah…")
_UNSUPPORTED = {
    "en": "I can only understand English until a speech model is installed. Run: eva models pull.",
    "fr": "Je ne comprends que l'anglais sans modèle de parole. Lance : eva models pull.",
}
_MISHEARD = {
    "en": "Sorry, I did not catch that.",
    "fr": "Pardon, je n'ai pas compris.",
}


def misheard(language: str) -> str:
    """Said when an utterance could not be transcribed."""
    return _MISHEARD.get(language, _MISHEARD["en"])


def apology(language: str) -> str:
    """Said when no answer could be made."""
    return _APOLOGY.get(language, _APOLOGY["en"])


def one_moment(language: str) -> str:
    """Said while a function is waited for."""
    return _ONE_MOMENT.get(language, _ONE_MOMENT["en"])


def unsupported_language(language: str) -> str:
    """Said when the engine that listens does not know the session's language."""
    return _UNSUPPORTED.get(language, _UNSUPPORTED["en"])


def is_own(text: str) -> bool:
    """Whether it is one of these phrases, which come again and again."""
    return any(text in said.values() for said in (_APOLOGY, _ONE_MOMENT, _UNSUPPORTED, _MISHEARD))


class Fillers:
    """What bridges a silence, by language; other languages get sounds that need none."""

    def __init__(
        self, texts: Mapping[str, Sequence[str]] = _FILLERS, *, others: Sequence[str] = _ANY_LANGUAGE
    ) -> None:
        self._texts = {language: tuple(each) for language, each in texts.items()}
        self._others = tuple(others)

    @classmethod
    def none(cls) -> Fillers:
        """Returns none: silence is not bridged."""
        return cls(dict.fromkeys(_FILLERS, ()), others=())

    @property
    def languages(self) -> list[str]:
        """Those that EVA is ready for before anybody has come."""
        return list(self._texts)

    def of(self, language: str) -> tuple[str, ...]:
        """Returns what is said in this language (``fr``, ``fr-CA``)."""
        return self._texts.get(language.partition("-")[0].lower(), self._others)


def read_fillers(text: str) -> Fillers:
    """Reads ``en: Hmm… | Well… ; fr: Alors… | Hmm…``; languages that are not named keep their own.

    Raises:
        ValueError: a language has no name or not at least two different fillers: none follows itself.
    """
    texts: dict[str, Sequence[str]] = dict(_FILLERS)
    for part in filter(str.strip, text.split(";")):
        language, _, phrases = part.partition(":")
        said = [phrase.strip() for phrase in phrases.split("|") if phrase.strip()]
        if not language.strip().isalpha() or len(set(said)) < max(2, len(said)):
            raise ValueError("each language needs two or more different fillers, `en: Hmm… | Well…; fr: …`")
        texts[language.strip().lower()] = said
    return Fillers(texts)
