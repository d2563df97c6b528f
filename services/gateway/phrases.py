"""What EVA says on her own account, in the languages that she speaks. Pure."""

from __future__ import annotations

_APOLOGY = {
    "en": "Sorry, I cannot answer right now. Please try again in a moment.",
    "fr": "Pardon, je ne peux pas répondre maintenant. Réessaie dans un instant.",
}
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


def unsupported_language(language: str) -> str:
    """Said when the engine that listens does not know the session's language."""
    return _UNSUPPORTED.get(language, _UNSUPPORTED["en"])
