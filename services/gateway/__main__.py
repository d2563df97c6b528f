"""The gateway's process: ``python -m services.gateway``.

It answers from its first moment, whether the broker is there or not: what is wrong is told by ``/health``,
not by a port that is closed. Exit codes as in ``shared.service``.
"""

from __future__ import annotations

import asyncio
import signal
import socket
import sys

from services.gateway.life import live, make_door
from services.gateway.server import AddressInUse, listen
from services.gateway.settings import GatewaySettings
from shared.bus import Bus
from shared.errors import ConfigError
from shared.observe import configure_logging
from shared.service import EXIT_CONFIG, EXIT_FAILED, EXIT_OK, die_with_parent, new_event_loop


async def serve(settings: GatewaySettings, listener: socket.socket) -> None:
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

    await live(make_door(settings), listener, to_broker, stop, gw=settings.worker_id)


def main() -> int:
    """Returns the exit code."""
    die_with_parent()
    try:
        settings = GatewaySettings.read()
        listener = listen(settings.host, settings.port)
    except ConfigError as error:
        sys.stderr.write(f"{error}\n")
        return EXIT_CONFIG
    except AddressInUse as error:
        sys.stderr.write(f"{error}\n")
        return EXIT_FAILED
    configure_logging(settings.log_level, settings.log_format)
    with asyncio.Runner(loop_factory=new_event_loop) as runner:
        runner.run(serve(settings, listener))
    return EXIT_OK


if __name__ == "__main__":
    sys.exit(main())
