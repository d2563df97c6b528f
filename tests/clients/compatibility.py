"""The table of clients and features: what a column means, and what a client does not offer. Pure.

A cell is shown by the tests that carry ``@pytest.mark.compatible(client, feature, …)``.
``tests.clients.table`` runs them and keeps what came of it in ``outcomes.json``, from which
``docs/compatibility.md`` is written.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal

Outcome = Literal["passed", "failed", "skipped"]

FEATURES = {
    "typed turn": "a typed message is answered in sound and words",
    "spoken turn": "speech is written down and answered; EVA finds its end, or the client tells it",
    "streaming sound": "sound arrives while the answer is still being made",
    "barge-in": "who speaks into an answer stops it",
    "truncation": "the client tells how much it played, and the rest of the words is forgotten",
    "tools": "a function is called, its result is answered",
    "errors": "a mistake is an error that names it; the session goes on",
    "text only": "an answer without sound on the Realtime socket",
    "pcmu": "G.711 µ-law at 8 kHz, both ways",
    "transcription": "`POST /v1/audio/transcriptions`",
    "speech": "`POST /v1/audio/speech`",
    "chat": "`POST /v1/chat/completions`",
    "chat with audio": "the same with a recording in the message and sound in the answer",
    "out of band": 'a response beside the conversation (`conversation: "none"`)',
    "reconnect": "after its connection was reset the client goes on, and EVA remembers",
}
CLIENTS = {
    "openai-python": "`openai` for Python",
    "openai-agents": "`openai-agents` for Python",
    "openai-node": "`openai` for Node",
    "@openai/agents-realtime": "`@openai/agents-realtime` in Node",
    "websockets": "`websockets`, nothing else",
    "plain JavaScript": "JavaScript without a package, in Node and in a browser",
    "curl": "`curl`",
}
FRAMEWORKS = {
    "livekit-plugins-openai": "`livekit-plugins-openai` (its `realtime.RealtimeModel`)",
    "pipecat-ai": "`pipecat-ai` (its `OpenAIRealtimeLLMService`)",
}
"""Ran once by hand on the date of their row: they are too large to be installed for every test."""
_HTTP = ("transcription", "speech", "chat", "chat with audio")
_SOCKET = (
    "typed turn", "spoken turn", "barge-in", "truncation", "text only", "pcmu", "out of band", "reconnect",
)  # fmt: skip
NOT_OFFERED: dict[tuple[str, str], str] = {
    ("openai-agents", "chat with audio"): "its chat model asks for words and reads nothing else",
    ("openai-agents", "reconnect"): "its session ends with its socket",
    ("@openai/agents-realtime", "reconnect"): "its session ends with its socket",
    **{("@openai/agents-realtime", name): "the package is about Realtime alone" for name in _HTTP},
    **{("websockets", name): "it speaks WebSocket alone" for name in _HTTP},
    **{("curl", name): "it speaks HTTP alone here; most builds have no WebSocket" for name in _SOCKET},
    **{(name, "pcmu"): "its frames are 24 kHz PCM" for name in FRAMEWORKS},
    ("pipecat-ai", "reconnect"): "it starts a session anew, without EVA's extension",
}
MARKS: dict[Outcome, str] = {"passed": "✓", "failed": "✗", "skipped": "?"}


@dataclass(frozen=True, slots=True)
class Shown:
    """What one run of a test says: these cells of one client."""

    test: str
    client: str
    features: tuple[str, ...]
    outcome: Outcome = "skipped"


def problems(shown: Iterable[Shown]) -> list[str]:
    """Returns what is wrong with the marks: unknown words, cells that nothing shows, cells that cannot be."""
    wrong, cells = [], set()
    for each in shown:
        wrong += [f"{each.test}: no client {each.client}"] * (each.client not in CLIENTS)
        wrong += [f"{each.test}: no feature {name}" for name in each.features if name not in FEATURES]
        cells |= {(each.client, name) for name in each.features}
    wrong += [f"{cell}: shown, and said to be not offered" for cell in sorted(cells & NOT_OFFERED.keys())]
    wanted = {(client, name) for client in CLIENTS for name in FEATURES} - NOT_OFFERED.keys()
    return wrong + [f"{cell}: no test shows it" for cell in sorted(wanted - cells)]


def outcome_of(shown: Iterable[Outcome]) -> Outcome:
    """One outcome of several: the worst, where not having run is better than having failed only."""
    found = set(shown)
    return "failed" if "failed" in found else "skipped" if "skipped" in found or not found else "passed"


def render(shown: list[Shown], versions: dict[str, str], frameworks: dict[str, Any], date: str) -> str:
    """Returns the page.

    Args:
        shown: what each test said.
        versions: of the clients, in the words of the client.
        frameworks: for each a ``date``, a ``version`` and ``features`` with their outcomes.
        date: of the newest run of the tests.
    """
    rows = [_row(name, label, versions.get(name, ""), _cells(name, shown)) for name, label in CLIENTS.items()]
    for name, label in FRAMEWORKS.items():
        if told := frameworks.get(name):
            version = f"{told['version']}, ran on {told['date']}"
            rows.append(_row(name, label, version, told["features"]))
    top = [*_HEAD, f"The tests ran on {date}.", "", *_header(), *rows, ""]
    return "\n".join([*top, *_meanings(), *_gaps(frameworks), *_tests(shown)])


def _cells(client: str, shown: list[Shown]) -> dict[str, Outcome]:
    return {
        name: outcome_of(each.outcome for each in shown if each.client == client and name in each.features)
        for name in FEATURES
        if (client, name) not in NOT_OFFERED
    }


def _row(client: str, label: str, version: str, cells: dict[str, Outcome]) -> str:
    marks = ["–" if (client, name) in NOT_OFFERED else MARKS[cells.get(name, "skipped")] for name in FEATURES]
    return f"| {label} {version} | {' | '.join(marks)} |".replace("  ", " ")


def _header() -> list[str]:
    return [f"| | {' | '.join(FEATURES)} |", f"|---|{':-:|' * len(FEATURES)}"]


def _meanings() -> list[str]:
    return ["## What a column means", "", *(f"- **{name}**: {text}" for name, text in FEATURES.items()), ""]


def _gaps(frameworks: dict[str, Any]) -> list[str]:
    reasons: dict[tuple[str, str], list[str]] = {}
    for (client, name), reason in NOT_OFFERED.items():
        if client in CLIENTS or client in frameworks:
            reasons.setdefault((client, reason), []).append(name)
    lines = [f"- {client}, {', '.join(names)}: {reason}." for (client, reason), names in reasons.items()]
    return ["## What a client does not offer", "", *lines, ""]


def _tests(shown: list[Shown]) -> list[str]:
    lines = ["## Which test shows what", ""]
    for client in CLIENTS:
        lines += [f"**{client}**", ""]
        found: dict[str, set[str]] = {}
        for each in shown:
            if each.client == client:
                found.setdefault(each.test.partition("[")[0], set()).update(each.features)
        lines += [
            f"- {', '.join(name for name in FEATURES if name in names)}: `{test}`"
            for test, names in sorted(found.items())
        ]
        lines.append("")
    return lines


_HEAD = [
    "# Which clients can do what with EVA",
    "",
    "Each cell is what tests said that ran against a real EVA: her processes, her broker, the stock client,",
    "an API key. `.venv/bin/python -m tests.clients.table` runs them again and writes this page; a test",
    "holds page and tests together. How to use each client: [clients](clients/README.md).",
    "",
    "✓ passed · ✗ failed · – the client does not offer it · ? did not run.",
    "",
]
