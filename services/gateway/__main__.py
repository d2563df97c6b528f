"""The gateway's process: ``python -m services.gateway``.

It answers from its first moment, whether the broker is there or not: what is wrong is told by ``/health``,
not by a port that is closed. Exit codes as in ``shared.service``.
"""

from __future__ import annotations

import asyncio
import signal
import socket
import sys

from services.gateway.life import live, make_door, telling
from services.gateway.processes import Share, run_processes
from services.gateway.server import AddressInUse, allow_connections, listen
from services.gateway.settings import GatewaySettings
from services.gateway.siblings import Siblings
from shared.bus import Bus
from shared.errors import ConfigError
from shared.observe import configure_logging
from shared.service import EXIT_CONFIG, EXIT_FAILED, EXIT_OK, die_with_parent, new_event_loop


async def serve(settings: GatewaySettings, listener: socket.socket, share: Share | None) -> None:
    """Lives until SIGTERM or SIGINT."""
    from shared.bus.nats import connect  # noqa: PLC0415 - the one place that picks the bus

    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)

    async def to_broker() -> Bus:
        return await connect(
            settings.nats_url,
            name="gateway",
            user=settings.nats_user,
            password=settings.nats_password.get_secret_value(),
        )

    names = map(str, range(settings.gateway_processes))
    siblings = None if share is None else Siblings(share.folder, share.name, names)
    door = make_door(settings, siblings=siblings)
    async with telling(door):
        await live(door, listener, to_broker, stop, gw=settings.worker_id)


def main(words: list[str]) -> int:
    """Returns the exit code. ``words``: given to one of several processes by its parent."""
    die_with_parent()
    allow_connections()
    try:
        settings = GatewaySettings.read()
        share = Share.of(words)
        if share is None and settings.gateway_processes > 1:
            configure_logging(settings.log_level, settings.log_format)
            return asyncio.run(run_processes(settings))
        listener = listen(settings.host, settings.port) if share is None else share.listen(settings)
    except ConfigError as error:
        sys.stderr.write(f"{error}\n")
        return EXIT_CONFIG
    except AddressInUse as error:
        sys.stderr.write(f"{error}\n")
        return EXIT_FAILED
    configure_logging(settings.log_level, settings.log_format)
    with asyncio.Runner(loop_factory=new_event_loop) as runner:
        runner.run(serve(settings, listener, share))
    return EXIT_OK


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
