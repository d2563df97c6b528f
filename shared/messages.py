"""Every message that crosses the bus: frozen, tagged structs in MessagePack, audio as raw bytes.

Fields are only ever added, with a default, so that old and new processes understand each other;
``tests/shared/test_messages.py`` holds the golden bytes. Work and events are fenced by
``(session, turn, attempt)``: the gateway counts turns from 1 within a session and attempts from 1 within
a turn, and ignores whatever is older than what it last asked for. Time travels as *remaining*
milliseconds, never as a clock reading.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from shared.errors import MalformedMessage

Codec = Literal["pcm", "mp3", "opus"]
Stage = Literal["stt", "llm", "tts", "gateway"]
State = Literal["starting", "ready", "degraded", "failed", "draining"]


class Message(msgspec.Struct, frozen=True, kw_only=True, tag_field="type"):
    """Base of all messages; the tag names the type on the wire."""


class AudioFormat(msgspec.Struct, frozen=True, kw_only=True):
    """How audio chunks are to be encoded; always mono."""

    codec: Codec = "pcm"
    """``pcm``: signed 16-bit little-endian. ``mp3``: whole frames that may be joined end to end.
    ``opus``: one raw Opus packet a chunk entry (no Ogg pages), 48 kHz."""
    rate_hz: int = 24000
    """Of the samples before encoding; 48000 for ``opus``."""


# ---------------------------------------------------------------- ears


class OpenEars(Message, frozen=True, kw_only=True, tag="ears.open"):
    """Request on ``STT_OPEN``: take this session's microphone. ``EarsClaimed`` or ``EarsRefused`` answers."""

    gw: str
    sid: str
    lease: int = 1
    """Counts the claims of one session; events of an older lease are ignored."""
    rate_hz: int = 16000
    """Of the frames that will come; the worker resamples."""
    language: str | None = None
    """ISO 639-1, or None: as the worker detects."""
    end_silence_ms: int = 500
    """Trailing silence, in audio time, that ends an utterance."""


class EarsClaimed(Message, frozen=True, kw_only=True, tag="ears.claimed"):
    """The worker has reserved a slot and listens on ``subjects.mic(worker, sid)``."""

    worker: str
    engine: str
    device: str
    model: str = ""
    is_degraded: bool = False
    languages: list[str] = []
    """Languages it can transcribe; empty: any."""


class EarsRefused(Message, frozen=True, kw_only=True, tag="ears.refused"):
    """The worker that took the request has no room after all."""

    code: str
    message: str
    retry_after_ms: int = 1000


class MicFrame(Message, frozen=True, kw_only=True, tag="mic.frame"):
    """Signed 16-bit little-endian mono PCM at the lease's rate; usually 20 ms."""

    sid: str
    seq: int
    """Counts from 0 within the session, across leases; a gap means loss."""
    pcm: bytes


class EndUtterance(Message, frozen=True, kw_only=True, tag="mic.end"):
    """The client says that the utterance is over (push to talk); no silence is waited for."""

    sid: str


class CloseEars(Message, frozen=True, kw_only=True, tag="mic.close"):
    """The session needs its ears no longer."""

    sid: str


class EarsAlive(Message, frozen=True, kw_only=True, tag="ears.alive"):
    """Every 500 ms, from the worker that holds the lease."""

    lease: int
    worker: str
    next_seq: int
    """The first frame not seen yet."""
    needed_seq: int
    """The first frame that another worker would need to hear the utterance in flight completely."""


class SpeechStarted(Message, frozen=True, kw_only=True, tag="ears.speech_started"):
    """The person began to speak."""

    lease: int
    utterance: int
    """Counts from 1 within the lease."""
    at_ms: int
    """Audio time since the first frame of the lease."""


class Partial(Message, frozen=True, kw_only=True, tag="ears.partial"):
    """What has been understood so far; may change."""

    lease: int
    utterance: int
    text: str


