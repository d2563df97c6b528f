"""``eva mind``: the routes of a running EVA to a language model, as its workers have learnt them."""

from __future__ import annotations

import asyncio
import sys

import msgspec

from eva.gateway_client import Gateway
from eva.output import columns, is_plain, progress, result, result_json
from eva.status import route_rows
from services.gateway.health import RouteHealth, StageHealth

WATCH_EVERY_S = 1.0
_CLEAR = "\x1b[H\x1b[2J"


async def mind(url: str, *, is_watched: bool = False, is_json: bool = False) -> int:
    """Shows the routes once, or each second until it is stopped; 1 if no worker of the mind is there.

    Raises:
        NotRunning: nobody answers there.
        GatewayRefused: something else than EVA answers.
    """
    async with Gateway(url) as gateway:
        while True:
            stage = (await gateway.health()).stages.get("llm", StageHealth())
            if is_watched and not is_plain(sys.stdout):
                result(_CLEAR, end="")
            _show(stage.routes, is_json=is_json)
            if not is_watched:
                return 0 if stage.routes else 1
            await asyncio.sleep(WATCH_EVERY_S)


def _show(routes: list[RouteHealth], *, is_json: bool) -> None:
    if is_json:
        result_json(msgspec.to_builtins(routes))
    elif routes:
        result("\n".join(columns(route_rows(routes))))
    else:
        progress("No worker of the mind has been heard of.")
