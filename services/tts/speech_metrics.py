"""The voice's own figures for Prometheus."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter

from shared.labels import Labels


class SpeechMetrics:
    """Counts for Prometheus: computing by sound is the real-time factor."""

    def __init__(self, registry: CollectorRegistry) -> None:
        labels = ["provider", "device"]
        self._computed = Counter(
            "eva_tts_synthesis_seconds_total", "Computing of speech.", labels, registry=registry
        )
        self._sound = Counter(
            "eva_tts_audio_seconds_total", "Sound that came of computing.", labels, registry=registry
        )
        self._cached = Counter(
            "eva_tts_cached_segments_total", "Segments that were made before and kept.", registry=registry
        )
        self._engines, self._devices = Labels(), Labels()

    def spoke(self, engine: str, device: str, *, computed_s: float, sound_s: float) -> None:
        """A segment, or what there is of it, was computed."""
        labels = (self._engines.of(engine), self._devices.of(device))
        self._computed.labels(*labels).inc(computed_s)
        self._sound.labels(*labels).inc(sound_s)

    def cached(self) -> None:
        """A segment was there already."""
        self._cached.inc()
