"""The page's app, which Airflow's API server mounts: it asks Airflow who is there, and only reads."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from feature_ops.lazy_app import LazyApp
from feature_ops.settings import get_settings
from feature_ops.ui.picture import Addresses, picture
from feature_ops.ui.reading import Reader, Reading, read_all

if TYPE_CHECKING:
    from fastapi import FastAPI

_PAGES = Path(__file__).parent / "pages"
_ASSETS = {"page.css": "text/css", "page.js": "text/javascript", "icon.svg": "image/svg+xml"}
_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
    "connect-src 'self'; frame-ancestors 'self'; base-uri 'none'; form-action 'none'",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-cache",
}
_REFUSED = {
    401: (
        "You are not signed in",
        "Sign in to Airflow first; this page is for its users.",
    ),
    403: (
        "You may not see this page",
        "Ask an administrator of Airflow for the permission to view plugins.",
    ),
}


def feature_store_page() -> LazyApp:
    """Return the page as an ASGI app."""
    return LazyApp(lambda: create_app(Reader(read_all)))


def create_app(reader: Reader) -> FastAPI:
    """Return the app; everything in it is for those only who may see Airflow's plugins."""
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
        title, remedy = _REFUSED.get(error.status_code, (str(error.detail), ""))
        if "text/html" in request.headers.get("accept", ""):
            page = f"<!doctype html><title>Feature store</title><h1>{title}</h1><p>{remedy}</p>"
            return HTMLResponse(page, error.status_code, _HEADERS)
        return JSONResponse({"detail": f"{title}. {remedy}".strip()}, error.status_code, _HEADERS)

    @app.get("/", response_model=None)
    async def index() -> Response:
        return FileResponse(_PAGES / "index.html", media_type="text/html", headers=_HEADERS)

    @app.get("/status", response_model=None)
    async def status() -> Response:
        return JSONResponse(told(await reader.reading()), headers={**_HEADERS, "Cache-Control": "no-store"})

    @app.get("/{asset}", response_model=None)
    async def asset(asset: str) -> Response:
        if asset not in _ASSETS:
            raise HTTPException(404, "There is no such page")
        return FileResponse(_PAGES / asset, media_type=_ASSETS[asset], headers=_HEADERS)

    return app


def told(reading: Reading) -> dict[str, Any]:
    """Return what the page asks for, as plain JSON."""
    settings = get_settings()
    addresses = Addresses(
        commit=settings.git_commit_url,
        mlflow=settings.mlflow_page,
        services={"champion": settings.production_service_url, "test": settings.test_service_url},
    )
    return {
        "now": datetime.now(UTC).isoformat(),
        "read_at": reading.read_at.isoformat() if reading.read_at else None,
        "problem": reading.problem,
        "old_after": settings.data_old_after,
        **picture(reading.tasks, addresses),
    }
