"""People who ask the model service for predictions: one who looks at the answers, many who only count."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from http.client import HTTPConnection, HTTPException
from typing import Any
from urllib.parse import quote, urlsplit

from demo.errors import DemoError


@dataclass(frozen=True)
class Answer:
    """
    What the service said.

    :param content: its JSON: with the ranked countries, or with why there are none.
    """

    status: int
    content: dict[str, Any]

    @property
    def countries(self) -> dict[str, float]:
        """Probability by country, the likeliest first; empty if there is no prediction."""
        return {entry["country"]: entry["probability"] for entry in self.content.get("countries", [])}


def ask(url: str, path: str, body: object = None) -> Answer:
    """Ask once; raises a :class:`DemoError` if nobody answers."""
    connection = _connect(url)
    try:
        return _request(connection, path, body)
    except (OSError, HTTPException, ValueError) as error:
        raise DemoError(f"{url}{path} does not answer: {error}") from None
    finally:
        connection.close()


def predict(url: str, song: str) -> Answer:
    """Ask for a song's countries, all of them."""
    return ask(url, f"/predict/{quote(song, safe='')}?top=300")


@dataclass
class Asked:
    """How many answers there were, how many of them were no prediction, and the first such answers."""

    answers: int = 0
    failed: int = 0
    failures: list[str] = field(default_factory=list)


class SteadyCrowd:
    """
    Asks at a constant rate, every tenth request for many songs at once, until it is stopped.

    :param songs: ids of songs that are online.
    :param rate: requests a second.
    """

    def __init__(self, url: str, songs: Sequence[str], rate: float) -> None:
        self._url, self._songs, self._interval = url, list(songs), 1 / rate
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._go_on, daemon=True)
        self.asked = Asked()

    def start(self) -> None:
        """Begin to ask."""
        self._thread.start()

    def stop(self) -> None:
        """End after the request that is under way."""
        self._stopped.set()
        self._thread.join(timeout=60)

    def _go_on(self) -> None:
        connection, number, due = _connect(self._url), 0, time.monotonic()
        while not self._stopped.is_set():
            number, due = number + 1, due + self._interval
            song = self._songs[number % len(self._songs)]
            try:
                if number % 10:
                    answer = _request(connection, f"/predict/{quote(song, safe='')}")
                else:
                    answer = _request(connection, "/predict", {"songs": self._songs})
                problem = None if answer.status == 200 else f"{answer.status}: {answer.content}"
            except (OSError, HTTPException, ValueError) as error:
                connection.close()
                connection, problem = _connect(self._url), f"{type(error).__name__}: {error}"
            self._count(problem)
            # Who is late asks at once, so that the rate holds.
            self._stopped.wait(max(0.0, due - time.monotonic()))
        connection.close()

    def _count(self, problem: str | None) -> None:
        self.asked.answers += 1
        if problem:
            self.asked.failed += 1
            self.asked.failures = [*self.asked.failures, problem[:200]][:5]


def _connect(url: str) -> HTTPConnection:
    return HTTPConnection(urlsplit(url).netloc, timeout=30)


def _request(connection: HTTPConnection, path: str, body: object = None) -> Answer:
    if body is None:
        connection.request("GET", path)
    else:
        connection.request("POST", path, json.dumps(body), {"Content-Type": "application/json"})
    response = connection.getresponse()
    return Answer(response.status, json.loads(response.read()))
