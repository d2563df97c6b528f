"""The loopback provider, with turns that take what a trace says; on sockets as in memory.

It tells a turn by the number in the person's last words ("Question 17."), so that whoever is asked for a
turn, and however often, takes what this route takes in this turn.
"""

from __future__ import annotations

import dataclasses
import re

from tests.fakes.provider import FakeProvider, Reply, Request
from tests.fakes.provider_latency import Trace

ANSWER = ("Yes", ",", " I", " have", " looked", " it", " up", ".", " It", " is", " quite", " simple", ".")
TOKEN_S = 0.01
_NUMBER = re.compile(r"\d+")


class TracedProvider(FakeProvider):
    """One model of one provider."""

    def __init__(self, trace: Trace, *, model: str) -> None:
        super().__init__(Reply(tokens=ANSWER, delay_s=TOKEN_S), models=(model,))
        self.trace = trace
        self._newest = 0

    def _reply(self, request: Request) -> Reply:
        """As its trace says; a probe that is a completion takes what the newest turn has taken."""
        turn = turn_of(request)
        self._newest = max(self._newest, turn)
        self.load_s = self.trace.first_token_s(turn or self._newest)
        return dataclasses.replace(self.replies[0], first_delay_s=self.load_s)

    @property
    def probes(self) -> int:
        """What came in besides people's turns."""
        return self.listings + self.warm_ups


def turn_of(request: Request) -> int:
    """Returns the number in the person's last words; 0 where there is none."""
    said = [message["content"] for message in request.body["messages"] if message["role"] == "user"]
    found = _NUMBER.search(said[-1]) if said else None
    return int(found[0]) if found else 0
