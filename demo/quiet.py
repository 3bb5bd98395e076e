"""Tools that do not report to their makers."""

from __future__ import annotations


def quiet_variables() -> dict[str, str]:
    """Return the variables that keep the tools from reporting home."""
    return {
        "FEAST_USAGE": "False",
        "DVC_NO_ANALYTICS": "1",
        "SCARF_NO_ANALYTICS": "true",
        "DO_NOT_TRACK": "1",
        "MLFLOW_DISABLE_TELEMETRY": "true",
    }
