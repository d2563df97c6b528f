"""What a chat completion is asked for: its rules, and the conversation that it holds. Pure.

Stateless: the messages of the request are the whole conversation. System and developer messages are who EVA
is in it; a recording counts as what is said in it. What EVA cannot do is refused by name.
"""

from __future__ import annotations

import base64
import binascii
import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import msgspec

from services.gateway.chat_protocol import MAX_TOOLS, Tool
from services.gateway.openai_audio_ids import transcript_of
from services.gateway.openai_chat_body import Called, ChatWish, InputAudio, Part, Said, ToolChoice
from services.gateway.problems import Unsupported
from services.gateway.turn_io import Wish
from shared.errors import BadInput
from shared.messages import ChatMessage, SessionRecord, Summary, ToolUse

MAX_BYTES = 160_000
"""Of a conversation with its tools: work that carries it must fit into a message of the bus (256 KiB)."""
MESSAGE_BYTES = 64
"""What each message takes besides its words."""
MAX_STOPS = 4
MAX_RECORDINGS = 8
_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")


class UnsupportedParameter(BadInput):
    """A field that EVA does not know what to do with."""

    code = "unsupported_parameter"


class TooMuchContext(BadInput):
    """The conversation is longer than any mind can read."""

    code = "context_length_exceeded"

    def __init__(self, message: str) -> None:
        super().__init__(message, param="messages")


@dataclass(frozen=True, kw_only=True, slots=True)
class Talk:
    """The conversation that a request holds."""

    persona: str | None
    before: tuple[ChatMessage, ...]
    question: str | None
    """None: the last message is no user's, the conversation is answered as it stands."""

    @property
    def size_bytes(self) -> int:
        """Of all words."""
        said = [self.persona or "", self.question or "", *(message.content for message in self.before)]
        called = [
            call.name + call.arguments + call.id for message in self.before for call in message.tool_calls
        ]
        return sum(len(text.encode()) + MESSAGE_BYTES for text in [*said, *called])


class GivenDialogue:
    """A conversation that is brought along and kept by nobody."""

    def __init__(self, before: Sequence[ChatMessage]) -> None:
        self.record = SessionRecord()
        self._before = list(before)

    def asked(self, turn: int) -> list[ChatMessage]:  # noqa: ARG002 - there is one turn
        """Returns what was said before."""
        return self._before

    def remember(self, turn: int, user: str, answer: str) -> SessionRecord:  # noqa: ARG002 - as ``Dialogue``
        """Keeps nothing."""
        return self.record

    def forget(self, turn: int) -> SessionRecord:  # noqa: ARG002 - as ``Dialogue``
        """Nothing was kept."""
        return self.record

    def summarise(self, summary: Summary) -> SessionRecord:  # noqa: ARG002 - as ``Dialogue``
        """Keeps nothing."""
        return self.record

    def prefer(self, *, language: str, voice: str) -> None:
        """Keeps nothing."""


def checked(wish: ChatWish) -> ChatWish:
    """Returns the request if it can be served. Raises ``BadInput`` naming the field."""
    if not wish.model.strip():
        raise BadInput("name a model; any name will do", param="model")
    if not wish.messages:
        raise BadInput("there is nothing to answer", param="messages")
    _check_unsupported(wish)
    _check_numbers(wish)
    _check_audio(wish)
    if len(wish.stops) > MAX_STOPS or not all(wish.stops):
        raise BadInput(f"up to {MAX_STOPS} sequences, none of them empty", param="stop")
    if wish.stream_options is not None and not wish.stream:
        raise BadInput("stream_options go with stream: true", param="stream_options")
    return wish


def recordings(wish: ChatWish) -> list[bytes]:
    """Returns all recordings in the messages, in their order. Raises ``BadInput`` naming the one at fault."""
    found: list[bytes] = []
    for place, recording in _recordings(wish):
        param = f"{place}.input_audio.data"
        try:
            data = base64.b64decode(recording.data, validate=True)
        except (binascii.Error, ValueError) as error:
            raise BadInput("a recording is base64", param=param) from error
        if not data:
            raise BadInput("the recording is empty", param=param)
        found.append(data)
    if len(found) > MAX_RECORDINGS:
        raise BadInput(f"a request may have {MAX_RECORDINGS} recordings", param="messages")
    return found


def talk_of(wish: ChatWish, heard: Sequence[str], now_s: float) -> Talk:
    """Returns the conversation. ``heard``: what is said in the ``recordings``; ``now_s``: Unix time.

    Raises:
        BadInput: a message cannot stand where it does, or all of it is too long; names the message.
    """
    words = iter(heard)
    personas: list[str] = []
    messages: list[ChatMessage] = []
    open_calls: set[str] = set()
    for number, said in enumerate(wish.messages):
        place = f"messages[{number}]"
        if open_calls and said.role != "tool":
            raise BadInput("each tool call needs its result before the conversation goes on", param=place)
        text = _text(said, words, place, now_s)
        match said.role:
            case "system" | "developer":
                personas.append(text)
            case "user":
                messages.append(ChatMessage(role="user", content=text))
            case "assistant":
                calls = [_use(call) for call in said.tool_calls or ()]
                open_calls = {call.id for call in calls}
                messages.append(ChatMessage(role="assistant", content=text, tool_calls=calls))
            case _:
                if said.tool_call_id not in open_calls:
                    message = "a tool's message answers a call of the message before it"
                    raise BadInput(message, param=f"{place}.tool_call_id")
                open_calls.discard(said.tool_call_id)
                messages.append(ChatMessage(role="tool", content=text, tool_call_id=said.tool_call_id))
    if open_calls:
        raise BadInput("the results of the last tool calls are missing", param="messages")
    return _fitting(wish, "\n\n".join(filter(None, personas)) or None, messages)


