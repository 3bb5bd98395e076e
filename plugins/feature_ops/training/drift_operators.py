"""The step that records the drift of the production model, for the *Feature store* page."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from airflow.sdk import Context

from feature_ops.exceptions import NothingPendingError
from feature_ops.operator import Outcome, ReconcilingOperator
from feature_ops.settings import get_settings
from feature_ops.training.declaration import Model
from feature_ops.training.drift import read_drift


class MeasureDriftOperator(ReconcilingOperator):
    """
    Record how far recent requests are from the training set of the model in production.

    The model service computes the population stability index per feature; this step keeps it over time.

    :param model: whose production service is read.
    """

    def __init__(self, *, model: Model, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.model = model

    def reconcile(self, context: Context) -> Outcome:
        """Read the service's metrics."""
        url = get_settings().production_service_url
        if not url:
            raise NothingPendingError(
                "no drift to measure: set FEATURE_OPS_PRODUCTION_SERVICE_URL to the model service's address"
            )
        drift = read_drift(url)
        if not drift.features:
            raise NothingPendingError(
                f"no drift reported yet: {url} has counted {drift.rows:,} requested keys, or its model has "
                "no training distribution"
            )
        highest = max(drift.features, key=drift.features.__getitem__)
        return Outcome(
            f"highest drift: {highest} {drift.features[highest]:.3f} (PSI), over {drift.rows:,} "
            "requested keys",
            {"rows": drift.rows, "features": drift.features},
        )

    def status(self, outcome: Outcome | None) -> Mapping[str, Any]:
        """The index of each feature; kept over time."""
        if outcome is None:
            return {}
        index = {name: round(value, 4) for name, value in outcome.facts["features"].items()}
        measured = {"of": self.model.name, "rows": outcome.facts["rows"], "features": index}
        return {"drift": measured, "point": measured}
