"""What the mind's worker can be told."""

from __future__ import annotations

from pathlib import Path

from pydantic import AliasChoices, Field, SecretStr, ValidationInfo, field_validator
from pydantic_settings import SettingsConfigDict

from services.llm.completions import Patience
from services.llm.mcp_config import ServerSpec, parse_servers
from services.llm.moods import DEFAULT as DEFAULT_MOODS
from services.llm.moods import PROMPT as MOOD_PROMPT
from services.llm.prices import parse_prices
from services.llm.route import Policy
from services.llm.route_list import RouteSpec, host_of, parse_keys, parse_routes
from services.llm.worker import Options
from shared.settings import CommonSettings

USUAL_PORTS = (11434, 8080, 8000, 1234)
"""Of Ollama, llama.cpp, vLLM, LM Studio."""


class LlmSettings(CommonSettings):
    """Settings of the LLM worker, on top of the common ones."""

    model_config = SettingsConfigDict(populate_by_name=True)

    groq_api_key: SecretStr = Field(
        SecretStr(""),
        validation_alias=AliasChoices("GROQ_API_KEY", "EVA_GROQ_API_KEY"),
        description="Key for Groq; with it Groq answers first.",
    )
    llm_routes: str = Field(
        "",
        description=(
            "Who answers, in order: `groq:<model>`, `openai:<address with /v1>:<model>`, `companion`, with"
            " commas or spaces; the next is asked when one is slow or fails. Empty: as the lines below say."
        ),
    )
    llm_groq_model: str = Field("llama-3.3-70b-versatile", description="Groq's model.")
    llm_groq_fallback_model: str = Field(
        "llama-3.1-8b-instant",
        description="Groq's second model, for when the first is slow or fails; empty: none.",
    )
    llm_groq_base_url: str = Field("", description="Root of Groq's service; empty: the SDK's own.")
    llm_base_url: str = Field(
        "",
        description="OpenAI-compatible server with its version path, http://127.0.0.1:11434/v1 for example.",
    )
    llm_api_key: SecretStr = Field(SecretStr(""), description="Key for that server, where it asks for one.")
    llm_api_keys: SecretStr = Field(
        SecretStr(""),
        description="Keys of single servers where there are several: `host=key`, with commas.",
    )
    llm_model: str = Field("", description="Model on that server; empty: the first one that it lists.")
    llm_discover: str = Field(
        ",".join(map(str, USUAL_PORTS)),
        pattern=r"^\s*(off|\d{1,5}(\s*,\s*\d{1,5})*)\s*$",
        description="Local ports where a server is looked for if none is named; `off`: nowhere.",
    )
    port: int = Field(
        8000, ge=0, le=65535, description="The gateway's port, which is never taken for a model's."
    )
    llm_connect_s: float = Field(
        1.0, gt=0, description="How long connecting to a provider may take, seconds."
    )
    llm_first_token_s: float = Field(
        1.5,
        gt=0,
        description="How long Groq may take to its first word before the next answers, seconds.",
    )
    llm_server_first_token_s: float = Field(
        6.0,
        gt=0,
        description="The same for an OpenAI-compatible server: one's own machine may be slower.",
    )
    llm_between_tokens_s: float = Field(
        2.0, gt=0, description="How long a provider may be silent in mid-answer, seconds."
    )
    llm_slots: int = Field(16, ge=1, description="Turns that one worker answers at a time.")
    llm_persona: str = Field(
        "", description="Who EVA is, in a sentence or two for the model; empty: EVA's own."
    )
    llm_max_tokens: int = Field(400, ge=16, description="How long an answer may become, in tokens.")
    llm_context_tokens: int = Field(
        4000, ge=500, description="How much of a conversation it is told, in tokens."
    )
    llm_summary: bool = Field(
        False,
        description="Whether a model sums up what is too long ago to be told, behind the turns.",
    )

    llm_slow_s: float = Field(
        0.5,
        gt=0,
        description="A first token later than this is slow, seconds; a route that often is is passed over.",
    )
    llm_hedge_share: float = Field(
        0.1,
        ge=0,
        le=1,
        description="Extra requests a turn, to another route while one is slow to begin; `0`: none.",
    )
    llm_hedge_burst: float = Field(
        10, ge=0, description="So many extra requests at most in a row, before the share bounds them."
    )
    llm_warm_every_s: float = Field(
        20.0, gt=0, description="After so much idleness a route's connection is used, to stay warm, seconds."
    )
    llm_prices: str = Field(
        "",
        description=(
            "What a million tokens cost, US dollars: `<route or model>=<input>/<output>`, and `/<cached>`,"
            " with commas; the beginning of a name is enough. Groq's default models are known."
        ),
    )

    llm_speech_s: float = Field(60.0, gt=0, description="How long an answer may take to say, about, seconds.")
    llm_moods: str = Field(
        ",".join(DEFAULT_MOODS),
        pattern=r"^\s*(\w+(\s*,\s*\w+)*)?\s*$",
        description="Moods that the model may mark what it says with, with commas; empty: none.",
    )
    llm_mood_prompt: str = Field(
        MOOD_PROMPT, description="How the model is told of them; `{moods}` stands for their marks."
    )

    llm_mcp: str = Field(
        "",
        description=(
            "A file with servers of the Model Context Protocol whose functions the model may call:"
            ' `{"mcpServers": {"name": {"command": …} or {"url": …}}}`, `timeoutS` for each; empty: none.'
        ),
    )

    @field_validator("llm_mcp")
    @classmethod
    def _is_server_list(cls, path: str) -> str:
        _servers(path)
        return path

    @field_validator("llm_routes")
    @classmethod
    def _are_routes(cls, text: str, info: ValidationInfo) -> str:
        key = info.data.get("groq_api_key")
        if any(spec.kind == "groq" for spec in parse_routes(text)) and not (key and key.get_secret_value()):
            raise ValueError("a route of Groq needs GROQ_API_KEY")
        return text

    @field_validator("llm_api_keys")
    @classmethod
    def _are_keys(cls, text: SecretStr) -> SecretStr:
        parse_keys(text.get_secret_value())
        return text

    @field_validator("llm_prices")
    @classmethod
    def _are_prices(cls, text: str) -> str:
        parse_prices(text)
        return text

    @field_validator("llm_groq_base_url", "llm_base_url")
    @classmethod
    def _is_http(cls, url: str) -> str:
        if url and not url.startswith(("http://", "https://")):
            raise ValueError("must begin with http:// or https://")
        return url.rstrip("/")

    @property
    def discover_ports(self) -> tuple[int, ...]:
        """Where to look for a local server."""
        if self.llm_discover.strip() == "off":
            return ()
        return tuple(port for part in self.llm_discover.split(",") if (port := int(part)) != self.port)

    @property
    def routes(self) -> tuple[RouteSpec, ...]:
        """Who answers, in order; the last is the companion."""
        if named := parse_routes(self.llm_routes):
            return named
        derived: list[RouteSpec] = []
        if self.groq_api_key.get_secret_value():
            models = dict.fromkeys(filter(None, (self.llm_groq_model, self.llm_groq_fallback_model)))
            derived += [RouteSpec(kind="groq", model=model) for model in models]
        if self.llm_base_url or self.discover_ports:
            derived.append(RouteSpec(kind="openai", base_url=self.llm_base_url, model=self.llm_model))
        return (*derived, RouteSpec(kind="companion"))

    def key_of(self, base_url: str) -> str:
        """Returns the key for an OpenAI-compatible server, "" if it has none."""
        keys, host = parse_keys(self.llm_api_keys.get_secret_value()), host_of(base_url)
        return keys.get(host) or keys.get(host.partition(":")[0]) or self.llm_api_key.get_secret_value()

    def patience(self, first_token_s: float) -> Patience:
        """Returns the deadlines of an adapter."""
        return Patience(
            connect_s=self.llm_connect_s,
            first_token_s=first_token_s,
            between_tokens_s=self.llm_between_tokens_s,
        )

    @property
    def mcp_servers(self) -> tuple[ServerSpec, ...]:
        """The servers whose functions the model may call."""
        return _servers(self.llm_mcp)

    @property
    def policy(self) -> Policy:
        """How routes are chosen."""
        return Policy(
            slow_s=self.llm_slow_s,
            hedge_share=self.llm_hedge_share,
            hedge_burst=self.llm_hedge_burst,
            warm_every_s=self.llm_warm_every_s,
        )

    @property
    def options(self) -> Options:
        """How turns are answered."""
        return Options(
            slots=self.llm_slots,
            persona=self.llm_persona,
            max_tokens=self.llm_max_tokens,
            context_tokens=self.llm_context_tokens,
            max_speech_s=self.llm_speech_s,
            moods=tuple(mood.strip().casefold() for mood in self.llm_moods.split(",") if mood.strip()),
            mood_prompt=self.llm_mood_prompt,
            summary=self.llm_summary,
        )


def _servers(path: str) -> tuple[ServerSpec, ...]:
    if not path:
        return ()
    try:
        return parse_servers(Path(path).expanduser().read_bytes())
    except OSError as error:
        raise ValueError(f"{path}: {error.strerror}") from error
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error
