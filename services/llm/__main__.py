"""``python -m services.llm``: picks the minds that the settings allow and lives as a worker."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from services.llm.chain import Chain
from services.llm.companion_mind import CompanionMind
from services.llm.engine import Mind
from services.llm.prices import parse_prices, price_of
from services.llm.route_list import RouteSpec
from services.llm.settings import LlmSettings
from services.llm.toolbox import Toolbox
from services.llm.worker import LlmWorker
from shared.bus.nats import NatsBus, connect
from shared.instruments import make_instruments
from shared.service import run
from shared.settings import CommonSettings
from shared.subjects import new_token

if TYPE_CHECKING:
    from services.llm.groq import GroqMind
    from services.llm.openai_compatible import OpenAiCompatible


def minds(settings: LlmSettings) -> list[Mind]:
    """Returns the minds in order, those of one provider on one line to it; see ``_groq`` and ``_openai``."""
    prices = parse_prices(settings.llm_prices)
    lines: dict[str, GroqMind | OpenAiCompatible] = {}
    chosen: list[Mind] = []
    for spec in settings.routes:
        if spec.kind == "companion":
            chosen.append(CompanionMind())
            continue
        mind: GroqMind | OpenAiCompatible
        if first := lines.get(spec.kind + spec.base_url):
            mind = first.beside(spec.model)
        else:
            mind = _groq(settings, spec) if spec.kind == "groq" else _openai(settings, spec)
            lines[spec.kind + spec.base_url] = mind
        mind.price = price_of(mind.route, spec.model, prices)
        chosen.append(mind)
    return chosen


def _groq(settings: LlmSettings, spec: RouteSpec) -> GroqMind:
    """A vendor's library is imported only if it is used."""
    from services.llm.groq import GroqMind  # noqa: PLC0415 - as said above

    return GroqMind(
        api_key=settings.groq_api_key.get_secret_value(),
        base_url=settings.llm_groq_base_url,
        model=spec.model,
        max_tokens=settings.llm_max_tokens,
        patience=settings.patience(settings.llm_first_token_s),
    )


def _openai(settings: LlmSettings, spec: RouteSpec) -> OpenAiCompatible:
    """As ``_groq``."""
    from services.llm.openai_compatible import OpenAiCompatible  # noqa: PLC0415 - as said above

    return OpenAiCompatible(
        base_url=spec.base_url,
        ports=settings.discover_ports,
        api_key=settings.key_of(spec.base_url),
        model=spec.model,
        max_tokens=settings.llm_max_tokens,
        patience=settings.patience(settings.llm_server_first_token_s),
    )


def make(settings: CommonSettings) -> LlmWorker:
    """Returns the worker, not yet warm."""
    assert isinstance(settings, LlmSettings)
    instruments = make_instruments("llm", metrics_port=settings.metrics_port)
    chain = Chain(minds(settings), policy=settings.policy, clock=time.monotonic, tracer=instruments.tracer)
    name = settings.worker_id or new_token()
    return LlmWorker(name, chain, settings.options, toolbox=_toolbox(settings), instruments=instruments)


def _toolbox(settings: LlmSettings) -> Toolbox | None:
    servers = settings.mcp_servers
    if not servers:
        return None
    from services.llm.mcp_toolbox import McpToolbox  # noqa: PLC0415 - only if it is used

    return McpToolbox(servers)


async def connected(settings: CommonSettings) -> NatsBus:
    """Connects to the broker."""
    password = settings.nats_password.get_secret_value()
    return await connect(settings.nats_url, name="llm", user=settings.nats_user, password=password)


if __name__ == "__main__":
    run(LlmSettings.read, make, connected)
