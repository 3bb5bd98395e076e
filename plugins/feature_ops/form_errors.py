"""
Clear messages for values that a trigger form refuses.

Airflow checks the values of a run against the JSON schemas of the DAG's params before it stores the run. Its
answer is the text of the JSON-schema library, which repeats the value: a password that was typed into a URL
would be shown. An ASGI middleware of the API server replaces that text for this package's fields. Requests of
the form, of the REST API and of ``TriggerDagRunOperator`` pass it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

# An annotation that Airflow keeps in the schema, by which the fields are recognized in the library's text.
MARK: dict[str, Any] = {"$comment": "field of feature_ops"}

# Fixed texts: no part of a value is ever in them.
EXPECTED = {
    "dataset_url": (
        "Dataset URL: enter https://host/path/file.parquet or s3://bucket/path/file.parquet, without spaces, "
        "user name and password. For a protected file use a signed URL or the S3 connection."
    ),
    "repo_url": (
        "Repository URL: enter the address of a git repository without spaces, user name and password. The "
        "credentials are those of the Airflow connection."
    ),
    "event_timestamp_column": "Event timestamp column: enter the name of one column, without spaces.",
    "full_refresh": "Full refresh: choose true or false.",
    "revision": (
        "Revision: enter a branch, a tag or the hash of a commit, without spaces and any of ~ ^ : ? * [ \\"
    ),
    "force_training": "Force training: choose true or false.",
    "model_version": "Model version: enter the number of a version, such as 3.",
}

_REFUSED = re.compile(r"Invalid input for param (\w+):")
# Longer answers are none of Airflow's refusals.
_MOST_BYTES = 1 << 20

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Message, Receive, Send], Awaitable[None]]


def refusal(text: str) -> str | None:
    """Return the message for the JSON-schema library's text; None if it is about no field of this package."""
    found = _REFUSED.search(text)
    if not found or MARK["$comment"] not in text:
        return None
    return EXPECTED.get(found[1], f"{found[1]}: the value is not accepted; see the field's description.")


class FormErrors:
    """
    The middleware.

    :param app: the application that it wraps.
    """

    def __init__(self, app: App) -> None:
        self._app = app

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Pass requests on, and hold the answers to POST requests that are refused."""
        if scope["type"] == "http" and scope["method"] == "POST":
            send = _Answer(send).send
        await self._app(scope, receive, send)


class _Answer:
    """One answer: passed on as it comes, unless its status is 400; then its text is replaced first."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self._start: Message | None = None
        self._body = bytearray()

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start" and message["status"] == 400:
            self._start = message
            return
        if self._start is None or message["type"] != "http.response.body":
            await self._send(message)
            return
        self._body += message.get("body", b"")
        if message.get("more_body") and len(self._body) < _MOST_BYTES:
            return
        start, body = self._start, _replaced(bytes(self._body))
        self._start = None
        if len(body) != len(self._body):
            start = {**start, "headers": _with_length(start["headers"], len(body))}
        await self._send(start)
        await self._send({**message, "body": body})


def _replaced(body: bytes) -> bytes:
    try:
        answer = json.loads(body)
        detail = answer["detail"]
        # The API for tasks puts the text one level deeper than the one for users.
        holder, key = (detail, "message") if isinstance(detail, dict) else (answer, "detail")
        message = refusal(str(holder[key]))
    except (ValueError, KeyError, TypeError):
        return body
    if message is None:
        return body
    holder[key] = message
    return json.dumps(answer).encode()


def _with_length(headers: list[tuple[bytes, bytes]], length: int) -> list[tuple[bytes, bytes]]:
    kept = [(name, value) for name, value in headers if name.lower() != b"content-length"]
    return [*kept, (b"content-length", str(length).encode())]
