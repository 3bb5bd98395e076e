"""Candidate against champion, metric by metric: differences, intervals and what they mean."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum

from feature_ops.training.declaration import Metric
from feature_ops.training.result import Interval, TrainingResult


class Significance(StrEnum):
    """What a difference means. It is significant if its interval does not contain zero."""

    BETTER = "better"
    WORSE = "worse"
    SAME = "no significant difference"
    # Nobody declared in which direction the metric is better.
    DIFFERENT = "significant difference"
    UNKNOWN = "significance unknown"


@dataclass(frozen=True)
class ComparedMetric:
    """
    One metric of both versions.

    :param key: its name in the training's result.
    :param metric: its declaration; None if the model declares none.
    :param champion: None if it was not measured.
    :param difference: candidate minus champion; None if the two were not measured on the same rows.
    :param interval: the difference's confidence interval; None if it was not estimated.
    """

    key: str
    metric: Metric | None
    candidate: float | None
    champion: float | None
    difference: float | None
    interval: Interval | None

    @property
    def significance(self) -> Significance:
        """What the interval says; without one, nothing can be said."""
        found = self.interval
        if found is None or not all(map(math.isfinite, (found.difference, found.low, found.high))):
            return Significance.UNKNOWN
        if found.low <= 0 <= found.high:
            return Significance.SAME
        if self.metric is None:
            return Significance.DIFFERENT
        higher = found.low > 0
        return Significance.BETTER if higher == (self.metric.better == "higher") else Significance.WORSE


def same_rows(result: TrainingResult | None, champion: str | None) -> bool:
    """Return whether a training compared its model with this champion, on the same held-out rows."""
    measured = result.champion if result else None
    return measured is not None and measured.version == champion


def compare(
    declared: Mapping[str, Metric],
    candidate: Mapping[str, float],
    champion: Mapping[str, float],
    result: TrainingResult | None,
    champion_version: str | None,
) -> list[ComparedMetric]:
    """
    Compare the metrics of two versions; the declared ones come first, in their order.

    :param champion: its metrics on the rows that its own training held out, for want of better ones.
    :param result: of the candidate's training.
    :param champion_version: the version in production; None if there is none.
    """
    fair = same_rows(result, champion_version)
    intervals = (result.comparison or {}) if fair and result else {}
    if fair and result and result.champion:
        champion = result.champion.metrics
    return [
        ComparedMetric(
            key,
            declared.get(key),
            candidate.get(key),
            champion.get(key),
            _difference(candidate.get(key), champion.get(key), intervals.get(key)) if fair else None,
            intervals.get(key),
        )
        for key in _keys(declared, candidate)
    ]


def _keys(declared: Mapping[str, Metric], candidate: Mapping[str, float]) -> Iterator[str]:
    yield from (key for key in declared if key in candidate)
    yield from (key for key in candidate if key not in declared)


def _difference(candidate: float | None, champion: float | None, interval: Interval | None) -> float | None:
    if interval is not None:
        return interval.difference
    return None if candidate is None or champion is None else candidate - champion