def wish_of(wish: ChatWish, talk: Talk) -> Wish:
    """Returns how the answer is to be made. Raises ``BadInput`` naming the tool at fault."""
    tools = tools_of(wish)
    choice = wish.tool_choice or "auto"
    if isinstance(choice, ToolChoice):
        choice = choice.function.name
    elif choice not in {"auto", "none", "required"}:
        raise BadInput("a choice is auto, none, required or a function", param="tool_choice")
    names = {tool.name for tool in tools}
    if choice not in names | {"auto", "none"} and not (choice == "required" and names):
        raise BadInput("no such function is among the tools", param="tool_choice")
    return Wish(
        persona=talk.persona,
        tools=tools,
        tool_choice=choice,
        max_tokens=wish.max_completion_tokens or wish.max_tokens or 0,
        temperature=wish.temperature,
        hands_over=True,
    )


def tools_of(wish: ChatWish) -> tuple[Tool, ...]:
    """Returns the functions. Raises ``BadInput`` naming the one at fault."""
    found: list[Tool] = []
    for number, tool in enumerate(wish.tools or ()):
        param = f"tools[{number}]"
        if tool.type != "function":
            raise Unsupported("tools are functions", param=f"{param}.type")
        function = tool.function
        if function is None or not _NAME.fullmatch(function.name):
            message = "a function's name has 1 to 64 letters, digits, _ and -"
            raise BadInput(message, param=f"{param}.function.name")
        found.append(
            Tool(
                name=function.name,
                description=function.description or "",
                parameters=function.parameters or {},
            )
        )
    if len(found) > MAX_TOOLS or len({tool.name for tool in found}) < len(found):
        raise BadInput(f"up to {MAX_TOOLS} tools, each with a name of its own", param="tools")
    return tuple(found)


def _check_unsupported(wish: ChatWish) -> None:
    if wish.functions is not None or wish.function_call is not None:
        name = "functions" if wish.functions is not None else "function_call"
        raise UnsupportedParameter("functions go into tools", param=name)
    if wish.web_search_options is not None:
        raise UnsupportedParameter("EVA does not search the web", param="web_search_options")
    if wish.response_format is not None and wish.response_format.type != "text":
        raise Unsupported("EVA answers in words, as people talk", param="response_format.type")
    if wish.logprobs:
        raise Unsupported("EVA tells no probabilities", param="logprobs")
    if wish.n not in {None, 1}:
        raise Unsupported("EVA gives one answer", param="n")


def _check_numbers(wish: ChatWish) -> None:
    for param in ("max_tokens", "max_completion_tokens"):
        count = getattr(wish, param)
        if count is not None and not 1 <= count <= 1_000_000:
            raise BadInput("an answer has at least one token", param=param)
    warmth = wish.temperature
    if warmth is not None and not (math.isfinite(warmth) and 0 <= warmth <= 2):
        raise BadInput("a temperature is 0 to 2", param="temperature")


def _check_audio(wish: ChatWish) -> None:
    if not wish.is_spoken:
        return
    if wish.audio is None:
        raise BadInput("an answer that is sound needs a voice and a format", param="audio")
    if wish.stream and wish.audio.format != "pcm16":
        raise Unsupported("sound is streamed as pcm16", param="audio.format")
    if wish.stops:
        raise Unsupported("what is spoken cannot be taken back", param="stop")


def _recordings(wish: ChatWish) -> Iterator[tuple[str, InputAudio]]:
    for number, said in enumerate(wish.messages):
        for index, part in enumerate(said.content if isinstance(said.content, list) else ()):
            if _is_recording(part, said.role) and part.input_audio is not None:
                yield f"messages[{number}].content[{index}]", part.input_audio


def _is_recording(part: Part, role: str) -> bool:
    return part.type == "input_audio" and role == "user" and part.input_audio is not None


def _text(said: Said, heard: Iterator[str], place: str, now_s: float) -> str:
    if said.audio is not None and said.role == "assistant":
        return transcript_of(said.audio.id, now_s, param=f"{place}.audio.id")
    if said.content is None:
        if said.role == "assistant" and said.tool_calls:
            return ""
        raise BadInput("a message says something", param=f"{place}.content")
    if isinstance(said.content, str):
        return said.content
    return "\n".join(
        _part_text(part, said.role, heard, f"{place}.content[{index}]")
        for index, part in enumerate(said.content)
    )


def _part_text(part: Part, role: str, heard: Iterator[str], place: str) -> str:
    if part.type == "text":
        return part.text
    if part.type == "refusal" and role == "assistant":
        return part.refusal
    if _is_recording(part, role):
        return next(heard)
    raise Unsupported("EVA reads text, and hears recordings of users", param=f"{place}.type")


def _use(call: Called) -> ToolUse:
    return ToolUse(id=call.id, name=call.function.name, arguments=call.function.arguments)


def _fitting(wish: ChatWish, persona: str | None, messages: list[ChatMessage]) -> Talk:
    question = messages.pop().content if messages and messages[-1].role == "user" else None
    talk = Talk(persona=persona, before=tuple(messages), question=question)
    size_bytes = talk.size_bytes + len(msgspec.json.encode(wish.tools))
    if size_bytes > MAX_BYTES:
        raise TooMuchContext(f"a conversation may have {MAX_BYTES} bytes, with all that belongs to it")
    return talk
