"""What the *Feature store* page shows of a refused file."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from feature_ops.ui.status import POINT


def quarantined(dataset: str, source: str, reasons: Sequence[str], report_uri: str) -> dict[str, Any]:
    """
    Return the result of a refusal, for the error that fails the task.

    :param source: where the file came from, without secrets.
    :param reasons: one line per broken rule; the first one is shown.
    :param report_uri: the report, next to the file.
    """
    refused = {
        "dataset": dataset,
        "source": source,
        "reason": reasons[0] if reasons else "",
        "rules": len(reasons),
        "report_uri": report_uri,
    }
    return {"quarantine": refused, POINT: {"quarantine": refused}}
