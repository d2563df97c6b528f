"""What is to be played, and how far it has got: order, holding, going on, dropping. Pure; time is passed in.

Sound comes faster than it is heard. It is given to the device in small slices and hardly ahead of time,
so that holding it takes effect at once whatever buffers lie behind (a player program's pipe alone holds
more than a second), and so that "how much was heard" has an exact answer.
"""

from __future__ import annotations

from collections import deque

SLICE_MS = 20
AHEAD_S = 0.05
"""So much is given to the device before it is due: what is still heard after holding."""
LONGEST_S = 600.0
"""So much sound may wait."""


class Playback:
    """Sound of one turn after the other, mono 16-bit PCM. ``now`` is in seconds of one clock."""

    def __init__(self, rate_hz: int) -> None:
        self.turn_id = ""
        """The turn that was played last."""
        self.is_held = False
        self._bytes_per_s = rate_hz * 2
        self._slice = rate_hz * SLICE_MS // 1000 * 2
        self._waiting: deque[tuple[str, memoryview]] = deque()
        self._waiting_bytes = 0
        self._taken_bytes = 0
        """Of the turn that was played last."""
        self._fed_until_s = 0.0
        """When the device will have played what it was given."""

    @property
    def is_empty(self) -> bool:
        """Whether nothing waits."""
        return not self._waiting

    def add(self, turn_id: str, pcm: bytes) -> bool:
        """Puts a piece behind the others; False, and nothing is taken, when ten minutes wait already."""
        if self._waiting_bytes > LONGEST_S * self._bytes_per_s:
            return False
        if pcm:
            self._waiting.append((turn_id, memoryview(pcm)))
            self._waiting_bytes += len(pcm)
        return True

    def due_s(self, now: float) -> float | None:
        """Returns in how many seconds ``take`` has something; None: not before it is told news."""
        if self.is_held or not self._waiting:
            return None
        return max(0.0, self._fed_until_s - now + SLICE_MS / 1000 - AHEAD_S)

    def take(self, now: float) -> bytes:
        """Returns what the device is to be given now, one slice or less; nothing while held or too early."""
        if self.due_s(now) != 0.0:
            return b""
        turn_id, piece = self._waiting.popleft()
        taken, left = piece[: self._slice], piece[self._slice :]
        if left:
            self._waiting.appendleft((turn_id, left))
        if turn_id != self.turn_id:
            self.turn_id, self._taken_bytes = turn_id, 0
        self._taken_bytes += len(taken)
        self._waiting_bytes -= len(taken)
        self._fed_until_s = max(now, self._fed_until_s) + len(taken) / self._bytes_per_s
        return bytes(taken)

    def hold(self) -> None:
        """Gives the device nothing more until ``go_on`` or ``drop``."""
        self.is_held = True

    def go_on(self) -> None:
        """Plays on at the first sample that the device was not given yet."""
        self.is_held = False

    def drop(self) -> None:
        """Forgets what the device was not given yet, and holds no longer."""
        self._waiting.clear()
        self._waiting_bytes = 0
        self.is_held = False

    def played_ms(self, turn_id: str, now: float) -> float:
        """Returns how much of a turn was heard.

        While held, what the device was given already counts: it is heard before anything else.
        """
        if turn_id != self.turn_id:
            return 0.0
        ahead_s = 0.0 if self.is_held else max(0.0, self._fed_until_s - now)
        return max(0.0, self._taken_bytes / self._bytes_per_s - ahead_s) * 1000
