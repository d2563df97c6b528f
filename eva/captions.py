"""How a spoken conversation looks on the terminal: heard, answered, interrupted, the strip of each turn.

Captions grow in place while the person speaks: what is settled stands normal, what may still change grey.
When an answer is interrupted, the words that nobody heard are shown struck through. Without a terminal
everything is plain lines. Answers are the result and go to stdout, the rest to stderr.
"""

from __future__ import annotations

import sys
import time

from rich.console import Console
from rich.control import Control
from rich.segment import ControlType
from rich.text import Text

from eva.dialogue import Dialogue
from eva.output import complain, is_plain, progress, result
from eva.say import show_token
from eva.strip import served_by, strip, way
from eva.wording import PREFIX, caption, divided, heard_of
from services.gateway.chat_protocol import (
    ErrorEvent,
    Filler,
    FinalEvent,
    Flush,
    Interrupted,
    PartialEvent,
    ServerEvent,
    Token,
    ToolCallEvent,
    TurnDone,
)

_SHOWN = (FinalEvent, Token, Filler, ToolCallEvent, TurnDone, Interrupted, Flush, ErrorEvent)


class Captions:
    """Shows one conversation. ``is_live``: on a terminal that can be written over."""

    def __init__(self, *, is_quiet: bool = False, is_live: bool | None = None) -> None:
        self._is_quiet = is_quiet
        self._is_live = not is_plain(sys.stderr) if is_live is None else is_live
        self._console = Console(file=sys.stderr, highlight=False, force_terminal=self._is_live or None)
        self._answer = ""
        """What stands on the line of the answer that is being written."""
        self._is_caption_open = False

    def show(self, dialogue: Dialogue, event: ServerEvent) -> None:
        """Shows one event."""
        if self._is_quiet:
            return
        if isinstance(event, PartialEvent):
            self._caption(event)
            return
        if isinstance(event, _SHOWN):
            self._clear_caption()
            self._write(dialogue, event)

    def _write(self, dialogue: Dialogue, event: ServerEvent) -> None:
        match event:
            case FinalEvent(text=text) if text:
                self._end_line()
                result(f"You: {text}")
            case Token(turn_id=turn_id):
                if not self._answer:
                    result("EVA: ", end="")
                self._answer = show_token(dialogue.turn(turn_id).text, self._answer)
            case Filler(text=text) if not self._answer:  # never into the line of an answer
                progress(f"  ({text})")
            case ToolCallEvent(name=name) if not self._answer:
                progress(f"  calls {name}")
            case TurnDone():
                if not self._answer:
                    result(f"EVA: {event.text}", end="")
                self._end_line(is_forced=True)
                for line in filter(None, (strip(event.timeline), way(event.route), served_by(event.engines))):
                    progress("  " + line)
            case Interrupted():
                self._end_line()
                self._cut(dialogue.turn(event.turn_id).text, event.heard)
                progress("  " + strip(event.timeline))
            case Flush(turn_id=turn_id) if (turn := dialogue.turn(turn_id)).outcome == "done":
                self._end_line()
                self._cut(turn.text, heard_of(turn, time.monotonic()))
            case ErrorEvent(message=message):
                self._end_line()
                complain(message)
            case _:
                pass

    def _caption(self, event: PartialEvent) -> None:
        if not self._is_live:
            progress(f"{PREFIX}{event.text}")
        elif not self._answer:  # never over the line of an answer
            self._clear_caption()
            width = self._console.width - 1
            self._console.print(caption(event.text, event.stable, width), end="", soft_wrap=True)
            self._is_caption_open = True

    def _clear_caption(self) -> None:
        if self._is_caption_open:
            self._console.control(Control(ControlType.CARRIAGE_RETURN, (ControlType.ERASE_IN_LINE, 2)))
            self._is_caption_open = False

    def _end_line(self, *, is_forced: bool = False) -> None:
        if self._answer or is_forced:
            result("")
        self._answer = ""

    def _cut(self, text: str, heard: str) -> None:
        """Shows what of an answer was heard and what was not."""
        said, unheard = divided(text, heard)
        if not self._is_live:
            progress(f"  heard: “{said}”, unheard: “{unheard}”")
            return
        self._console.print(Text.assemble("  ", (said, ""), " " if said else "", (unheard, "dim strike")))
