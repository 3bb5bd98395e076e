"""How the endpoint comes into the API server, and into no other process of Airflow."""

from __future__ import annotations

from typing import Any

from feature_ops.settings import get_settings

URL_PREFIX = "/feature-ops"


class LazyApp:
    """The application, made at its first request: every process of Airflow loads its plugins."""

    def __init__(self) -> None:
        self._app: Any = None

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Answer a request."""
        if self._app is None:
            from feature_ops.alerts.app import create_app

            self._app = create_app()
        await self._app(scope, receive, send)


def alert_apps() -> list[dict[str, Any]]:
    """Return the entry for the plugin's ``fastapi_apps``; none while ``alert_trigger`` is off."""
    if not get_settings().alert_trigger:
        return []
    return [{"app": LazyApp(), "url_prefix": URL_PREFIX, "name": "Feature store alerts"}]
