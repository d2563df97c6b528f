"""What a client's settings mean for its session. Pure."""

from __future__ import annotations

import msgspec

from services.gateway.chat_protocol import BargeIn, ServerEvent, Start, Timings, VisemesEvent, WordsEvent


def is_wanted(event: ServerEvent, timings: Timings) -> bool:
    """Whether the client wants to be told of such events."""
    match event:
        case WordsEvent():
            return timings.words
        case VisemesEvent():
            return timings.visemes
        case _:
            return True


def barge_in(start: Start) -> BargeIn:
    """Returns what the client wants; who pushes to talk means it, so there is nothing to be judged."""
    if start.turn_taking.mode == "manual" and start.barge_in.mode == "judge":
        return msgspec.structs.replace(start.barge_in, mode="immediate")
    return start.barge_in
