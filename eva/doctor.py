"""``eva doctor``: each check says whether it holds, what was found, and what mends it."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import urlsplit

import msgspec

from eva.broker import Broker
from eva.chat_client import NotRunning
from eva.checks import SETUP, Check, local_checks
from eva.gateway_client import Gateway, GatewayRefused
from eva.mind_checks import mind_checks
from eva.options import gateway_settings
from eva.output import result, result_json
from eva.place import CannotStart, free_port
from eva.remote_broker import probe, without_password
from eva.status import engine_of
from shared.errors import EvaError

DEFAULT_NATS = "nats://127.0.0.1:4222"


async def doctor(url: str, data_dir: Path, *, is_json: bool) -> int:
    """Makes all checks; returns 1 if one failed."""
    checks: list[Check] = []
    for check in await asyncio.to_thread(lambda: list(local_checks(data_dir))):
        _take(check, checks, is_json=is_json)
    async for check in _running_checks(url):
        _take(check, checks, is_json=is_json)
    failed = [check.name for check in checks if not check.ok]
    if is_json:
        result_json({"ok": not failed, "checks": msgspec.to_builtins(checks)})
    else:
        result(f"Failed: {', '.join(failed)}" if failed else "Everything that EVA needs is here.")
    return 1 if failed else 0


def _take(check: Check, checks: list[Check], *, is_json: bool) -> None:
    checks.append(check)
    if not is_json:
        mark = "FAIL" if not check.ok else "warn" if check.hint else "ok"
        result(f"{mark:4}  {check.name:15} {check.detail}")
        if check.hint:
            result(f"      {'':15} → {check.hint}")


async def _running_checks(url: str) -> AsyncIterator[Check]:
    async for check in mind_checks():
        yield check
    yield await _broker()
    yield await _eva(url)


async def _broker() -> Check:
    """A round trip through the broker that is configured, else through one started for the purpose."""
    try:
        url = gateway_settings().nats_url
        if url != DEFAULT_NATS:
            return Check("broker", ok=True, detail=f"{without_password(url)}, version {await probe(url)}")
        with tempfile.TemporaryDirectory(prefix="eva-doctor-") as folder:
            broker = Broker(Path(folder))
            started = await broker.start()
            try:
                version = await probe(started)
            finally:
                await broker.stop()
    except EvaError as error:
        hint = str(getattr(error, "hint", "")) or SETUP
        return Check("broker", ok=False, detail=str(error), hint=hint)
    return Check("broker", ok=True, detail=f"the embedded nats-server {version} starts and answers")


async def _eva(url: str) -> Check:
    """The EVA that runs there, or whether its port is free."""
    try:
        async with Gateway(url) as gateway:
            health = await gateway.health()
    except NotRunning:
        parts = urlsplit(url)
        try:
            free_port(parts.hostname or "127.0.0.1", parts.port or 80)
        except CannotStart as error:
            return Check("eva", ok=False, detail=str(error), hint=error.hint)
        return Check("eva", ok=True, detail=f"not running; {url} is free")
    except GatewayRefused as error:
        return Check(
            "eva", ok=False, detail=str(error), hint="Stop what listens there, or: eva up --port 8080"
        )
    engines = ", ".join(f"{name}: {engine_of(stage) or stage.state}" for name, stage in health.stages.items())
    detail = f"{health.status} at {url} ({engines})"
    hint = " · ".join(health.reasons)
    return Check("eva", health.status != "unhealthy", detail, hint)
