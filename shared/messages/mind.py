"""Work for the mind and what it answers."""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from shared.messages.base import AudioFormat, Message


class ToolSpec(msgspec.Struct, frozen=True, kw_only=True):
    """A function that the model may call."""

    name: str
    description: str = ""
    parameters: dict[str, Any] = {}
    """JSON Schema of its arguments; empty: it takes none."""


class ToolUse(msgspec.Struct, frozen=True, kw_only=True):
    """One call of a function by the model."""

    id: str
    name: str
    arguments: str = "{}"
    """JSON, as the model wrote it: it need not be valid."""


class ChatMessage(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One message of the conversation, as language models take it."""

    role: Literal["system", "user", "assistant", "tool"]
    content: str
    tool_calls: list[ToolUse] = []
    """What an assistant's message calls."""
    tool_call_id: str = ""
    """The call that a tool's message is the result of."""


class Generate(Message, frozen=True, kw_only=True, tag="work.generate"):
    """Work for the mind: answer the last user message, or go on behind the results of its tools."""

    gw: str
    sid: str
    turn: int
    attempt: int
    messages: list[ChatMessage]
    remaining_ms: int
    """For the whole turn, when this was published."""
    first_ms: int = 0
    """Until the gateway gives the turn up if no segment is there; 0: no such bound."""
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
    persona: str = ""
    """Who EVA is in this session; empty: as the worker is configured."""
    summary: str = ""
    """Of what was said before ``messages``."""
    tools: list[ToolSpec] = []
    """Functions of the client, besides those of the worker."""
    is_speculative: bool = False
    """Asked before the person's turn is known to be over: no function of the worker's may be run. Where the
    model calls one the worker reports ``needs_tools``."""
    tool_choice: str = "auto"
    """``auto``; ``none``: nothing is called; ``required``: one of ``tools`` is; or the name of that one."""
    max_tokens: int = 0
    """Of the answer; 0, or more than the worker is configured for: as it is configured."""
    temperature: float | None = None
    """None: as the provider has it."""
    model: str = ""
    """The name of the route that is asked first, if it is one of the worker's and well; else, and if empty,
    the first of its list is."""


class TextDelta(Message, frozen=True, kw_only=True, tag="mind.delta"):
    """More of the answer's text, coalesced to a few tens of milliseconds."""

    turn: int
    attempt: int
    seq: int
    """Counts from 0 within the attempt."""
    text: str
    takes_back: int = 0
    """So many characters before it, of this attempt, are void: a route broke off behind the last segment."""


class ToolCall(Message, frozen=True, kw_only=True, tag="mind.tool_call"):
    """The model calls a function. The client's are to be run by it; the worker's own are only told."""

    turn: int
    attempt: int
    call: ToolUse
    by: Literal["client", "server"] = "client"
    result: str = ""
    """What came of a call of the worker's own; it is told when that is known."""


class Summary(Message, frozen=True, kw_only=True, tag="mind.summary"):
    """The oldest messages of the conversation, in short; comes after the turn's ``MindDone``."""

    turn: int
    covers: int
    """So many of the ``messages`` that the turn was asked with stand in it, and may be dropped."""
    text: str


class RouteReport(msgspec.Struct, frozen=True, kw_only=True):
    """Which way an answer took and what that cost; without a word of what was said."""

    route: str = ""
    """``groq:llama-3.3-70b-versatile`` for example."""
    is_hedged: bool = False
    """A second route was asked because the first was slow to begin."""
    has_hedge_won: bool = False
    retries: int = 0
    """Requests that were made again, or on the next route, before the first token."""
    switches: int = 0
    """How often another route went on in mid-answer."""
    is_cut_short: bool = False
    """The answer ends early, behind a sentence: nobody could go on with it, or it went in circles."""
    queue_ms: float = 0.0
    """In the broker's queue."""
    connect_ms: float = 0.0
    """Opening a connection; 0: a warm one was there."""
    first_token_ms: float = 0.0
    """From being taken up to the first token; connecting, hedging and retrying are in it."""
    first_segment_ms: float = 0.0
    """From being taken up to the first segment handed to the voice."""
    input_tokens: int = 0
    cached_tokens: int = 0
    """Of the input tokens, those that the provider had in its cache."""
    output_tokens: int = 0
    cost_usd: float = 0.0
    """By the price table, the losers of hedges estimated and included."""


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
    tool_calls: int = 0
    """Calls that the client has to answer: the turn goes on with their results."""
    is_cut_short: bool = False
    """The answer ends where it had as many tokens as it may have."""
    report: RouteReport = RouteReport()
