"""Bodies have a limit, however they are sent, and HEAD is served wherever GET is."""

from __future__ import annotations

import asyncio

import pytest
from fastapi import FastAPI, Request
from fastapi.testclient import TestClient
from starlette.types import Message

from jukebox.serving.middleware import BodyLimit, HeadAsGet

LIMIT = 1000


@pytest.fixture(scope="module")
def app() -> FastAPI:
    app = FastAPI()
    app.add_middleware(HeadAsGet)
    app.add_middleware(BodyLimit, max_bytes=LIMIT)

    @app.post("/length")
    async def length(request: Request) -> int:
        return len(await request.body())

    @app.post("/json")
    def parsed(content: list[str]) -> int:
        return len(content)

    @app.get("/text")
    def text() -> str:
        return "text"

    return app


@pytest.fixture(scope="module")
def client(app: FastAPI) -> TestClient:
    return TestClient(app)


async def send(app: FastAPI, path: str, size: int, count: int) -> tuple[int, int]:
    """Send a body in chunks without its length; returns the status, and how many chunks were read."""
    sent: list[Message] = []
    read = 0

    async def receive() -> Message:
        nonlocal read
        read += 1
        return {"type": "http.request", "body": b"x" * size, "more_body": read < count}

    async def collect(message: Message) -> None:
        sent.append(message)

    scope = {"type": "http", "method": "POST", "path": path, "query_string": b"", "headers": []}
    await app(scope, receive, collect)
    return sent[0]["status"], read


@pytest.mark.parametrize("path", ["/length", "/json"])
def test_a_body_in_chunks_is_read_up_to_the_limit(app: FastAPI, path: str) -> None:
    assert asyncio.run(send(app, path, size=100, count=5000)) == (413, LIMIT // 100 + 1)
    assert asyncio.run(send(app, "/length", size=100, count=LIMIT // 100)) == (200, LIMIT // 100)


@pytest.mark.parametrize("path", ["/length", "/json"])
@pytest.mark.parametrize("size", [LIMIT + 1, 50 * LIMIT])
def test_a_body_above_the_limit_is_refused(client: TestClient, path: str, size: int) -> None:
    answer = client.post(path, content=b"x" * size)
    assert answer.status_code == 413
    assert answer.json()["detail"].startswith("The request body is larger than 1,000 bytes.")
    assert answer.headers["Connection"] == "close"


@pytest.mark.parametrize("declared", ["0", "-1", "999", "many", "9" * 5000])
def test_a_wrong_content_length_does_not_lift_the_limit(client: TestClient, declared: str) -> None:
    answer = client.post("/length", content=b"x" * (LIMIT + 1), headers={"Content-Length": declared})
    assert answer.status_code == 413


def test_a_body_of_exactly_the_limit_is_served(client: TestClient) -> None:
    assert client.post("/length", content=b"x" * LIMIT).json() == LIMIT


def test_head_answers_as_get_without_a_body(client: TestClient) -> None:
    get, head = client.get("/text"), client.head("/text")
    assert (head.status_code, head.headers, head.content) == (get.status_code, get.headers, b"")
    assert client.head("/length").status_code == client.get("/length").status_code == 405
    assert client.head("/nowhere").status_code == 404
