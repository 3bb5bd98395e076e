"""ASGI middleware: a limit for request bodies, and HEAD for every route that serves GET."""

from __future__ import annotations

from fastapi import HTTPException
from fastapi.responses import JSONResponse
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

#: Default maximum length of a request body in bytes.
MAX_BODY_BYTES = 1024 * 1024

# The rest of a body that is not read must not be taken for the next request.
_CLOSE = {"Connection": "close"}


class BodyLimit:
    """
    Refuse request bodies above a limit with status 413, before they are in memory.

    :param max_bytes: checked against ``Content-Length``, and against what arrives, also in chunks.
    """

    def __init__(self, app: ASGIApp, max_bytes: int = MAX_BODY_BYTES) -> None:
        self._app, self._max_bytes = app, max_bytes
        self._detail = f"The request body is larger than {max_bytes:,} bytes. Send several smaller requests."

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
        elif _is_longer(Headers(scope=scope).get("content-length", ""), self._max_bytes):
            response = JSONResponse({"detail": self._detail}, 413, headers=_CLOSE)
            await response(scope, receive, send)
        else:
            await self._app(scope, self._limited(receive), send)

    def _limited(self, receive: Receive) -> Receive:
        received = 0

        async def receive_limited() -> Message:
            nonlocal received
            message = await receive()
            received += len(message.get("body", b""))
            if received > self._max_bytes:
                raise HTTPException(413, self._detail, headers=_CLOSE)
            return message

        return receive_limited


def _is_longer(declared: str, limit: int) -> bool:
    # More digits than any length has are not converted.
    return declared.isdecimal() and (len(declared) > 20 or int(declared) > limit)


class HeadAsGet:
    """Answer HEAD as GET without the body."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http" or scope["method"] != "HEAD":
            await self._app(scope, receive, send)
            return

        async def send_without_body(message: Message) -> None:
            if message["type"] == "http.response.body":
                message = {**message, "body": b""}
            await send(message)

        await self._app({**scope, "method": "GET"}, receive, send_without_body)
