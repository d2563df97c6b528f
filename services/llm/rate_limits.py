"""What a provider says in its headers of its rate limits, as Groq and OpenAI write them.

Pure. ``x-ratelimit-{limit,remaining,reset}-{requests,tokens}`` come with every answer, ``retry-after`` with a
429: https://console.groq.com/docs/rate-limits. A header that cannot be read is as one that is not there.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from services.llm.engine import Limits

_UNIT_S = {"d": 86_400.0, "h": 3600.0, "m": 60.0, "s": 1.0, "ms": 1e-3, "us": 1e-6, "µs": 1e-6, "ns": 1e-9}
_STEP = re.compile(r"(\d+(?:\.\d+)?)(ms|us|µs|ns|[dhms])")
_SPAN = re.compile(rf"(?:{_STEP.pattern})+")


def limits_of(headers: Mapping[str, str]) -> Limits | None:
    """Returns what is left; None: the provider says nothing of it. ``headers``: names in small letters."""
    requests, tokens = _share(headers, "requests"), _share(headers, "tokens")
    if requests is None and tokens is None:
        return None
    is_tokens = requests is None or (tokens is not None and tokens < requests)
    resets_s = span_s(headers.get(f"x-ratelimit-reset-{'tokens' if is_tokens else 'requests'}", ""))
    return Limits(requests=requests, tokens=tokens, resets_s=resets_s or 0.0)


def retry_after_s(headers: Mapping[str, str], now: datetime) -> float | None:
    """Returns for how long to stay away, seconds; RFC 9110 §10.2.3: a number or a date."""
    header = headers.get("retry-after", "").strip()
    if (seconds := _number(header)) is not None:
        return seconds
    try:
        until = parsedate_to_datetime(header)
    except ValueError:
        return None
    if until.tzinfo is None:
        until = until.replace(tzinfo=UTC)
    return max(0.0, (until - now).total_seconds())


def span_s(text: str) -> float | None:
    """Returns ``2m59.56s``, ``7.66s``, ``120ms`` or a bare number in seconds; None: it is none of these."""
    text = text.strip()
    if _SPAN.fullmatch(text):
        return sum(float(count) * _UNIT_S[unit] for count, unit in _STEP.findall(text))
    return _number(text)


def _share(headers: Mapping[str, str], of: str) -> float | None:
    limit = _number(headers.get(f"x-ratelimit-limit-{of}", ""))
    remaining = _number(headers.get(f"x-ratelimit-remaining-{of}", ""))
    if not limit or remaining is None:
        return None
    return min(1.0, remaining / limit)


def _number(text: str) -> float | None:
    """Returns a number of 0 or more; None: it is none."""
    try:
        number = float(text)
    except ValueError:
        return None
    return max(0.0, number) if math.isfinite(number) else None
