"""The curve of a bench as a picture, where matplotlib is installed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from eva.bench_report import SERVICES, Bench

COLOURS = {"p50": "tab:green", "p95": "tab:orange", "p99": "tab:red"}


def draw(bench: Bench, before: Bench | None, file: Path) -> bool:
    """Draws response and processor time by people; returns whether it could. Raises ``OSError``."""
    try:
        import matplotlib as mpl  # noqa: PLC0415 - a tool that EVA herself does not need
    except ImportError:
        return False
    mpl.use("agg")
    from matplotlib import pyplot as plt  # noqa: PLC0415 - as above

    has_services = any(level.services for level in bench.levels)
    with mpl.rc_context({"font.size": 9}):
        drawing, axes = plt.subplots(
            1 + has_services, 1, figsize=(7, 7 if has_services else 4), squeeze=False
        )
        _responses(axes[0][0], bench, before)
        if has_services:
            _processes(axes[1][0], bench)
        for each in axes[:, 0]:
            each.set_xscale("log", base=2)
            users = [level.users for level in bench.by_users]
            each.set_xticks(users, [str(count) for count in users])
            each.minorticks_off()
            each.grid(alpha=0.3)
            each.legend(loc="upper left")
        axes[-1][0].set_xlabel("people at a time")
        drawing.tight_layout()
        drawing.savefig(file, dpi=120, metadata={"Software": None})
        plt.close(drawing)
    return True


def _responses(axes: Any, bench: Bench, before: Bench | None) -> None:
    for name, colour in COLOURS.items():
        _line(axes, bench, name, color=colour, marker="o", label=name)
    if before is not None:
        _line(axes, before, "p95", color=COLOURS["p95"], linestyle=":", label=f"p95 of {before.at}")
    axes.axhline(bench.objective_ms, color="grey", linestyle="--", linewidth=0.8, label="objective")
    for level in bench.by_users:
        if level.ok < level.turns:
            label, place = f"{100 * level.ok_share:.1f}% ok", (level.users, level.response.get("p95", 0.0))
            axes.annotate(label, place, fontsize=7, ha="right", textcoords="offset points", xytext=(-4, 4))
    axes.set_yscale("log")
    axes.set_ylabel("question asked → answer heard, ms")
    axes.set_title(f"{bench.engines} engines, {bench.machine.cores} cores", fontsize=9)


def _line(axes: Any, bench: Bench, name: str, **how: Any) -> None:
    levels = [level for level in bench.by_users if name in level.response]
    if levels:
        axes.plot([one.users for one in levels], [one.response[name] for one in levels], **how)


def _processes(axes: Any, bench: Bench) -> None:
    levels = [level for level in bench.by_users if level.services]
    users = [level.users for level in levels]
    for name in SERVICES:
        if all(name in level.services for level in levels):
            axes.plot(users, [100 * level.services[name].cores for level in levels], marker="o", label=name)
    callers = [100 * level.generator.cores for level in levels]
    axes.plot(users, callers, linestyle=":", color="grey", label="load generator")
    axes.set_ylabel("processor time, % of a core")
