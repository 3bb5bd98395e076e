"""How the endpoint comes into the API server, and into no other process of Airflow."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from feature_ops.lazy_app import LazyApp
from feature_ops.settings import get_settings

if TYPE_CHECKING:
    from fastapi import FastAPI

URL_PREFIX = "/feature-ops"


def alert_apps() -> list[dict[str, Any]]:
    """Return the entry for the plugin's ``fastapi_apps``; none while ``alert_trigger`` is off."""
    if not get_settings().alert_trigger:
        return []
    return [{"app": LazyApp(_make), "url_prefix": URL_PREFIX, "name": "Feature store alerts"}]


def _make() -> FastAPI:
    from feature_ops.alerts.app import create_app

    return create_app()
