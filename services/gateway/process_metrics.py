"""Figures of several processes as one page for Prometheus: each sample says which process it is of. Pure."""

from __future__ import annotations

from collections.abc import Mapping

_END = "# EOF"
"""Of a page in OpenMetrics' format."""


def merged(pages: Mapping[str, str]) -> str:
    """Returns pages in Prometheus' or OpenMetrics' format as one; each sample gets the label ``process``.

    A family's samples stand together under one head, as the format demands.
    """
    heads: dict[str, list[str]] = {}
    samples: dict[str, list[str]] = {}
    end = ""
    for process, page in pages.items():
        family = ""
        for line in page.splitlines():
            if line == _END:
                end = f"{_END}\n"
            elif line.startswith("# "):
                _, kind, family = line.split(" ", 3)[:3]
                head = heads.setdefault(family, [])
                samples.setdefault(family, [])
                if not any(known.startswith(f"# {kind} ") for known in head):
                    head.append(line)
            elif line:
                samples.setdefault(family, []).append(_labelled(line, process))
    lines = [line for family, own in samples.items() for line in [*heads.get(family, []), *own]]
    return "".join(f"{line}\n" for line in lines) + end


def _labelled(sample: str, process: str) -> str:
    name, _, value = sample.partition(" ")
    if "{" in name:
        name, _, rest = sample.partition("{")
        return f'{name}{{process="{process}",{rest}'
    return f'{name}{{process="{process}"}} {value}'
