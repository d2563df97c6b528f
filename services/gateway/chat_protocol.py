"""The wire format of ``WS /ws/chat``: JSON control messages, and binary frames for sound both ways.

Pure. What the client sends is parsed by ``parse_client`` (every mistake is a ``BadInput`` with a code and
the parameter at fault); what EVA sends is a ``ServerEvent``. ``docs/asyncapi.yaml`` describes the same;
a test holds both together.

Sound *to* the client: an ``audio`` header (JSON), then at once one binary message with the bytes that it
describes. Sound *from* the client: binary messages of signed 16-bit little-endian mono PCM.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from shared.errors import BadInput

InputRate = Literal[8000, 16000, 22050, 24000, 32000, 44100, 48000]
OutputRate = Literal[8000, 16000, 22050, 24000, 32000, 44100, 48000]
Format = Literal["pcm", "wav", "mp3", "opus"]

MAX_TEXT_CHARS = 4096
MAX_CONTROL_BYTES = 65_536
MAX_FRAME_BYTES = 65_536


class ClientMessage(msgspec.Struct, frozen=True, kw_only=True, tag_field="type"):
    """Base of what a client sends as JSON; fields that are not known are ignored."""


class AudioIn(msgspec.Struct, frozen=True, kw_only=True):
    """The microphone: mono signed 16-bit PCM."""

    rate_hz: InputRate = 16000


class AudioOut(msgspec.Struct, frozen=True, kw_only=True):
    """The voice: ``wav`` is a streaming header and PCM behind it, ``opus`` is in Ogg pages."""

    format: Format = "pcm"
    rate_hz: OutputRate = 24000
    """Ignored for ``opus`` (48000)."""


class Start(ClientMessage, frozen=True, kw_only=True, tag="start"):
    """Opens or resumes a session; answered by ``ready``. May be sent again to change the settings."""

    session_id: str | None = None
    voice: str = ""
    language: str = ""
    audio_in: AudioIn | None = None
    """None: no microphone is claimed until the first binary frame comes (16 kHz then)."""
    audio_out: AudioOut | None = msgspec.field(default_factory=AudioOut)
    """null: text only."""
    end_silence_ms: int = 500


class UserText(ClientMessage, frozen=True, kw_only=True, tag="message"):
    """A typed turn; interrupts an answer that is being spoken."""

    text: str
    voice: str = ""
    include_audio: bool = True


class EndOfSpeech(ClientMessage, frozen=True, kw_only=True, tag="end_of_speech"):
    """Push to talk was released: the utterance is over now."""


class Interrupt(ClientMessage, frozen=True, kw_only=True, tag="interrupt"):
    """Stop the answer; ``played_ms`` is how much of its sound was heard, where the client knows."""

    played_ms: int | None = None


class Played(ClientMessage, frozen=True, kw_only=True, tag="played"):
    """How far the playback of a turn's sound has got."""

    turn_id: str
    ms: int


class Ping(ClientMessage, frozen=True, kw_only=True, tag="ping"):
    """Answered by ``pong`` with the same ``id``."""

    id: str | int | None = None


class Stop(ClientMessage, frozen=True, kw_only=True, tag="stop"):
    """Ends the conversation; the server closes with 1000."""


AnyClientMessage = Start | UserText | EndOfSpeech | Interrupt | Played | Ping | Stop


class ServerEvent(msgspec.Struct, frozen=True, kw_only=True, tag_field="type"):
    """Base of what EVA sends as JSON."""


class Ready(ServerEvent, frozen=True, kw_only=True, tag="ready"):
    """The session stands."""

    session_id: str
    is_resumed: bool
    turns: int
    """Turns that the conversation had before."""
    voice: str
    language: str
    audio_in: AudioIn | None
    audio_out: AudioOut | None
    ears: str | None = None
    """The engine that listens, where a microphone was claimed."""


class SpeechStartedEvent(ServerEvent, frozen=True, kw_only=True, tag="speech_started"):
    """The person began to speak."""

    at_ms: int


class PartialEvent(ServerEvent, frozen=True, kw_only=True, tag="partial"):
    """What was understood so far; may change."""

    text: str


class FinalEvent(ServerEvent, frozen=True, kw_only=True, tag="final"):
    """The transcript of the utterance. With an empty text no turn follows."""

    text: str
    language: str
    turn_id: str | None


class TurnStarted(ServerEvent, frozen=True, kw_only=True, tag="turn_started"):
    """An answer is being made; one ``turn_done``, ``interrupted`` or ``error`` with this id follows."""

    turn_id: str
    is_spoken: bool


class Token(ServerEvent, frozen=True, kw_only=True, tag="token"):
    """More of the answer's text.

    What stood from character ``at`` on is replaced, so that an answer that was begun anew reads right;
    usually ``at`` is where the text ended.
    """

    turn_id: str
    text: str
    at: int = 0


