"""What the service counts for Prometheus: how many and how long, never what."""

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    generate_latest,
)

OUTCOMES = ("answered", "refused", "too_large", "too_slow", "busy", "fault")
SECONDS = (0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0)


class Meters:
    """Counters of one service."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        ProcessCollector(registry=self._registry)
        self._uploads = Counter(
            "pneumothorax_uploads", "Uploads by outcome.", ["outcome"], registry=self._registry
        )
        for outcome in OUTCOMES:
            self._uploads.labels(outcome)
        self.seconds = Histogram(
            "pneumothorax_answer_seconds",
            "Seconds from an upload's turn to its answer and pictures.",
            registry=self._registry,
            buckets=SECONDS,
        )
        self.in_progress = Gauge(
            "pneumothorax_uploads_in_progress",
            "Uploads that arrive, wait or are being answered.",
            registry=self._registry,
        )
        self.kept = Gauge(
            "pneumothorax_studies_kept", "Answers that can be looked at.", registry=self._registry
        )

    def count(self, outcome: str) -> None:
        """Count an upload by one of `OUTCOMES`."""
        self._uploads.labels(outcome).inc()

    def text(self) -> bytes:
        """All of them in Prometheus' format."""
        return generate_latest(self._registry)
