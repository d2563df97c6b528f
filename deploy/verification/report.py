"""What a verification found, as docs/verify.md shows it. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field

MARK = "## The last run\n"


@dataclass(frozen=True, kw_only=True)
class Step:
    """One thing that was to be seen."""

    name: str
    ok: bool
    took_s: float
    detail: str


@dataclass(kw_only=True)
class Report:
    """Everything that a run has to tell."""

    date: str
    engine: str
    how: str
    local: list[str] = field(default_factory=list)
    """Images that were made here in place of the official ones."""
    base: tuple[str, float] = ("", 0.0)
    sizes_mb: dict[str, float] = field(default_factory=dict)
    """Image and MB, base included."""
    steps: list[Step] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        """Whether all was as it should be."""
        return bool(self.steps) and all(step.ok for step in self.steps)

    def markdown(self) -> str:
        """Returns the report, from ``MARK`` on."""
        name, base_mb = self.base
        lines = [
            MARK,
            f"{self.date}, {self.engine}, brought up with {self.how}: {'passed' if self.ok else 'FAILED'}.",
        ]
        if self.local:
            lines.append(f"\nMade here in place of the official images: {', '.join(self.local)}.")
        lines += ["", "| image | MB | of these EVA's |", "|---|---:|---:|"]
        lines += [f"| {image} | {mb:.0f} | {mb - base_mb:.0f} |" for image, mb in self.sizes_mb.items()]
        lines += [f"\nThe rest is `{name}` ({base_mb:.0f} MB as it is here).", ""]
        lines += ["| step | | seconds | what was seen |", "|---|---|---:|---|"]
        for step in self.steps:
            detail = step.detail.replace("|", "/").replace("\n", " ")
            lines.append(f"| {step.name} | {'ok' if step.ok else 'FAILED'} | {step.took_s:.1f} | {detail} |")
        return "\n".join(lines) + "\n"


def placed(document: str, report: Report) -> str:
    """Returns a document with the report in place of the last one."""
    return document.partition(MARK)[0] + report.markdown()
