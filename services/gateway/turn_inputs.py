"""What goes into the turn machine. Pure data.

Messages of the bus (``TextDelta``, ``AudioChunk``, ``Working``…) go in as they are; the inputs here are
what clients and the clock add. Times are seconds of one monotonic clock.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from services.gateway.chat_protocol import EngineReport, Tool
from shared.messages import (
    AudioChunk,
    Failed,
    MindDone,
    Pending,
    SegmentDone,
    Stage,
    Synthesize,
    TextDelta,
    Timing,
    ToolCall,
    Working,
)

InterruptReason = Literal["speech", "message", "client", "closed"]
UtteranceKey = tuple[int, int]
"""Lease and number of an utterance: later ones are greater. The default stands for the newest."""
NEWEST: UtteranceKey = (0, 0)


@dataclass(frozen=True, kw_only=True, slots=True)
class TurnPolicy:
    """How long what may take, seconds."""

    turn_s: float = 30.0
    """A whole turn."""
    take_up_s: float = 5.0
    """From the publishing of work until a worker takes it up; longer than the broker's redelivery."""
    beat_lost_s: float = 2.0
    """Silence of a worker at work (it beats every 0.25 s) after which its work is published again."""
    mind_lost_s: float = 0.75
    """Likewise of the mind, where the person has heard all that was sent: once for each answer, since a mind
    that was only slow answers twice then, and whoever pays for it pays twice."""
    voice_lost_s: float = 0.75
    """Likewise of the voice."""
    attempts: int = 3
    """How often an answer is begun, and a segment made."""
    speculations: int = 1
    """How often, while one utterance lasts, an answer may be begun before its end is decided."""
    tool_slow_s: float = 1.0
    """How long a function of the client's may take in silence; then EVA asks for a moment."""
    tool_s: float = 20.0
    """How long it may take at all; then the model is told that there is no result."""
    filler_s: float = 0.45
    """Silence after the person's turn that is bridged if no segment of the answer is there; 0: never."""
    filler_again_s: float = 1.6
    """From the end of one filler to the next."""
    apology_s: float = 3.0
    """How long a first segment is waited for before the turn is given up; 0: as long as the turn may take."""
    hold_s: float = 5.0
    """How long an answer that nothing was heard of waits for somebody who speaks and is not understood."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Wish:
    """How an answer is to be made; None: as the session's settings and the mind's worker have it."""

    persona: str | None = None
    """Who EVA is, for the model; empty: as EVA is configured."""
    tools: tuple[Tool, ...] | None = None
    """Functions that the model may call."""
    tool_choice: str = "auto"
    """``auto``; ``none``: nothing is called; ``required``: something is; or the name of what is to be called.
    Behind the results of a first round it is ``auto`` again."""
    max_tokens: int = 0
    """Of the answer; 0, or more than the mind is configured for: as it is configured."""
    temperature: float | None = None
    model: str = ""
    """The mind's route that is asked first; empty: the first of her list."""
    speed: float = 1.0
    """Of the voice, beside its usual one; what lies ready (fillers, apologies) is heard at the usual one."""
    hands_over: bool = False
    """A call of the client's functions ends the turn; the results come with a later question."""
    rest: str = ""
    """Reserved."""

    @property
    def is_wordless(self) -> bool:
        """Whether a call is all that is waited for: a good answer has nothing that is heard."""
        return self.hands_over and self.tool_choice not in {"auto", "none"}


@dataclass(frozen=True, kw_only=True, slots=True)
class Ask:
    """A user turn, typed or transcribed."""

    text: str | None
    """None: no new question, the conversation as it stands is answered."""
    wants_audio: bool = True
    wish: Wish = Wish()
    language: str = ""
    voice: str = ""
    is_canary: bool = False
    is_spoken: bool = False
    spoke_until: float | None = None
    """When the last speech reached the gateway; None: typed."""
    endpoint_ms: float = 0.0
    ears: EngineReport | None = None
    utterance: UtteranceKey = NEWEST
    number: int = 0
    """Of the utterance in its session; 0: typed, or not known to the machine yet."""
    start_ms: int = 0
    end_ms: int = 0
    """Audio time of the utterance since the session's first frame."""
    is_deliberate: bool = False
    """The person said themselves that they were done: it is a turn, whatever the words."""

    @property
    def words(self) -> str:
        """The question; empty where there is no new one."""
        return self.text or ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Say:
    """Speak a given text; the mind is not asked and nothing is remembered."""

    text: str
    language: str = ""
    voice: str = ""
    speed: float = 1.0
    mood: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Onset:
    """The person began to speak."""

    at_ms: int
    """Audio time since the session's first frame."""
    utterance: UtteranceKey = NEWEST
    began_at: float | None = None
    """When the first of it reached the gateway; None: not known."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Spoken:
    """So much was spoken so far, and then so much silence."""

    utterance: UtteranceKey
    speech_ms: int
    silence_ms: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Understood:
    """What was understood so far; more words may come, and the last ones may become others."""

    utterance: UtteranceKey
    text: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Likely:
    """The person may be done, and would have asked this."""

    ask: Ask


@dataclass(frozen=True, kw_only=True, slots=True)
class WentOn:
    """The person goes on after ``Likely``, which is void."""

    utterance: UtteranceKey


@dataclass(frozen=True, kw_only=True, slots=True)
class HeardNothing:
    """The ears took something for speech, and it was none."""

    utterance: UtteranceKey = NEWEST
    is_failure: bool = False
    """There was speech, and it could not be transcribed."""
    end_ms: int = 0
    """Audio time of its end since the session's first frame; 0: not known."""
    code: str = ""
    message: str = ""
    """What the client is told of a failure."""
    say: Say | None = None
    """What is said of it aloud; the utterance's final names this turn, so that nobody leaves before it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Discarded:
    """What was heard of an utterance is thrown away: no final of it is told."""

    utterance: UtteranceKey


@dataclass(frozen=True, kw_only=True, slots=True)
class Halt:
    """Stop the answer in flight, if there is one."""

    reason: InterruptReason
    played_ms: int | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class PlayedTo:
    """The client's own account of its playback."""

    turn: int
    ms: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Returned:
    """A function of the client's has returned."""

    call_id: str
    output: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Undelivered:
    """Work could not be handed to the broker; nobody will do it."""

    stage: Stage
    turn: int
    code: str
    message: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Gone:
    """The client is gone, and may come back: the answer goes on being made, its playback stands still."""

    unsent_ms: float = 0.0
    """So much of the answer's sound had not left for it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Back:
    """A client is there again."""

    turn_id: str = ""
    ms: float | None = None
    """So much of that turn's sound it has, by its own account; None: it does not say."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Parted:
    """The session goes on at another gateway; likewise with the client's own account."""

    turn_id: str = ""
    ms: float | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class TakenUp:
    """What another gateway has begun to answer."""

    pending: Pending
    ask: Ask


@dataclass(frozen=True, kw_only=True, slots=True)
class Tick:
    """Time has passed."""


FromEars = Onset | Spoken | Understood | Likely | WentOn | HeardNothing | Discarded
Input = (
    Ask | Say | FromEars | Gone | Back | Parted | TakenUp | Halt | PlayedTo | Returned | Undelivered | Tick
    | TextDelta | ToolCall | MindDone | Synthesize | AudioChunk | Timing | SegmentDone | Working | Failed
)  # fmt: skip
