"""The app of the *Feature store* page: mounted by Airflow's API server, authenticated by it, read-only."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from feature_ops.lazy_app import LazyApp
from feature_ops.settings import get_settings
from feature_ops.ui.reading import Reader, Reading, read_all
from feature_ops.ui.refusal import refusal_page, refused
from feature_ops.ui.view_model import Addresses, view_model

if TYPE_CHECKING:
    from fastapi import FastAPI

_PAGES = Path(__file__).parent / "pages"
_TYPES = {".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}
_ASSETS = {path.name: _TYPES[path.suffix] for path in _PAGES.iterdir() if path.suffix in _TYPES}
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src {style}; img-src 'self'; connect-src 'self'; "
    "frame-ancestors 'self'; base-uri 'none'; form-action 'none'"
)
_HEADERS = {
    "Content-Security-Policy": _POLICY.format(style="'self'"),
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-cache",
}


def feature_store_page() -> LazyApp:
    """Return the page as an ASGI app."""
    return LazyApp(lambda: create_app(Reader(read_all)))


def create_app(reader: Reader) -> FastAPI:
    """Return the app; every request needs Airflow's permission to view plugins."""
    from airflow.api_fastapi.auth.managers.models.resource_details import AccessView
    from airflow.api_fastapi.core_api.security import requires_access_view
    from fastapi import Depends, FastAPI, HTTPException
    from fastapi.responses import FileResponse, HTMLResponse, JSONResponse, Response
    from starlette.requests import Request

    app = FastAPI(
        title="Feature store",
        dependencies=[Depends(requires_access_view(AccessView.PLUGINS))],
        openapi_url=None,
    )

    @app.exception_handler(HTTPException)
    async def refuse(request: Request, error: HTTPException) -> Response:
        message = refused(error.status_code, str(error.detail))
        if "text/html" in request.headers.get("accept", ""):
            page, style = refusal_page(message)
            headers = {**_HEADERS, "Content-Security-Policy": _POLICY.format(style=style)}
            return HTMLResponse(page, error.status_code, headers)
        return JSONResponse(
            {"detail": f"{message.title}. {message.remedy}".strip()}, error.status_code, _HEADERS
        )

    @app.get("/", response_model=None)
    async def index() -> Response:
        return FileResponse(_PAGES / "index.html", media_type="text/html", headers=_HEADERS)

    @app.get("/status", response_model=None)
    async def status() -> Response:
        return JSONResponse(shown(await reader.reading()), headers={**_HEADERS, "Cache-Control": "no-store"})

    @app.get("/{asset}", response_model=None)
    async def asset(asset: str) -> Response:
        if asset not in _ASSETS:
            raise HTTPException(404, "Page not found")
        return FileResponse(_PAGES / asset, media_type=_ASSETS[asset], headers=_HEADERS)

    return app


def shown(reading: Reading) -> dict[str, Any]:
    """Return the response to ``/status``, as plain JSON."""
    settings, now = get_settings(), datetime.now(UTC)
    addresses = Addresses(
        commit=settings.git_commit_url,
        mlflow=settings.mlflow_page,
        services={"champion": settings.production_service_url, "test": settings.test_service_url},
    )
    return {
        "now": now.isoformat(),
        "read_at": reading.read_at.isoformat() if reading.read_at else None,
        "problem": reading.problem,
        "old_after": settings.data_old_after,
        "quarantine_days": settings.quarantine_days,
        **view_model(
            reading.snapshot.tasks,
            addresses,
            reading.snapshot.deployed,
            now - timedelta(days=settings.quarantine_days),
        ),
    }
