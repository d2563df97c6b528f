"""What one turn's answers took and cost, route by route, until they make up its report. Pure."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from services.llm import prompt
from services.llm.engine import Mind, Usage
from shared.messages import ChatMessage, RouteReport


class Account:
    """Of one turn."""

    def __init__(self) -> None:
        self.mind: Mind | None = None
        """Who has told something last."""
        self.is_degraded = False
        self.switches = 0
        self._sum = RouteReport()

    def add(self, mind: Mind, report: RouteReport) -> None:
        """A mind has begun; ``report`` is how it was found."""
        before, is_first = self._sum, self.mind is None
        self.mind = mind
        self.is_degraded = self.is_degraded or mind.is_degraded
        self._sum = msgspec.structs.replace(
            before,
            route=mind.route,
            is_hedged=before.is_hedged or report.is_hedged,
            has_hedge_won=before.has_hedge_won or report.has_hedge_won,
            retries=before.retries + report.retries,
            connect_ms=report.connect_ms if is_first else before.connect_ms,
            cost_usd=before.cost_usd + report.cost_usd,
        )

    def settle(self, mind: Mind, usage: Usage | None, messages: Sequence[ChatMessage], said: str) -> None:
        """It has ended. Without ``usage`` its cost is estimated: it broke off, or was left before its end."""
        asked = sum(prompt.tokens(message.content) for message in messages)
        guessed = Usage(input_tokens=asked, output_tokens=prompt.tokens(said))
        counted = usage or Usage(input_tokens=0, output_tokens=0)
        self._sum = msgspec.structs.replace(
            self._sum,
            input_tokens=self._sum.input_tokens + counted.input_tokens,
            cached_tokens=self._sum.cached_tokens + counted.cached_tokens,
            output_tokens=self._sum.output_tokens + counted.output_tokens,
            cost_usd=self._sum.cost_usd + mind.price.of(usage or guessed),
        )

    def report(
        self, *, queue_s: float, first_token_s: float, first_segment_s: float, is_cut_short: bool
    ) -> RouteReport:
        """Returns all of it."""
        return msgspec.structs.replace(
            self._sum,
            switches=self.switches,
            is_cut_short=is_cut_short,
            queue_ms=1000 * queue_s,
            first_token_ms=1000 * first_token_s,
            first_segment_ms=1000 * first_segment_s,
        )
