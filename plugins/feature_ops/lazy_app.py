"""An ASGI application that is made when somebody asks for it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


class LazyApp:
    """
    The application, made at its first request.

    Airflow loads plugins at the start of every process, and only the API server has use for FastAPI.

    :param make: makes it.
    """

    def __init__(self, make: Callable[[], Any]) -> None:
        self._make = make
        self._app: Any = None

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Hand a request on."""
        if self._app is None:
            self._app = self._make()
        await self._app(scope, receive, send)