class Final(Message, frozen=True, kw_only=True, tag="ears.final"):
    """The utterance is over. An empty ``text`` means that nothing was said after all."""

    lease: int
    utterance: int
    text: str
    language: str = ""
    start_ms: int = 0
    end_ms: int = 0
    """Audio time of the last speech."""
    endpoint_ms: float = 0.0
    """Audio time from the last speech to the decision that the turn is over."""
    transcribe_ms: float = 0.0
    """Wall time from that decision to this message."""
    needed_seq: int = 0
    engine: str = ""
    device: str = ""
    model: str = ""


class EarsFailed(Message, frozen=True, kw_only=True, tag="ears.failed"):
    """The utterance could not be transcribed, or the lease is given up (``utterance`` 0)."""

    lease: int
    utterance: int
    code: str
    """``unsupported_language``, ``engine_failed``; of the lease: ``draining``, ``idle``, ``internal``."""
    message: str


# ---------------------------------------------------------------- mind


class ChatMessage(msgspec.Struct, frozen=True, kw_only=True):
    """One message of the conversation, as language models take it."""

    role: Literal["system", "user", "assistant"]
    content: str


class Generate(Message, frozen=True, kw_only=True, tag="work.generate"):
    """Work for the mind: answer the last user message."""

    gw: str
    sid: str
    turn: int
    attempt: int
    messages: list[ChatMessage]
    remaining_ms: int
    """For the whole turn, when this was published."""
    language: str = ""
    """ISO 639-1 of the user's turn; empty: unknown."""
    voice: str = ""
    """Empty: the default voice of the language."""
    speed: float = 1.0
    audio: AudioFormat | None = None
    """None: text only, nothing is sent to the voice."""
    spoken: str = ""
    """What an earlier attempt has already said aloud; the answer goes on behind it."""
    first_segment: int = 0
    """The number of the next segment: those below it stand."""
    is_canary: bool = False
    """A self-test: answered with a fixed sentence, without a provider."""


class TextDelta(Message, frozen=True, kw_only=True, tag="mind.delta"):
    """More of the answer's text, coalesced to a few tens of milliseconds."""

    turn: int
    attempt: int
    seq: int
    """Counts from 0 within the attempt."""
    text: str


class MindDone(Message, frozen=True, kw_only=True, tag="mind.done"):
    """The answer's text is complete and all its segments have been handed to the voice."""

    turn: int
    attempt: int
    deltas: int
    """How many ``TextDelta`` this attempt has sent."""
    segments: int
    """How many segments the turn has in all, those of earlier attempts that stand included."""
    engine: str
    model: str
    is_degraded: bool = False
    queue_ms: float = 0.0
    """From the publishing of the work to its being taken up."""
    first_token_ms: float = 0.0
    """From being taken up to the first token."""
    first_segment_ms: float = 0.0
    """From being taken up to the first segment handed to the voice."""
    total_ms: float = 0.0
    input_tokens: int = 0
    output_tokens: int = 0


# ---------------------------------------------------------------- voice


class Synthesize(Message, frozen=True, kw_only=True, tag="work.synthesize"):
    """Work for the voice: speak one segment. The gateway reads it too, as the turn's checkpoint."""

    gw: str
    sid: str
    turn: int
    attempt: int
    segment: int
    """Counts from 0 within the turn; the order of playing."""
    text: str
    audio: AudioFormat
    remaining_ms: int
    take: int = 1
    """Counts the publications of this segment; the newest wins."""
    language: str = ""
    voice: str = ""
    speed: float = 1.0


class AudioChunk(Message, frozen=True, kw_only=True, tag="voice.chunk"):
    """40–100 ms of one segment in the asked format (one or more whole mp3 frames or Opus packets)."""

    turn: int
    attempt: int
    segment: int
    take: int
    seq: int
    """Counts from 0 within the segment; a gap means loss."""
    start: int
    """Position of the first sample within the segment, in samples at ``rate_hz``: who takes over a
    segment in mid-flight skips what was already sent."""
    samples: int
    rate_hz: int
    codec: Codec
    level: float
    """Root mean square of the samples before encoding, 0..1; tells sound from silence."""
    data: bytes = b""
    packets: list[bytes] = []
    """Instead of ``data`` for ``opus``: raw packets of 20 ms."""


