"""What a client sends as JSON on ``WS /ws/chat``, and the settings in it. Pure."""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from shared.messages import TurnDetection

InputRate = Literal[8000, 16000, 22050, 24000, 32000, 44100, 48000]
OutputRate = Literal[8000, 16000, 22050, 24000, 32000, 44100, 48000]
Format = Literal["pcm", "wav", "mp3", "opus", "aac", "flac", "mulaw", "alaw", "opus_packets"]


class ClientMessage(msgspec.Struct, frozen=True, kw_only=True, tag_field="type"):
    """Base of what a client sends as JSON; fields that are not known are ignored."""


class AudioIn(msgspec.Struct, frozen=True, kw_only=True):
    """The microphone: mono signed 16-bit PCM."""

    rate_hz: InputRate = 16000


class AudioOut(msgspec.Struct, frozen=True, kw_only=True):
    """The voice.

    ``wav`` is a streaming header and PCM behind it, ``opus`` is in Ogg pages, ``opus_packets`` are bare Opus
    packets of 20 ms, each behind its length (two bytes, the higher one first), ``aac`` has ADTS headers,
    ``mulaw`` and ``alaw`` have 8 bits a sample (ITU-T G.711).
    """

    format: Format = "pcm"
    rate_hz: OutputRate = 24000
    """Ignored for ``opus`` and ``opus_packets`` (48000)."""


class TurnTaking(msgspec.Struct, frozen=True, kw_only=True):
    """How EVA decides that the person's turn is over."""

    mode: TurnDetection = "auto"
    """``auto``: by silence, text and models together, between the two bounds; ``silence``: by
    ``end_silence_ms`` alone; ``manual``: only by ``end_of_speech``."""
    min_silence_ms: int = 300
    max_silence_ms: int = 1200
    threshold: float = 0.5
    """Probability of speech that counts as its beginning, 0..1; higher in noise."""
    answers: bool = True
    """False: what is said is transcribed only; no turn begins by itself."""


class BargeIn(msgspec.Struct, frozen=True, kw_only=True):
    """What happens when the person speaks while EVA does."""

    mode: Literal["judge", "immediate", "off", "half_duplex"] = "judge"
    """``judge``: pause, decide, stop or resume. ``immediate``: stop at the first sound. ``off``: EVA speaks
    to her end, what was said is answered then. ``half_duplex``: what is said meanwhile is not heard."""
    decide_ms: int = 600
    """From the first sound to the decision at the latest."""
    min_speech_ms: int = 400
    """So much speech is an interruption, whatever the words."""
    min_words: int = 1
    """So many words that are no backchannel are an interruption."""


class Timings(msgspec.Struct, frozen=True, kw_only=True):
    """Which events tell when what is heard of an answer."""

    words: bool = False
    visemes: bool = False


class Tool(msgspec.Struct, frozen=True, kw_only=True):
    """A function of the client's that the model may call."""

    name: str
    """1 to 64 letters, digits, ``_`` and ``-``."""
    description: str = ""
    parameters: dict[str, Any] = {}
    """JSON Schema of its arguments."""


class Has(msgspec.Struct, frozen=True, kw_only=True):
    """What a client that comes back has of the turn that it was in."""

    turn_id: str
    ms: float
    """So much of its sound, counted from its beginning: what came of it, or what was played of that."""
    heard: str = ""
    """The words of the answer that were heard, where the client knows them."""


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
    """Where ``turn_taking`` is ``auto``: what the adapting begins with."""
    turn_taking: TurnTaking = TurnTaking()
    barge_in: BargeIn = BargeIn()
    persona: str = ""
    """Who EVA is in this conversation, for the model; empty: as EVA is configured."""
    tools: list[Tool] = []
    """Functions that the model may call; each ``tool_call`` is to be answered by ``tool_result``."""
    timings: Timings = Timings()
    has: Has | None = None
    """With ``session_id``: what of the turn that goes on need not come again; None: as EVA herself has it."""


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


class ToolResult(ClientMessage, frozen=True, kw_only=True, tag="tool_result"):
    """What a function of the client's has returned; the turn goes on when all that were called have."""

    call_id: str
    output: str
    """Text for the model, JSON usually; of a failure what went wrong."""


class Ping(ClientMessage, frozen=True, kw_only=True, tag="ping"):
    """Answered by ``pong`` with the same ``id``."""

    id: str | int | None = None


class Stop(ClientMessage, frozen=True, kw_only=True, tag="stop"):
    """Ends the conversation; the server closes with 1000."""


AnyClientMessage = Start | UserText | EndOfSpeech | Interrupt | Played | ToolResult | Ping | Stop
