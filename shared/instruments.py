"""What a process measures its work with: figures and traces, each only where somebody wants them.

Figures are counted where ``EVA_METRICS_PORT`` is set, traces are collected where
``OTEL_EXPORTER_OTLP_ENDPOINT`` is; the libraries for both are imported only then.
"""

from __future__ import annotations

import os
from dataclasses import dataclass

from shared.messages import Stage
from shared.meter import UNMETERED, Meter
from shared.observe import Log
from shared.trace import UNTRACED, Tracer
from shared.version import VERSION

log = Log("eva.service")

_ENDPOINTS = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")


@dataclass(frozen=True, kw_only=True)
class Instruments:
    """Of one process."""

    meter: Meter = UNMETERED
    tracer: Tracer = UNTRACED


def make_instruments(stage: Stage, *, metrics_port: int) -> Instruments:
    """Returns what a worker measures with; ``metrics_port`` 0: nobody reads its figures."""
    meter = UNMETERED
    if metrics_port:
        from shared.metrics import StageMetrics  # noqa: PLC0415 - as said above

        meter = StageMetrics(stage)
    return Instruments(meter=meter, tracer=make_tracer(stage))


def make_tracer(stage: Stage) -> Tracer:
    """Returns who collects a process's spans, as OpenTelemetry's own variables say."""
    is_wanted = any(os.environ.get(name) for name in _ENDPOINTS)
    if not is_wanted or os.environ.get("OTEL_SDK_DISABLED", "").lower() == "true":
        return UNTRACED
    try:
        from shared.trace_export import OtlpTracer  # noqa: PLC0415 - as said above
    except ImportError as error:
        log.warning("traces.not_exported", reason=f"{error}", hint="pip install 'eva[traces]'")
        return UNTRACED
    return OtlpTracer(f"eva-{stage}", version=VERSION)
