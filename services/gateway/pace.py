"""When sound may leave for a client: at most so far ahead of its playing. Pure; time is passed in.

What has left cannot be taken back, so an interruption leaves at most ``ahead_s`` behind, besides what the
client holds of its own. The first sound leaves at once and begins the playback, as ``playout`` has it too:
both see the same sound at the same moments, so what the person is believed to have heard does not change.
"""

from __future__ import annotations

FOR_EVER = float("inf")
FORGIVEN = 0.1
LEAST_S = 0.001
"""Below it nothing is waited for: no clock is that fine."""


class Pace:
    """The playback of one client. Times are seconds of one monotonic clock."""

    __slots__ = ("_ahead_s", "_ends_at", "_held_at", "stalled_s")

    def __init__(self, ahead_s: float) -> None:
        self._ahead_s = ahead_s
        self._ends_at = -FOR_EVER
        self._held_at: float | None = None
        self.stalled_s = 0.0
        """How long the playback stood still although sound waited that might have left; of each second that
        came in time a tenth is forgiven."""

    def wait_s(self, audio_ms: float, now: float) -> float:
        """Returns how long the next sound has to wait; 0: it may leave, infinite: until ``release``.

        A piece longer than half of ``ahead_s`` is judged as if it had that length: however long pieces are,
        the next one leaves before the playback runs dry.
        """
        if self._held_at is not None:
            return FOR_EVER
        audio_s, half_s = audio_ms / 1000, self._ahead_s / 2
        room_s = self._ahead_s - audio_s if audio_s < half_s else half_s
        wait_s = self._ends_at - now - room_s
        return wait_s if wait_s > LEAST_S else 0.0

    def leave(self, audio_ms: float, queued_at: float, now: float) -> None:
        """Sound that has waited since ``queued_at`` leaves."""
        if audio_ms > 0:
            ends_at = self._ends_at
            dry_since = max(queued_at, ends_at)
            if now > dry_since:
                self.stalled_s += now - dry_since
            elif self.stalled_s:
                self.stalled_s = max(0.0, self.stalled_s - FORGIVEN * audio_ms / 1000)
            self._ends_at = max(now, ends_at) + audio_ms / 1000

    def hold(self, now: float) -> None:
        """The client was told to stand still."""
        if self._held_at is None:
            self._held_at = now

    def release(self, now: float) -> None:
        """The client goes on from where it was held."""
        if self._held_at is not None:
            self._ends_at = now + max(0.0, self._ends_at - self._held_at)
            self._held_at = None

    def clear(self) -> None:
        """What the client had was thrown away: the next sound begins a playback."""
        self._ends_at, self._held_at, self.stalled_s = -FOR_EVER, None, 0.0
