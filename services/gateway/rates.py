"""How much one client may send. Pure; times are seconds of one monotonic clock.

Whoever talks sends sound as fast as time goes by; twice that is allowed, and a burst on top for a client that
was stalled and catches up. Who sends more is told so once (``COMPLAIN``); what is too much is dropped
(``DROP``), and who goes on for ``PATIENCE_S`` is closed (``CLOSE``).
"""

from __future__ import annotations

from collections.abc import Iterable
from enum import Enum, auto
from typing import ClassVar

from shared.errors import EvaError

MESSAGES_S, MESSAGES_BURST = 100.0, 500.0
"""Control messages: a conversation that is restored comes as hundreds at once."""
FRAMES_S, FRAMES_BURST = 200.0, 6000.0
"""Messages that carry sound: a frame may be as short as 10 ms."""
SOUND_S, SOUND_BURST_S = 2.0, 70.0
"""Seconds of sound per second, and at once: more than the microphone's ring keeps, or one message holds."""
PATIENCE_S = 2.0
LEAST_BYTES_S = 2048.0
"""A request's body has to come at least this fast, after its first seconds."""
FRAMES_AT_ONCE, SOUND_AT_ONCE_S = 25, 0.5
"""Taken out of a bucket in advance, so that it is asked seldom; a burst is a hundred times as much."""


class RateLimited(EvaError):
    """The client sends more than anybody who talks; what is too much is dropped."""

    code: ClassVar[str] = "rate_limited"


class Verdict(Enum):
    """What is to be done with a message."""

    TAKE = auto()
    COMPLAIN = auto()
    """It is dropped, and the client is told."""
    DROP = auto()
    CLOSE = auto()
    """The client has gone on although it was told: close with 1008."""


class Bucket:
    """So much per second, and ``burst`` at once after a rest."""

    __slots__ = ("_at", "_burst", "_left", "_per_s")

    def __init__(self, per_s: float, burst: float) -> None:
        self._per_s, self._burst = per_s, burst
        self._left, self._at = burst, -float("inf")

    def take(self, amount: float, now: float) -> bool:
        """Takes an amount out; False, and nothing is taken, if that much is not there."""
        if now > self._at:
            self._left = min(self._burst, self._left + (now - self._at) * self._per_s)
            self._at = now
        if amount > self._left:
            return False
        self._left -= amount
        return True

    def most(self, amounts: Iterable[int], now: float) -> int:
        """Takes out the first of some amounts that is there; returns it, or 0."""
        return next((amount for amount in amounts if self.take(amount, now)), 0)


class Intake:
    """What comes from one client.

    Args:
        sound_burst_s: seconds of sound that may come at once.
    """

    __slots__ = ("_frames", "_messages", "_over_at", "_paid_frames", "_paid_s", "_sound", "_told_at")

    def __init__(self, *, sound_burst_s: float = SOUND_BURST_S) -> None:
        self._messages = Bucket(MESSAGES_S, MESSAGES_BURST)
        self._frames = Bucket(FRAMES_S, FRAMES_BURST)
        self._sound = Bucket(SOUND_S, sound_burst_s)
        self._paid_frames, self._paid_s = 0, 0.0
        """Taken out of their buckets in advance, which are so asked seldom."""
        self._told_at: float | None = None
        self._over_at = 0.0

    def message(self, now: float) -> Verdict:
        """Judges a control message."""
        return Verdict.TAKE if self._messages.take(1.0, now) else self._too_much(now)

    def sound(self, seconds: float, now: float) -> Verdict:
        """Judges a message that carries so much sound."""
        if not self._paid_frames or self._paid_s < seconds:
            self._pay(seconds, now)
            if not self._paid_frames or self._paid_s < seconds:
                return self._too_much(now)
        self._paid_frames -= 1
        self._paid_s -= seconds
        return Verdict.TAKE

    def _pay(self, seconds: float, now: float) -> None:
        """Takes out what is missing, with some more if there is."""
        if not self._paid_frames:
            self._paid_frames = self._frames.most((FRAMES_AT_ONCE, 1), now)
        if self._paid_s < seconds:
            missing_s = seconds - self._paid_s
            if self._sound.take(missing_s + SOUND_AT_ONCE_S, now):
                self._paid_s = seconds + SOUND_AT_ONCE_S
            elif self._sound.take(missing_s, now):
                self._paid_s = seconds

    def _too_much(self, now: float) -> Verdict:
        if self._told_at is None or now - self._over_at > PATIENCE_S:
            self._told_at = self._over_at = now
            return Verdict.COMPLAIN
        self._over_at = now
        return Verdict.CLOSE if now - self._told_at > PATIENCE_S else Verdict.DROP


def body_due_s(received_bytes: int, grace_s: float) -> float:
    """Returns how many seconds a request's body may have taken when so much of it is there."""
    return grace_s + received_bytes / LEAST_BYTES_S