class SegmentDone(Message, frozen=True, kw_only=True, tag="voice.done"):
    """All chunks of a segment have been sent."""

    turn: int
    attempt: int
    segment: int
    take: int
    chunks: int
    samples: int
    rate_hz: int
    engine: str
    device: str
    model: str = ""
    is_degraded: bool = False
    queue_ms: float = 0.0
    first_audio_ms: float = 0.0
    """From being taken up to the first chunk."""
    total_ms: float = 0.0


# ---------------------------------------------------------------- any worker


class Working(Message, frozen=True, kw_only=True, tag="work.working"):
    """A worker has taken the item up (``beat`` 0) and is at it (each 500 ms)."""

    stage: Stage
    worker: str
    turn: int
    attempt: int
    segment: int = -1
    """-1 for the mind."""
    take: int = 1
    delivery: int = 1
    beat: int = 0


class Failed(Message, frozen=True, kw_only=True, tag="work.failed"):
    """A worker could not do an item; the gateway decides what follows."""

    stage: Stage
    worker: str
    turn: int
    attempt: int
    code: str
    """``expired``, ``engine_failed``, ``redelivered``, ``unsupported_language``, ``internal``."""
    message: str
    segment: int = -1
    take: int = 1


class Cancel(Message, frozen=True, kw_only=True, tag="cancel"):
    """To all workers: drop everything of this session up to and including ``turn``."""

    sid: str
    turn: int


class EngineFact(msgspec.Struct, frozen=True, kw_only=True):
    """One engine of a worker's chain, as it was proven at start or has failed since."""

    name: str
    state: Literal["serving", "standby", "failed", "absent"]
    model: str = ""
    model_sha256: str = ""
    device: str = ""
    detail: str = ""
    """Why it is not serving, in one line."""
    hint: str = ""
    """The command that would mend or better it."""


class Facts(Message, frozen=True, kw_only=True, tag="facts"):
    """What a worker is and does, each second; silence for 3 s means that it is gone."""

    stage: Stage
    worker: str
    state: State
    pid: int
    engines: list[EngineFact] = []
    """In the order of the chain; the first one ``serving`` is in use."""
    device_wanted: str = ""
    slots: int = 0
    busy: int = 0
    done: int = 0
    """Work items completed since start."""
    failed: int = 0
    last_success_s: float | None = None
    """Seconds since the last completed item (warm-up counts); None: never."""
    languages: list[str] = []
    """Languages it serves; empty: any."""
    detail: str = ""
    numbers: dict[str, float] = {}
    """Further figures by name (loop lag, real-time factor…)."""


class SessionRecord(msgspec.Struct, frozen=True, kw_only=True):
    """A conversation's memory as it lies in the key-value bucket."""

    turns: int = 0
    """The number of the last turn; a resumed session counts on from here."""
    language: str = ""
    voice: str = ""
    messages: list[ChatMessage] = []
    """User and assistant messages; of an interrupted answer only the words that were heard."""


AnyMessage = (
    OpenEars | EarsClaimed | EarsRefused | MicFrame | EndUtterance | CloseEars | EarsAlive | SpeechStarted
    | Partial | Final | EarsFailed | Generate | TextDelta | MindDone | Synthesize | AudioChunk | SegmentDone
    | Working | Failed | Cancel | Facts
)  # fmt: skip

_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(AnyMessage)


def encode(message: Message) -> bytes:
    """Returns the message's bytes on the wire."""
    return _encoder.encode(message)


def decode(payload: bytes) -> AnyMessage:
    """Reads one message.

    Raises:
        MalformedMessage: the bytes are no message of ours.
    """
    try:
        message: AnyMessage = _decoder.decode(payload)
    except (msgspec.DecodeError, msgspec.ValidationError, UnicodeDecodeError, RecursionError) as error:
        raise MalformedMessage(len(payload), str(error)) from error
    return message
