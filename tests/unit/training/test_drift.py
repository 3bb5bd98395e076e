"""Drift is read from what a model service reports, whatever else it reports."""

from __future__ import annotations

from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread
from typing import Any

import pytest
from jukebox_model import JUKEBOX

from feature_ops.exceptions import FeatureOpsError, NothingPendingError
from feature_ops.settings import get_settings
from feature_ops.training.drift import Drift, parse_drift, read_drift
from feature_ops.training.drift_operators import MeasureDriftOperator

METRICS = """\
# HELP jukebox_feature_drift_psi Population stability index of a feature
# TYPE jukebox_feature_drift_psi gauge
jukebox_feature_drift_psi{feature="tempo"} 0.31
jukebox_feature_drift_psi{feature="energy"} 0.02
jukebox_feature_drift_rows 1200.0
jukebox_predictions_total{endpoint="single"} 7.0
"""


@pytest.mark.parametrize(
    ("metrics", "drift"),
    [
        (METRICS, Drift({"energy": 0.02, "tempo": 0.31}, 1200)),
        ("", Drift({}, 0)),
        ("<html>no metrics</html>", Drift({}, 0)),
        ("jukebox_feature_drift_rows 12", Drift({}, 12)),
        ('a_feature_drift_psi{feature="x"} NaN\na_feature_drift_psi{feature="y"} +Inf', Drift({}, 0)),
        (
            'a_feature_drift_psi{pid="1",feature="x"} 0.1\na_feature_drift_psi{pid="2",feature="x"} 0.4',
            Drift({"x": 0.4}, 0),
        ),
        (r'a_feature_drift_psi{feature="a\"b"} 0.1 1700000000', Drift({'a"b': 0.1}, 0)),
        ('a_feature_drift_psi{other="x"} 0.1\na_feature_drift_psi 0.2', Drift({}, 0)),
    ],
)
def test_drift_is_found_among_other_metrics(metrics: str, drift: Drift) -> None:
    assert parse_drift(metrics) == drift


class _Service(BaseHTTPRequestHandler):
    status, content = 200, METRICS

    def do_GET(self) -> None:
        self.send_response(self.status if self.path == "/metrics" else 404)
        self.end_headers()
        self.wfile.write(self.content.encode())

    def log_message(self, *_: Any) -> None:
        """Keep quiet."""


@pytest.fixture
def service() -> Iterator[str]:
    server = HTTPServer(("127.0.0.1", 0), _Service)
    Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def test_a_service_that_does_not_respond_is_tried_again_with_the_setting_to_correct(
    service: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_Service, "status", 500)
    with pytest.raises(FeatureOpsError, match="FEATURE_OPS_PRODUCTION_SERVICE_URL"):
        read_drift(service)
    with pytest.raises(FeatureOpsError, match="does not respond"):
        read_drift("http://127.0.0.1:1")


@pytest.fixture
def operator() -> MeasureDriftOperator:
    return MeasureDriftOperator(task_id="measure_drift", model=JUKEBOX)


@pytest.fixture
def url(service: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    monkeypatch.setenv("FEATURE_OPS_PRODUCTION_SERVICE_URL", service)
    get_settings.cache_clear()
    yield service
    get_settings.cache_clear()


@pytest.mark.usefixtures("url")
def test_the_step_keeps_the_drift_of_each_feature(operator: MeasureDriftOperator) -> None:
    outcome = operator.reconcile({})  # type: ignore[typeddict-item]
    assert outcome.summary == "highest drift: tempo 0.310 (PSI), over 1,200 requested keys"
    measured = {"of": "jukebox", "rows": 1200, "features": {"energy": 0.02, "tempo": 0.31}}
    assert operator.status(outcome) == {"drift": measured, "point": measured}


@pytest.mark.usefixtures("url")
def test_too_few_requests_skip_the_step(
    operator: MeasureDriftOperator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_Service, "content", "jukebox_feature_drift_rows 12\n")
    with pytest.raises(NothingPendingError, match="12 requested keys"):
        operator.reconcile({})  # type: ignore[typeddict-item]
    assert operator.status(None) == {}


def test_without_a_production_service_the_step_is_skipped(
    operator: MeasureDriftOperator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("FEATURE_OPS_PRODUCTION_SERVICE_URL", raising=False)
    get_settings.cache_clear()
    with pytest.raises(NothingPendingError, match="FEATURE_OPS_PRODUCTION_SERVICE_URL"):
        operator.reconcile({})  # type: ignore[typeddict-item]
