"""What ``eva doctor`` says of each way to a language model: it is asked as a worker asks at its start.

That proves the key, the way there and the model at once. A route that nobody has set up is no failure, one
that is set up and cannot be used is, even if EVA would get on without it.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import TYPE_CHECKING

from eva.checks import Check
from shared.errors import ConfigError

if TYPE_CHECKING:
    from services.llm.engine import Mind

NAME = "mind"
PROVE_S = 5.0
"""A route that has not answered by then is taken for broken."""
GET_ONE = "echo GROQ_API_KEY=… >> .env, or start Ollama"


async def mind_checks() -> AsyncIterator[Check]:
    """Yields a check for each route, in the order in which they are asked."""
    from services.llm.__main__ import minds  # noqa: PLC0415 - another service's parts, for this check alone
    from services.llm.settings import LlmSettings  # noqa: PLC0415

    try:
        chosen = minds(LlmSettings.read())
    except ConfigError as error:
        yield Check(NAME, ok=False, detail=str(error), hint="eva config show")
        return
    try:
        checks = await asyncio.gather(*(_proven(mind) for mind in chosen))
    finally:
        for mind in chosen:
            await mind.close()
    for check in checks:
        yield check
    if only_makeshift(chosen, checks):
        yield Check(
            NAME, ok=True, detail="no language model: the scripted companion answers, degraded", hint=GET_ONE
        )


async def _proven(mind: Mind) -> Check:
    from services.llm.engine import MindFailed  # noqa: PLC0415 - see above

    try:
        async with asyncio.timeout(PROVE_S):
            await mind.prove()
    except MindFailed as failed:
        detail = f"{mind.route}: {failed.reason}"
        return Check(NAME, failed.is_absent, detail, failed.hint or ("" if failed.is_absent else GET_ONE))
    except TimeoutError:
        detail = f"{mind.route}: no answer within {PROVE_S:.0f} s"
        return Check(NAME, ok=False, detail=detail, hint="Look at the provider's status page")
    return Check(NAME, ok=True, detail=f"{mind.route} can be used")


def only_makeshift(minds: Sequence[Mind], checks: Sequence[Check]) -> bool:
    """Whether no route can be used but makeshifts, and none that could has failed."""
    return all(check.ok for check in checks) and not any(
        check.detail == f"{mind.route} can be used" and not mind.is_degraded
        for mind, check in zip(minds, checks, strict=True)
    )
