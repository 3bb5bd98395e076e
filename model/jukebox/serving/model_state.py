"""How old the model and its features are, and how far what it is asked for has moved: for Prometheus."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from jukebox.serving.asked import Asked
from jukebox.serving.follower import Serving

# Of fewer songs the index says more about chance than about drift.
LEAST_ROWS = 100


class ModelState(Collector):
    """
    Numbers of the model that answers at the moment at which Prometheus asks.

    :param serving: returns what answers; None if nothing does.
    :param asked: what was asked for lately.
    """

    def __init__(self, serving: Callable[[], Serving | None], asked: Asked) -> None:
        self._serving, self._asked = serving, asked

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """Return the numbers; without a model, or what it needs, a metric has no samples."""
        serving = self._serving()
        yield from self._ages(serving)
        yield from self._drift(serving)

    def _ages(self, serving: Serving | None) -> Iterator[GaugeMetricFamily]:
        loaded = GaugeMetricFamily(
            "jukebox_model_loaded_timestamp_seconds", "When the model began to answer in this process"
        )
        fresh = GaugeMetricFamily(
            "jukebox_features_fresh_timestamp_seconds",
            "Up to which event time a view's rows are in the online store",
            labels=["view"],
        )
        if serving:
            loaded.add_metric([], serving.loaded_at.timestamp())
            for view, moment in serving.reader.freshness().items():
                if moment:
                    fresh.add_metric([view], moment.timestamp())
        yield loaded
        yield fresh

    def _drift(self, serving: Serving | None) -> Iterator[GaugeMetricFamily]:
        index = GaugeMetricFamily(
            "jukebox_feature_drift_psi",
            "Population stability index of a feature: the songs asked for lately against the training set",
            labels=["feature"],
        )
        counted = GaugeMetricFamily("jukebox_feature_drift_rows", "Songs that the index is counted over")
        if serving and serving.model.bins:
            rows = self._asked.rows(serving.model)
            counted.add_metric([], len(rows))
            if len(rows) >= LEAST_ROWS:
                for at, (feature, bins) in enumerate(
                    zip(serving.model.features, serving.model.bins, strict=True)
                ):
                    index.add_metric([feature.name], bins.stability_index(rows[:, at]))
        yield index
        yield counted
