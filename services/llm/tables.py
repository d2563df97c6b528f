"""Word lists written as text. Pure."""

from __future__ import annotations


def listed(text: str) -> list[str]:
    """Returns the words of ``text`` in order."""
    return text.split()


def words(text: str) -> frozenset[str]:
    """Returns the words of ``text`` as a set."""
    return frozenset(text.split())
