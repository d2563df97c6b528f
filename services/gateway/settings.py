"""What the gateway can be told."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from pydantic import Field, ValidationInfo, field_validator

from services.gateway.origins import is_local, read_allowed
from services.gateway.phrases import read_fillers
from services.gateway.realtime.names import read_table
from shared.errors import ConfigError
from shared.keys import KeyRecord, read_key_file
from shared.settings import CommonSettings


class GatewaySettings(CommonSettings):
    """Settings of the gateway, on top of the common ones."""

    host: str = Field("127.0.0.1", description="Address that the gateway listens on.")
    port: int = Field(8000, ge=0, le=65535, description="Port that it listens on; 0: the kernel chooses.")
    gateway_open_to_all: bool = Field(
        False,
        description="Whoever reaches the gateway may use it and its providers without a key, from other "
        "machines too. Only for a network that nobody else is on, as one between containers.",
    )
    gateway_auth: Literal["auto", "on", "off"] = Field(
        "auto",
        description="Whether an API key is asked for (`eva keys add NAME`): `auto` unless the gateway "
        "listens on a loopback address only, `on`, or `off`, which other addresses refuse.",
    )
    api_keys_file: Path | None = Field(
        None,
        description="A secret file with API keys that hold besides those of `eva keys`: one a line, 32 or "
        "more random characters.",
    )
    gateway_allowed_origins: str = Field(
        "",
        description="Web origins besides its own host and localhost whose pages may connect, "
        "comma-separated, as `https://app.example`; `*` allows all, where a key is asked for.",
    )
    gateway_max_sessions: int = Field(200, ge=1, description="Conversations at a time; more are told `busy`.")
    gateway_processes: int = Field(
        1,
        ge=1,
        le=64,
        description="Gateway processes behind the port, where there are Unix sockets; each has sessions of "
        "its own and takes up to EVA_GATEWAY_MAX_SESSIONS.",
    )
    nats_monitor_url: str = Field(
        "",
        description="The broker's monitoring port, as `http://127.0.0.1:8222`, whose figures are shown with "
        "the gateway's; several, with commas, for a cluster; empty: none. `eva up` knows its own broker's.",
    )
    gateway_idle_s: float = Field(
        600.0, gt=0, description="A socket on which nothing has been said for so long is closed, seconds."
    )
    gateway_ahead_s: float = Field(
        1.5,
        ge=0.2,
        le=600,
        description="How far ahead of its playing sound is sent on a WebSocket, seconds: so much of it can "
        "be on its way when the person interrupts.",
    )
    gateway_grace_s: float = Field(
        15.0,
        ge=0,
        le=600,
        description="How long a client that was lost in the middle of a turn is waited for: the answer goes "
        "on being made, and who comes back with the session's id hears the rest, seconds; 0: not at all.",
    )
    session_ttl_s: float = Field(
        7 * 86_400.0,
        ge=1,
        description="How long a conversation's memory is kept after its last turn, seconds.",
    )
    turn_s: float = Field(30.0, gt=0, description="How long a turn may take in all, seconds.")
    gateway_filler_ms: int = Field(
        450,
        ge=0,
        le=10_000,
        description="Silence after a turn's end that is bridged by a short filler (`hmm…`) if nothing of the "
        "answer is there, milliseconds; 0: never.",
    )
    gateway_filler_again_ms: int = Field(
        1600, ge=200, le=10_000, description="From the end of one filler to the next, milliseconds."
    )
    gateway_fillers: str = Field(
        "",
        description="Fillers in place of EVA's own, by language: `en: Hmm… | Well… | One moment.; fr: …`; "
        "two or more of each.",
    )
    gateway_apology_s: float = Field(
        3.0,
        ge=0,
        le=60,
        description="How long the beginning of an answer is waited for; then EVA apologises and the turn "
        "ends, seconds; 0: as long as a turn may take.",
    )
    gateway_take_up_s: float = Field(
        5.0,
        gt=2,
        le=60,
        description="How long work may lie until a worker takes it up; then the turn is given up, seconds. "
        "More where a lone worker that has died takes longer to come back.",
    )
    gateway_speculation: int = Field(
        1,
        ge=0,
        le=10,
        description="How often, while one utterance lasts, an answer may be begun before its end is sure, so "
        "that it is ready then: a number, `on` (1) or `off` (0). What is begun in vain costs tokens.",
    )
    gateway_realtime_voices: str = Field(
        "",
        description="Voices that clients name, and what each is here: `alloy=eva, ash=en_US-ryan-high, …`. "
        "Of OpenAI's, those that are not named here mean EVA's default.",
    )
    gateway_models: str = Field(
        "",
        description="Models that clients may name and find in `/v1/models`, and the route of the mind that "
        "each asks first, by its name (see `/health`): `quick=groq:llama-3.1-8b-instant, gpt-4o=eva, …`. "
        "`eva` is her own list of routes; any other name is taken as well, and means that too. A route that "
        "is not there, or not well, is passed over.",
    )
    canary: bool = Field(
        True, description="Prove by a short turn of its own, at start and when idle, that EVA is audible."
    )
    canary_every_s: float = Field(30.0, ge=1, description="How often, while nobody talks, seconds.")

    @field_validator("gateway_auth")
    @classmethod
    def _auth(cls, value: str, info: ValidationInfo) -> str:
        host = str(info.data.get("host", ""))
        if value == "off" and not is_local(host) and not info.data.get("gateway_open_to_all"):
            raise ValueError(
                f"`off` while EVA_HOST is {host or 'all addresses'}: everybody who reaches it could talk at "
                "your expense; set EVA_GATEWAY_AUTH=auto and make a key with `eva keys add NAME`, or listen "
                "on 127.0.0.1 (for a network of containers alone: EVA_GATEWAY_OPEN_TO_ALL=true)"
            )
        return value

    @field_validator("api_keys_file")
    @classmethod
    def _keys(cls, value: Path | None) -> Path | None:
        if value is not None:
            try:
                read_key_file(value.read_text(encoding="utf-8"))
            except OSError as error:
                raise ValueError(f"{value} cannot be read: {error.strerror}") from error
            except (UnicodeDecodeError, ConfigError) as error:
                raise ValueError(str(error)) from error
        return value

    @field_validator("gateway_allowed_origins")
    @classmethod
    def _origins(cls, value: str, info: ValidationInfo) -> str:
        auth, host = info.data.get("gateway_auth"), str(info.data.get("host", ""))
        if "*" in read_allowed(value) and (auth == "off" or (auth == "auto" and is_local(host))):
            raise ValueError(
                "`*` while no key is asked for: every page that is open in a browser here could talk; name "
                "the origins, or set EVA_GATEWAY_AUTH=on"
            )
        return value

    @field_validator("nats_monitor_url")
    @classmethod
    def _monitors(cls, value: str) -> str:
        if any(not url.startswith(("http://", "https://")) for url in _listed(value)):
            raise ValueError("not a URL, as http://127.0.0.1:8222")
        return value

    @field_validator("gateway_speculation", mode="before")
    @classmethod
    def _count(cls, value: Any) -> Any:
        return {"on": 1, "off": 0}.get(value, value) if isinstance(value, str) else value

    @field_validator("gateway_fillers")
    @classmethod
    def _fillers(cls, value: str) -> str:
        read_fillers(value)
        return value

    @field_validator("gateway_realtime_voices", "gateway_models")
    @classmethod
    def _tables(cls, value: str) -> str:
        read_table(value)
        return value

    @property
    def realtime_voices(self) -> dict[str, str]:
        """EVA's voices by the names that clients know, in lower case."""
        return read_table(self.gateway_realtime_voices)

    @property
    def realtime_models(self) -> dict[str, str]:
        """EVA's models by the names that clients know, in lower case."""
        return read_table(self.gateway_models)

    @property
    def allowed_origins(self) -> frozenset[str]:
        """The allow-list; see ``origins.read_allowed``."""
        return read_allowed(self.gateway_allowed_origins)

    @property
    def nats_monitors(self) -> list[str]:
        """The broker's monitoring ports."""
        return [url.rstrip("/") for url in _listed(self.nats_monitor_url)]

    @property
    def asks_for_key(self) -> bool:
        """Whether a key is asked for."""
        return self.gateway_auth == "on" or (
            self.gateway_auth == "auto" and not is_local(self.host) and not self.gateway_open_to_all
        )

    def keys_of_file(self) -> list[KeyRecord]:
        """Reads the keys of the secret file, if there is one."""
        file = self.api_keys_file
        return [] if file is None else read_key_file(file.read_text(encoding="utf-8"))


def _listed(value: str) -> list[str]:
    return [part.strip() for part in value.split(",") if part.strip()]
