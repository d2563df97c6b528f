"""Which voice and which model a client means by the names that it knows. Pure.

Clients name OpenAI's: nothing that they say is an error. A voice of the operator's table is that one; one
of OpenAI's is EVA's default; any other name is handed to the voice's workers, who speak with it if they have
it, and else with the default of the language. The HTTP endpoints use the same tables.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

OPENAI_VOICES = frozenset(
    {
        *("alloy", "ash", "ballad", "cedar", "coral", "echo", "fable", "juniper"),
        *("marin", "nova", "onyx", "sage", "shimmer", "verse"),
    }
)
MAX_NAME_CHARS = 64
OWN_MODEL = "eva"


class BadTable(ValueError):
    """A table of names in the configuration that cannot be read."""


def read_table(text: str) -> dict[str, str]:
    """Reads ``alloy=eva, ash=ryan``; names are told apart without case. Raises ``BadTable``."""
    table: dict[str, str] = {}
    for entry in filter(None, map(str.strip, text.split(","))):
        name, is_there, meant = (part.strip() for part in entry.partition("="))
        if not (name and is_there and meant):
            raise BadTable(f"expected `name=meant, …`, got `{entry}`")
        if name.lower() in table:
            raise BadTable(f"`{name}` stands there twice")
        table[name.lower()] = meant
    return table


@dataclass(frozen=True, kw_only=True, slots=True)
class Names:
    """The operator's tables; both may be empty."""

    voices: Mapping[str, str] = field(default_factory=dict)
    """By the name in lower case."""
    models: Mapping[str, str] = field(default_factory=dict)

    def voice(self, name: str) -> str:
        """Returns the name of the voice that is meant, for EVA's; empty: her default."""
        wanted = name.strip()
        if wanted.lower() in self.voices:
            return self.voices[wanted.lower()]
        is_own = wanted.isprintable() and len(wanted) <= MAX_NAME_CHARS
        return wanted if is_own and wanted.lower() not in OPENAI_VOICES else ""

    def model(self, name: str) -> str:
        """Returns the name of the mind's route that is meant; empty: EVA herself, as her list has them."""
        meant = self.models.get(name.strip().lower(), OWN_MODEL)
        return "" if meant.lower() == OWN_MODEL else meant
