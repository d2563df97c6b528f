"""Push-to-talk: space or Enter opens the microphone, and again closes it; this file alone knows a terminal.

A terminal tells when a key goes down and never when it comes up, so the key toggles.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator, Callable

from shared.errors import EvaError

_KEYS = b" \r\n"


class NoTerminal(EvaError):
    """Keys can only be read from a terminal."""

    code = "no_terminal"


@contextlib.asynccontextmanager
async def on_press(terminal: Callable[[], int], press: Callable[[], None]) -> AsyncIterator[None]:
    """Calls ``press`` for each space or Enter while the caller stays inside; the terminal is as before then.

    ``terminal`` returns its file descriptor.

    Raises:
        NoTerminal: it is none, or this system has none that tells single keys.
    """
    try:
        import termios  # noqa: PLC0415 - absent on Windows
        import tty  # noqa: PLC0415 - absent on Windows

        number = terminal()
        before = termios.tcgetattr(number)
    except (ImportError, OSError, ValueError, termios.error) as error:
        raise NoTerminal("push-to-talk needs a terminal: use --wav FILE, or hands-free") from error
    loop = asyncio.get_running_loop()

    def read() -> None:
        pressed = os.read(number, 64)
        if not pressed:  # the terminal is gone
            loop.remove_reader(number)
        for key in pressed:
            if key in _KEYS:
                press()

    tty.setcbreak(number)
    loop.add_reader(number, read)
    try:
        yield
    finally:
        loop.remove_reader(number)
        termios.tcsetattr(number, termios.TCSADRAIN, before)
