"""Prometheus metrics of the FHIR API.

With several workers the metrics of all of them are summed up through files in PROMETHEUS_MULTIPROC_DIR, which the
``serve`` command sets before the workers start.
"""

from __future__ import annotations

import os

from prometheus_client import (
    CONTENT_TYPE_LATEST,
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    generate_latest,
    multiprocess,
)

_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)


class Metrics:
    """Counts and times requests by interaction; label values come from the router, never from the client."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._requests = Counter(
            "fhir_requests",
            "Requests by interaction and status",
            ["interaction", "status"],
            registry=self.registry,
        )
        self._seconds = Histogram(
            "fhir_request_seconds", "Time from the last byte of the request to the answer", ["interaction"],
            buckets=_BUCKETS, registry=self.registry,
        )  # fmt: skip
        self._in_flight = Gauge(
            "fhir_requests_in_flight",
            "Requests being answered",
            registry=self.registry,
            multiprocess_mode="livesum",
        )
        # labels() costs microseconds: the children are kept.
        self._by_status: dict[tuple[str, int], Counter] = {}
        self._by_interaction: dict[str, Histogram] = {}

    def started(self) -> None:
        """Note that a request is being answered."""
        self._in_flight.inc()

    def finished(self, interaction: str, status: int, seconds: float) -> None:
        """Note that a request was answered."""
        self._in_flight.dec()
        key = (interaction, status)
        counter = self._by_status.get(key)
        if counter is None:
            counter = self._by_status[key] = self._requests.labels(interaction or "none", str(status))
        counter.inc()
        histogram = self._by_interaction.get(interaction)
        if histogram is None:
            histogram = self._by_interaction[interaction] = self._seconds.labels(interaction or "none")
        histogram.observe(seconds)

    def exposition(self) -> tuple[bytes, str]:
        """Return the metrics in Prometheus' text format, and its content type."""
        registry = self.registry
        if os.environ.get("PROMETHEUS_MULTIPROC_DIR"):
            registry = CollectorRegistry()
            multiprocess.MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
        return generate_latest(registry), CONTENT_TYPE_LATEST
