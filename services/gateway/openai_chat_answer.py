"""What ``POST /v1/chat/completions`` answers: one completion, or the chunks of a stream. Pure."""

from __future__ import annotations

import base64
import math
from collections.abc import Sequence
from typing import Any, Literal

import msgspec

from services.gateway.chat_protocol import ToolCallEvent, TurnDone, Usage
from services.gateway.openai_audio_ids import GOOD_FOR_S, new_id
from services.gateway.openai_chat_body import Called, CalledFunction
from shared.errors import EvaError

CHARS_PER_TOKEN = 4
FinishReason = Literal["stop", "length", "tool_calls"]


class Replaced(EvaError):
    """The answer was begun anew, with other words than those that were sent already."""

    code = "answer_replaced"


class TokenDetails(msgspec.Struct, frozen=True, kw_only=True):
    """Of the tokens that were read."""

    cached_tokens: int


class ChatUsage(msgspec.Struct, frozen=True, kw_only=True):
    """Tokens as the language model's provider tells them, or an estimate: four letters a token."""

    prompt_tokens: int
    completion_tokens: int
    total_tokens: int
    prompt_tokens_details: TokenDetails


class ChatAudio(msgspec.Struct, frozen=True, kw_only=True):
    """The answer as sound."""

    id: str
    """A later request may name the answer by it, until ``expires_at``; it holds the answer's words."""
    data: str
    """Base64 of the file."""
    expires_at: int
    transcript: str


