"""What Prometheus is told."""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

_SECONDS = (0.001, 0.002, 0.003, 0.005, 0.0075, 0.01, 0.015, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)


class Metrics:
    """The numbers of one instance of the service."""

    def __init__(self) -> None:
        registry = self._registry = CollectorRegistry()
        self.predictions = Counter(
            "jukebox_predictions",
            "Songs asked for, by what came of it",
            ["endpoint", "outcome"],
            registry=registry,
        )
        self.prediction_seconds = Histogram(
            "jukebox_prediction_seconds",
            "Time from a request to its answer",
            ["endpoint"],
            buckets=_SECONDS,
            registry=registry,
        )
        self.step_seconds = Histogram(
            "jukebox_step_seconds",
            "Time in the online store and in the model",
            ["step"],
            buckets=_SECONDS,
            registry=registry,
        )
        self._model = _Answering()
        registry.register(self._model)
        self.loaded = Counter("jukebox_models_loaded", "Models taken", registry=registry)
        self.refused = Counter("jukebox_models_refused", "Models refused", registry=registry)
        self.troubles = Gauge(
            "jukebox_trouble",
            "1 while something that the service follows is away",
            ["what"],
            registry=registry,
        )
        self.alias_missing = Gauge(
            "jukebox_alias_missing",
            "1 while no model version has the alias that the service follows",
            ["alias"],
            registry=registry,
        )
        self.definitions_at = Gauge(
            "jukebox_definitions_read_timestamp_seconds",
            "When the feature definitions in use were copied from the registry",
            registry=registry,
        )

    def answering(self, version: str, alias: str, git_commit: str) -> None:
        """Note which model answers from now on."""
        self._model.labels = [version, alias, git_commit]
        self.loaded.inc()

    def watch(self, collector: Collector) -> None:
        """Have a collector asked, too, whenever the numbers are told."""
        self._registry.register(collector)

    def exposition(self) -> bytes:
        """Return all numbers in Prometheus' text format."""
        return generate_latest(self._registry)


class _Answering(Collector):
    """Which model answers; a plain gauge would go on to tell of those that answered before."""

    def __init__(self) -> None:
        self.labels: list[str] = []

    def collect(self) -> Iterator[GaugeMetricFamily]:
        told = GaugeMetricFamily(
            "jukebox_model_info", "1 for the model that answers", labels=["version", "alias", "git_commit"]
        )
        if self.labels:
            told.add_metric(self.labels, 1)
        yield told
