"""What the mind's worker can be told."""

from __future__ import annotations

from pydantic import AliasChoices, Field, SecretStr, field_validator
from pydantic_settings import SettingsConfigDict

from services.llm.completions import Patience
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
    llm_groq_model: str = Field("llama-3.3-70b-versatile", description="Groq's model.")
    llm_groq_base_url: str = Field("", description="Root of Groq's service; empty: the SDK's own.")
    llm_base_url: str = Field(
        "",
        description="OpenAI-compatible server with its version path, http://127.0.0.1:11434/v1 for example.",
    )
    llm_api_key: SecretStr = Field(SecretStr(""), description="Key for that server, where it asks for one.")
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

    def patience(self, first_token_s: float) -> Patience:
        """Returns the deadlines of an adapter."""
        return Patience(
            connect_s=self.llm_connect_s,
            first_token_s=first_token_s,
            between_tokens_s=self.llm_between_tokens_s,
        )

    @property
    def options(self) -> Options:
        """How turns are answered."""
        return Options(
            slots=self.llm_slots,
            persona=self.llm_persona,
            max_tokens=self.llm_max_tokens,
            context_tokens=self.llm_context_tokens,
        )
