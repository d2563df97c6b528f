"""What the gateway can be told."""

from __future__ import annotations

from pydantic import Field

from shared.settings import CommonSettings


class GatewaySettings(CommonSettings):
    """Settings of the gateway, on top of the common ones."""

    host: str = Field("127.0.0.1", description="Address that the gateway listens on.")
    port: int = Field(8000, ge=0, le=65535, description="Port that it listens on; 0: the kernel chooses.")
    gateway_allowed_origins: str = Field(
        "",
        description="Web origins besides its own host and localhost whose pages may connect, "
        "comma-separated; `*` allows all.",
    )
    gateway_max_sessions: int = Field(200, ge=1, description="Conversations at a time; more are told `busy`.")
    gateway_idle_s: float = Field(
        600.0, gt=0, description="A socket on which nothing has been said for so long is closed, seconds."
    )
    session_ttl_s: float = Field(
        7 * 86_400.0,
        ge=1,
        description="How long a conversation's memory is kept after its last turn, seconds.",
    )
    turn_s: float = Field(30.0, gt=0, description="How long a turn may take in all, seconds.")
    canary: bool = Field(
        True, description="Prove by a short turn of its own, at start and when idle, that EVA is audible."
    )
    canary_every_s: float = Field(30.0, ge=1, description="How often, while nobody talks, seconds.")

    @property
    def allowed_origins(self) -> frozenset[str]:
        """The allow-list, in lower case."""
        return frozenset(
            part.strip().lower() for part in self.gateway_allowed_origins.split(",") if part.strip()
        )
