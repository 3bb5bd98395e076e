"""Drift as a model service reports it: Prometheus metrics, read without a Prometheus server."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from dataclasses import dataclass

from feature_ops.exceptions import FeatureOpsError

_INDEX, _ROWS = "_feature_drift_psi", "_feature_drift_rows"
_SAMPLE = re.compile(r"^(?P<name>\w+?)(?:\{(?P<labels>.*)\})? (?P<value>[^ ]+)(?: \d+)?$")
_FEATURE = re.compile(r'(?:^|,)\s*feature="((?:[^"\\]|\\.)*)"')
_TIMEOUT_SECONDS = 10
_MOST_BYTES = 5 * 1024 * 1024


@dataclass(frozen=True)
class Drift:
    """
    How far recent requests are from the training set.

    :param features: population stability index by feature; empty while there are too few requests.
    :param rows: requests that the index is computed over.
    """

    features: dict[str, float]
    rows: int


def parse_drift(metrics: str) -> Drift:
    """
    Read ``*_feature_drift_psi{feature=...}`` and ``*_feature_drift_rows`` from Prometheus' text format.

    Several processes of a service may each report: the highest index of a feature counts.
    """
    features: dict[str, float] = {}
    rows = 0
    for line in metrics.splitlines():
        found = _SAMPLE.match(line)
        value = _number(found["value"]) if found else None
        if found is None or value is None:
            continue
        if found["name"].endswith(_ROWS):
            rows = max(rows, int(value))
        feature = _FEATURE.search(found["labels"] or "") if found["name"].endswith(_INDEX) else None
        if feature:
            name = re.sub(r"\\(.)", r"\1", feature[1])
            features[name] = max(value, features.get(name, value))
    return Drift(dict(sorted(features.items())), rows)


def read_drift(service_url: str) -> Drift:
    """
    Read the drift that a model service reports.

    :param service_url: its address, without ``/metrics``.
    :raises FeatureOpsError: the service does not respond, or not with metrics.
    """
    import requests

    url = f"{service_url.rstrip('/')}/metrics"
    try:
        with requests.Session() as session:
            session.trust_env = False
            response = session.get(url, timeout=_TIMEOUT_SECONDS, stream=True)
            response.raise_for_status()
            content = _head(response.iter_content(65536))
    except (requests.RequestException, OSError) as error:
        raise FeatureOpsError(
            f"{url} does not respond ({type(error).__name__}): start the model service, or correct "
            "FEATURE_OPS_PRODUCTION_SERVICE_URL"
        ) from None
    return parse_drift(content.decode("utf-8", "replace"))


def _head(parts: Iterable[bytes]) -> bytes:
    content = bytearray()
    for part in parts:
        content += part
        if len(content) > _MOST_BYTES:
            break
    return bytes(content)


def _number(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) else None
