"""``python -m services.llm``: picks the minds that the settings allow and lives as a worker."""

from __future__ import annotations

from services.llm.chain import Chain
from services.llm.companion_mind import CompanionMind
from services.llm.engine import Mind
from services.llm.settings import LlmSettings
from services.llm.worker import LlmWorker
from shared.bus.nats import NatsBus, connect
from shared.service import run
from shared.settings import CommonSettings
from shared.subjects import new_token


def minds(settings: LlmSettings) -> list[Mind]:
    """Returns the minds in order; a vendor's library is imported only if it is used."""
    chosen: list[Mind] = []
    if key := settings.groq_api_key.get_secret_value():
        from services.llm.groq import GroqMind  # noqa: PLC0415 - as said above

        chosen.append(
            GroqMind(
                api_key=key,
                base_url=settings.llm_groq_base_url,
                model=settings.llm_groq_model,
                max_tokens=settings.llm_max_tokens,
                patience=settings.patience(settings.llm_first_token_s),
            )
        )
    if settings.llm_base_url or settings.discover_ports:
        from services.llm.openai_compatible import OpenAiCompatible  # noqa: PLC0415 - as said above

        chosen.append(
            OpenAiCompatible(
                base_url=settings.llm_base_url,
                ports=settings.discover_ports,
                api_key=settings.llm_api_key.get_secret_value(),
                model=settings.llm_model,
                max_tokens=settings.llm_max_tokens,
                patience=settings.patience(settings.llm_server_first_token_s),
            )
        )
    return [*chosen, CompanionMind()]


def make(settings: CommonSettings) -> LlmWorker:
    """Returns the worker, not yet warm."""
    assert isinstance(settings, LlmSettings)
    return LlmWorker(settings.worker_id or new_token(), Chain(minds(settings)), settings.options)


async def connected(settings: CommonSettings) -> NatsBus:
    """Connects to the broker."""
    password = settings.nats_password.get_secret_value()
    return await connect(settings.nats_url, name="llm", user=settings.nats_user, password=password)


if __name__ == "__main__":
    run(LlmSettings.read, make, connected)
