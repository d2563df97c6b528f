"""What a conversation leaves in the store, and how it goes from one gateway to another."""

from __future__ import annotations

import msgspec

from shared.messages.base import Message
from shared.messages.mind import ChatMessage


class Rest(msgspec.Struct, frozen=True, kw_only=True):
    """Words of an answer that are still to be said, and how."""

    text: str
    language: str = ""
    voice: str = ""
    speed: float = 1.0
    mood: str = ""


class Pending(msgspec.Struct, frozen=True, kw_only=True):
    """A question that has no whole answer yet, for a gateway that goes on with it."""

    turn: int
    question: str
    is_spoken: bool = False
    wants_audio: bool = True
    language: str = ""
    voice: str = ""
    heard: str = ""
    """The words of the answer that the person has heard."""
    heard_ms: float = 0.0
    """So much of the answer's sound was played."""
    rest: list[Rest] = []
    """What is known of the answer behind that."""
    is_whole: bool = False
    """Nothing follows ``rest``."""
    asked_at: float = 0.0
    """Unix time, seconds."""


class SessionRecord(msgspec.Struct, frozen=True, kw_only=True):
    """A conversation's memory as it lies in the key-value bucket."""

    turns: int = 0
    """The number of the last turn; a resumed session counts on from here."""
    language: str = ""
    voice: str = ""
    messages: list[ChatMessage] = []
    """User and assistant messages; of an interrupted answer only the words that were heard."""
    summary: str = ""
    """Of what was said before them."""
    pending: Pending | None = None
    """The turn behind ``messages``, unless it is over."""


class SessionClaim(Message, frozen=True, kw_only=True, tag="session.claim"):
    """A client has come to this gateway and names the session: whoever holds it ends it and hands it over.

    Answered by ``SessionHandedOver``. The rest is the client's own account, where it has given one.
    """

    gw: str
    turn_id: str = ""
    ms: float | None = None
    """So much of that turn's sound it has."""
    heard: str = ""
    """The words of that turn's answer which its person has heard; "" where that is not known."""
    erases: bool = False
    """Nobody goes on with it: it is ended, and what was said is to be forgotten."""


class SessionHandedOver(Message, frozen=True, kw_only=True, tag="session.handed_over"):
    """The session, which its holder has ended; nobody needs to look into the memory for it."""

    record: SessionRecord


class SessionTaken(Message, frozen=True, kw_only=True, tag="session.taken"):
    """A gateway tells all that it holds a session now. Of two that say so the greater rank holds it."""

    sid: str
    """Its name among gateways."""
    key: str
    """Of this holding: nobody else's, and greater than that of what was held before (a ULID)."""
    gw: str = ""
    """The gateway that holds it."""
