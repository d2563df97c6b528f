"""The items of a conversation as they stand on the wire. Pure.

What is ``UNSET`` is left out; ``transcript`` is written even where it is null, because a client of its kind
dies of a part of ``input_audio`` without it. Sound itself never stands in an item.
"""

from __future__ import annotations

from typing import Literal

import msgspec
from msgspec import UNSET, UnsetType

Status = Literal["completed", "incomplete", "in_progress"]
Role = Literal["system", "user", "assistant"]


class InputText(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="input_text"):
    """What was typed, or what the system says."""

    text: str


class InputAudio(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="input_audio"):
    """What was spoken."""

    transcript: str | None = None
    """None: not transcribed yet, or not at all."""


class OutputText(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="output_text"):
    """An answer in writing."""

    text: str


class OutputAudio(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="output_audio"):
    """A spoken answer."""

    transcript: str | None = None


Part = InputText | InputAudio | OutputText | OutputAudio


class MessageItem(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="message"):
    """Something said by one side."""

    id: str
    object: Literal["realtime.item"] = "realtime.item"
    status: Status = "completed"
    role: Role
    content: tuple[Part, ...] = ()


class FunctionCallItem(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="function_call"):
    """The model calls a function of the client's."""

    id: str
    object: Literal["realtime.item"] = "realtime.item"
    status: Status = "completed"
    call_id: str
    name: str
    arguments: str
    """JSON, as the model wrote it."""


class FunctionCallOutputItem(
    msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="function_call_output"
):
    """What such a function has returned."""

    id: str
    object: Literal["realtime.item"] = "realtime.item"
    status: Status | UnsetType = UNSET
    call_id: str
    output: str


Item = MessageItem | FunctionCallItem | FunctionCallOutputItem
