"""
The endpoint that Alertmanager sends its webhook to.

A ``firing`` alert starts one run of the training DAG that trains and applies nothing. ``resolved``
and repeats start nothing; the answer says so.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse
from pydantic import ValidationError
from starlette.concurrency import run_in_threadpool

from feature_ops.alerts.alert import Alert
from feature_ops.alerts.credentials import NoTokenError, kept_token, may_enter
from feature_ops.alerts.runs import Started, start_run
from feature_ops.alerts.webhook import Notification, WebhookAlert
from feature_ops.exceptions import FeatureOpsError
from feature_ops.settings import get_settings

MOST_BYTES = 256 * 1024
_log = logging.getLogger(__name__)


class _TooLargeError(Exception):
    """More was sent than a notification may be long."""


def create_app(
    token: Callable[[], str] | None = None, start: Callable[[Alert], Started] = start_run
) -> FastAPI:
    """
    Return the application with its one endpoint, ``POST /alertmanager``.

    :param token: returns what a sender must have; the connection's password if None.
    :param start: starts the run of an alert.
    """
    app = FastAPI(title="Alerts", docs_url=None, redoc_url=None, openapi_url=None)
    kept = token or (lambda: kept_token(get_settings().alert_conn_id))

    @app.post("/alertmanager")
    async def alertmanager(request: Request) -> JSONResponse:
        """Take a notification; nothing of it is read before the sender has shown the token."""
        try:
            wanted = await run_in_threadpool(kept)
        except NoTokenError as nothing:
            return _answer(503, str(nothing))
        if not may_enter(request.headers.get("Authorization"), wanted):
            told = "Send the token of the alert connection: Authorization: Bearer …"
            return _answer(401, told, {"WWW-Authenticate": "Bearer"})
        try:
            notification = Notification.model_validate_json(await _body(request))
        except _TooLargeError:
            return _answer(
                413, f"A notification may have {MOST_BYTES:,} bytes: set max_alerts in Alertmanager."
            )
        except ValidationError as error:
            return _answer(422, f"This is no notification of Alertmanager's version 4: {_first(error)}")
        try:
            told_of = [await run_in_threadpool(_take, alert, start) for alert in notification.alerts]
        except FeatureOpsError as error:
            return _answer(503, str(error))
        return JSONResponse({"detail": _summary(told_of), "alerts": told_of})

    @app.exception_handler(Exception)
    def failed(request: Request, error: Exception) -> JSONResponse:
        return _answer(500, "The endpoint failed; the API server's log says why.")

    return app


def _take(told: WebhookAlert, start: Callable[[Alert], Started]) -> dict[str, Any]:
    """Do what an alert asks for; returns in words what that was."""
    about = {"alert": told.name, "fingerprint": told.fingerprint, "status": told.status}
    if told.status == "resolved":
        return {**about, "run_id": None, "started": False, "detail": "resolved: nothing is to be done"}
    alert = told.alert()
    started = start(alert)
    dag_id = get_settings().alert_dag
    if not started.new:
        detail = f"its run of {dag_id} was started before: nothing new"
    elif started.waits:
        detail = f"a run of {dag_id} waits: the DAG is paused"
    else:
        detail = f"a run of {dag_id} is started; it trains and applies nothing"
    _log.info("%s: %s", alert.reason, detail)
    return {**about, "run_id": started.run_id, "started": started.new, "detail": detail}


async def _body(request: Request) -> bytes:
    body = bytearray()
    async for part in request.stream():
        body += part
        if len(body) > MOST_BYTES:
            raise _TooLargeError
    return bytes(body)


def _first(error: ValidationError) -> str:
    # Not what was sent: it may be long, and anything.
    first = error.errors(include_input=False, include_url=False)[0]
    return f"{'.'.join(str(part) for part in first['loc']) or 'body'}: {first['msg']}"


def _summary(told_of: list[dict[str, Any]]) -> str:
    started = sum(one["started"] for one in told_of)
    return f"{started} of {len(told_of)} alerts started a run."


def _answer(status: int, detail: str, headers: dict[str, str] | None = None) -> JSONResponse:
    return JSONResponse({"detail": detail}, status, headers)
