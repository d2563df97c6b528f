"""A container's health check: exit 0 if its own ``/readyz`` says 200. A plain socket, for it runs often.

The gateway tells at ``EVA_PORT``, a worker at ``EVA_METRICS_PORT``.
"""

import os
import socket
import sys

TIMEOUT_S = 2.0


def is_ready(port: int) -> bool:
    """Asks ``/readyz`` at a port of this machine; False if nobody answers."""
    try:
        with socket.create_connection(("127.0.0.1", port), TIMEOUT_S) as connection:
            connection.sendall(b"GET /readyz HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n")
            return b" 200 " in connection.recv(64).partition(b"\r\n")[0]
    except OSError:
        return False


if __name__ == "__main__":
    is_gateway = os.environ.get("SERVICE") == "gateway"
    sys.exit(not is_ready(int(os.environ["EVA_PORT" if is_gateway else "EVA_METRICS_PORT"])))