class SegmentEvent(ServerEvent, frozen=True, kw_only=True, tag="segment"):
    """A piece of the answer went to the voice."""

    turn_id: str
    segment: int
    text: str


class AudioEvent(ServerEvent, frozen=True, kw_only=True, tag="audio"):
    """Header of the binary message that follows at once."""

    turn_id: str
    segment: int
    seq: int
    """Counts from 0 within the turn, without a gap."""
    format: Format
    rate_hz: int
    duration_ms: float
    size_bytes: int


class Flush(ServerEvent, frozen=True, kw_only=True, tag="flush"):
    """Throw away the sound of this turn that has not been played yet: the answer was interrupted."""

    turn_id: str


class EngineReport(msgspec.Struct, frozen=True, kw_only=True):
    """Which engine served a stage of a turn."""

    engine: str
    model: str = ""
    device: str = ""
    is_degraded: bool = False


class Timeline(msgspec.Struct, frozen=True, kw_only=True):
    """Milliseconds; the parts up to ``response_ms`` add up to it. Parts that a turn does not have are 0."""

    endpoint_ms: float = 0.0
    """End of speech → the decision that the turn is over (waiting in silence, by configuration)."""
    stt_ms: float = 0.0
    """That decision → transcript at the gateway."""
    llm_ms: float = 0.0
    """Turn at the gateway → first segment handed to the voice."""
    tts_ms: float = 0.0
    """First segment → its first chunk at the gateway."""
    send_ms: float = 0.0
    """First chunk at the gateway → its first audible chunk written to the socket."""
    response_ms: float = 0.0
    """End of speech, or the typed turn's arrival → first audible audio at the socket."""
    first_token_ms: float = 0.0
    """Turn at the gateway → first text at the gateway."""
    total_ms: float = 0.0
    """Turn at the gateway → the terminal event."""
    audio_ms: float = 0.0
    """Duration of the answer's sound."""
    attempts: int = 1
    repeats: int = 0
    """Segments that had to be made again."""


class TurnDone(ServerEvent, frozen=True, kw_only=True, tag="turn_done"):
    """Terminal: the whole answer was sent, with audible sound where sound was asked for."""

    turn_id: str
    text: str
    has_audio: bool
    timeline: Timeline
    engines: dict[str, EngineReport]


class Interrupted(ServerEvent, frozen=True, kw_only=True, tag="interrupted"):
    """Terminal: the answer was stopped; ``heard`` is what the conversation keeps of it."""

    turn_id: str
    reason: Literal["speech", "message", "client", "closed"]
    heard: str
    timeline: Timeline


class ErrorEvent(ServerEvent, frozen=True, kw_only=True, tag="error"):
    """Something failed; the session lives on unless the socket closes.

    With a ``turn_id`` it is that turn's terminal event.
    """

    code: str
    message: str
    turn_id: str | None = None
    param: str | None = None
    retry_after_ms: int | None = None
    text: str = ""
    """What there was of the answer."""


class Pong(ServerEvent, frozen=True, kw_only=True, tag="pong"):
    """The answer to ``ping``."""

    id: str | int | None = None


_decoder = msgspec.json.Decoder(AnyClientMessage)
_encoder = msgspec.json.Encoder()


def parse_client(text: str | bytes) -> AnyClientMessage:
    """Reads one control message.

    Raises:
        BadInput: it is too long, no JSON, of an unknown type, or a field has the wrong type or range.
    """
    if len(text) > MAX_CONTROL_BYTES:
        raise BadInput(f"a control message may have {MAX_CONTROL_BYTES} bytes, this one has {len(text)}")
    try:
        message: AnyClientMessage = _decoder.decode(text)
    except msgspec.ValidationError as error:
        raise BadInput(str(error), param=_param(str(error))) from error
    except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
        raise BadInput(f"not JSON: {error}") from error
    return _checked(message)


def _param(reason: str) -> str | None:
    """Returns the path that msgspec names at the end of its reason (``… - at `$.audio_in.rate_hz```)."""
    _, found, path = reason.rpartition("`$.")
    return path.rstrip("`") if found else None


def _checked(message: AnyClientMessage) -> AnyClientMessage:
    match message:
        case UserText(text=text):
            if not text.strip():
                raise BadInput("the message is empty", param="text")
            if len(text) > MAX_TEXT_CHARS:
                raise BadInput(f"a message may have {MAX_TEXT_CHARS} characters", param="text")
        case Played(ms=ms) if ms < 0:
            raise BadInput("playback cannot be before its start", param="ms")
        case Interrupt(played_ms=int(ms)) if ms < 0:
            raise BadInput("playback cannot be before its start", param="played_ms")
        case Start(end_silence_ms=ms) if not 100 <= ms <= 5000:
            raise BadInput("the silence that ends a turn is 100 to 5000 ms", param="end_silence_ms")
        case _:
            pass
    return message


def encode_event(event: ServerEvent) -> bytes:
    """Returns the event as JSON in UTF-8."""
    return _encoder.encode(event)
