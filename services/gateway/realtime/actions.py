"""What the dialect wants done: told to the client, or asked of EVA's session. Pure data."""

from __future__ import annotations

from dataclasses import dataclass

from services.gateway.chat_protocol import ServerEvent, Start
from services.gateway.realtime.events import RealtimeEvent
from services.gateway.realtime.session_types import AudioFormat
from services.gateway.turn_io import Wish
from shared.messages import ChatMessage


@dataclass(frozen=True, slots=True)
class Tell:
    """Send this; it waits for no sound."""

    event: RealtimeEvent


@dataclass(frozen=True, slots=True)
class Relay:
    """Queue what EVA tells of a turn; it becomes events of a response when it leaves (``Dialect.leaves``)."""

    event: ServerEvent
    sound: bytes = b""
    sound_of: str | None = None
    """The turn with whose sound it is sent, and dropped."""
    audio_ms: float = 0.0
    is_beside_sound: bool = False
    """It does not wait for the sound in front of it."""


@dataclass(frozen=True, slots=True)
class DropSound:
    """Throw away what was not sent of a turn's sound."""

    turn_id: str


@dataclass(frozen=True, slots=True)
class Configure:
    """Give the session these settings."""

    start: Start


@dataclass(frozen=True, slots=True)
class Intend:
    """Give the session this wish, for turns that begin by themselves."""

    wish: Wish


@dataclass(frozen=True, slots=True)
class Respond:
    """Begin a turn that answers the conversation as it stands; ``Dialect.unable`` where that fails."""

    wish: Wish
    wants_audio: bool
    voice: str


@dataclass(frozen=True, slots=True)
class RespondBeside:
    """The same in a session of its own, which ends with the turn; ``key`` names it."""

    key: str
    start: Start
    wish: Wish
    messages: tuple[ChatMessage, ...]


@dataclass(frozen=True, slots=True)
class Stop:
    """Interrupt the turn in flight. ``key``: that of a session beside; None: the client's own."""

    key: str | None = None
    played_ms: int | None = None
    """How much of its sound was heard, where the client has said so."""


@dataclass(frozen=True, slots=True)
class Played:
    """The client is taken to have heard this turn to its end."""

    turn_id: str


@dataclass(frozen=True, slots=True)
class Hear:
    """A microphone frame."""

    pcm: bytes


@dataclass(frozen=True, slots=True)
class EndUtterance:
    """The utterance is over."""


@dataclass(frozen=True, slots=True)
class Discard:
    """Forget what was heard of the utterance in flight."""


@dataclass(frozen=True, slots=True)
class Transcribe:
    """Have a recording transcribed; then ``Dialect.transcribed`` or ``not_transcribed``."""

    item_id: str
    sound: bytes
    format: AudioFormat
    language: str


@dataclass(frozen=True, slots=True)
class Settle:
    """Call ``Dialect.settle`` once all has been handed over that EVA says at this moment."""


Action = (
    Tell | Relay | DropSound | Configure | Intend | Respond | RespondBeside | Stop | Played | Hear
    | EndUtterance | Discard | Transcribe | Settle
)  # fmt: skip
Actions = list[Action]