class ChatAnswer(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The answer's message."""

    role: Literal["assistant"]
    content: str | None
    """null: it is sound, or it only calls functions."""
    refusal: None
    tool_calls: list[Called] | None = None
    audio: ChatAudio | None = None


class Choice(msgspec.Struct, frozen=True, kw_only=True):
    """The one answer."""

    index: int
    message: ChatAnswer
    logprobs: None
    finish_reason: FinishReason


class ChatCompletion(msgspec.Struct, frozen=True, kw_only=True):
    """The answer of ``POST /v1/chat/completions``."""

    id: str
    object: Literal["chat.completion"]
    created: int
    model: str
    choices: list[Choice]
    usage: ChatUsage


class Heading:
    """What all parts of one answer have in common."""

    def __init__(self, token: str, model: str, created: int) -> None:
        self.id, self.model, self.created = f"chatcmpl-{token}", model, created

    @property
    def expires_at(self) -> int:
        """Until when the answer may be named by its id; Unix time."""
        return self.created + GOOD_FOR_S


class Prose:
    """Text on its way to a client that cannot take anything back."""

    def __init__(self) -> None:
        self.text = ""
        self.sent = ""

    def put(self, at: int, text: str) -> str:
        """Replaces what stands from ``at`` on; returns what is to be sent.

        Raises:
            Replaced: what was sent is no beginning of it any more.
        """
        self.text = self.text[:at] + text
        if not self.text.startswith(self.sent):
            if self.sent.startswith(self.text):
                return ""
            raise Replaced("the answer was begun anew, with other words than before")
        more, self.sent = self.text[len(self.sent) :], self.text
        return more


class Stops:
    """Sequences at which an answer ends; what may be the beginning of one is held back."""

    def __init__(self, sequences: Sequence[str]) -> None:
        self._sequences = tuple(sequences)
        self._held = ""
        self.is_reached = False

    def feed(self, text: str) -> str:
        """Returns what may be sent; nothing any more behind a sequence."""
        if self.is_reached:
            return ""
        self._held += text
        found = [
            (place + len(each), place) for each in self._sequences if (place := self._held.find(each)) >= 0
        ]
        if found:  # the one that is complete first counts, however the text is cut
            self.is_reached = True
            return self._held[: min(found)[1]]
        free = len(self._held) - self._begun()
        out, self._held = self._held[:free], self._held[free:]
        return out

    def rest(self) -> str:
        """Returns what was held back in vain."""
        return "" if self.is_reached else self._held

    def _begun(self) -> int:
        """How many characters at the end may be the beginning of a sequence."""
        sizes = (
            size
            for each in self._sequences
            for size in range(min(len(each) - 1, len(self._held)), 0, -1)
            if self._held.endswith(each[:size])
        )
        return max(sizes, default=0)


def estimated(read_bytes: int, text: str) -> Usage:
    """Returns the tokens of a turn whose provider does not tell them."""
    return Usage(
        input_tokens=math.ceil(read_bytes / CHARS_PER_TOKEN),
        output_tokens=math.ceil(len(text) / CHARS_PER_TOKEN),
    )


def usage_of(done: TurnDone, read_bytes: int) -> ChatUsage:
    """Returns the tokens of a turn."""
    told = done.usage
    if told is None or not told.input_tokens:
        told = estimated(read_bytes, done.text)
    return ChatUsage(
        prompt_tokens=told.input_tokens,
        completion_tokens=told.output_tokens,
        total_tokens=told.input_tokens + told.output_tokens,
        prompt_tokens_details=TokenDetails(cached_tokens=told.cached_tokens),
    )


def finish_of(done: TurnDone, calls: Sequence[ToolCallEvent]) -> FinishReason:
    """Returns why the answer ends."""
    if calls:
        return "tool_calls"
    return "length" if done.is_cut_short else "stop"


def completion(
    head: Heading, done: TurnDone, calls: Sequence[ToolCallEvent], *, audio: bytes | None, read_bytes: int
) -> ChatCompletion:
    """Returns a whole answer. ``audio``: the file, where the answer is sound."""
    sound = None
    if audio:
        sound = ChatAudio(
            id=new_id(done.text, head.expires_at),
            data=base64.b64encode(audio).decode(),
            expires_at=head.expires_at,
            transcript=done.text,
        )
    message = ChatAnswer(
        role="assistant",
        content=None if sound is not None or (calls and not done.text) else done.text,
        refusal=None,
        tool_calls=[_called(call) for call in calls] or None,
        audio=sound,
    )
    choice = Choice(index=0, message=message, logprobs=None, finish_reason=finish_of(done, calls))
    return ChatCompletion(
        id=head.id,
        object="chat.completion",
        created=head.created,
        model=head.model,
        choices=[choice],
        usage=usage_of(done, read_bytes),
    )


class Chunks:
    """The chunks of one stream; each is an object to be sent as an event."""

    def __init__(self, head: Heading, *, has_usage: bool) -> None:
        self._head = head
        self._has_usage = has_usage
        self._is_begun = False
        self._transcript = ""

    def text(self, delta: str) -> dict[str, Any]:
        """More of the text."""
        return self._chunk({"content": delta})

    def transcript(self, delta: str) -> dict[str, Any]:
        """More of what is said in the sound."""
        self._transcript += delta
        return self._chunk({"audio": {"transcript": delta}})

    def sound(self, pcm: bytes) -> dict[str, Any]:
        """More of the sound."""
        return self._chunk({"audio": {"data": base64.b64encode(pcm).decode()}})

    def calls(self, calls: Sequence[ToolCallEvent]) -> dict[str, Any]:
        """The functions that are called."""
        listed = [
            {
                "index": index,
                "id": call.call_id,
                "type": "function",
                "function": {"name": call.name, "arguments": call.arguments},
            }
            for index, call in enumerate(calls)
        ]
        return self._chunk({"tool_calls": listed})

    def end(self, reason: FinishReason) -> list[dict[str, Any]]:
        """The last ones but the usage; of sound, its id comes here, for it holds the words."""
        chunks = []
        if self._transcript:
            expires_at = self._head.expires_at
            audio = {"id": new_id(self._transcript, expires_at), "expires_at": expires_at}
            chunks.append(self._chunk({"audio": audio}))
        return [*chunks, self._chunk({}, reason)]

    def usage(self, usage: ChatUsage) -> dict[str, Any]:
        """The last one, where it was asked for."""
        return {**self._chunk({}), "choices": [], "usage": msgspec.to_builtins(usage)}

    def _chunk(self, delta: dict[str, Any], reason: FinishReason | None = None) -> dict[str, Any]:
        if not self._is_begun:
            self._is_begun = True
            delta = {"role": "assistant", **delta}
        chunk: dict[str, Any] = {
            "id": self._head.id,
            "object": "chat.completion.chunk",
            "created": self._head.created,
            "model": self._head.model,
            "choices": [{"index": 0, "delta": delta, "logprobs": None, "finish_reason": reason}],
        }
        return {**chunk, "usage": None} if self._has_usage else chunk


def _called(call: ToolCallEvent) -> Called:
    return Called(id=call.call_id, function=CalledFunction(name=call.name, arguments=call.arguments))
