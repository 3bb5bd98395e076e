from __future__ import annotations

import io
import re
import sys
import time

import pytest

from feature_ops.feast.engine import progress
from feature_ops.feast.engine.progress import Progress


class Bar:
    """Stands in for tqdm's."""

    def __init__(self, total: int) -> None:
        self.total, self.count, self.closed = total, 0, False

    def update(self, count: int) -> None:
        self.count += count

    def close(self) -> None:
        self.closed = True


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        return True


def no_bar(total: int) -> Bar:
    raise AssertionError("there is no place for a bar")


def test_rows_percent_rate_and_what_is_left_are_told(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    monkeypatch.setattr(sys, "stderr", Terminal())
    monkeypatch.setattr(progress, "_SECONDS_BETWEEN_LINES", 0.0)
    bars: list[Bar] = []

    def bar(total: int) -> Bar:
        bars.append(Bar(total))
        return bars[-1]

    told = Progress("songs", 4_000, bar, time.monotonic())
    told.add(1_000, 990)
    told.add(3_000, 3_000)
    written = told.end(5_000)

    first, second, last = caplog.messages
    assert re.fullmatch(r"songs: 1,000 of 4,000 rows \(25 %\), [\d,]+ rows/s, \d+ s to go", first)
    assert re.fullmatch(r"songs: 4,000 of 4,000 rows \(100 %\), [\d,]+ rows/s, 0 s to go", second)
    assert re.fullmatch(
        r"songs: 3,990 rows written, the latest of 5,000, in \d\.\d s \([\d,]+ rows/s\)", last
    )
    assert written == 3_990
    assert [(bar.total, bar.count, bar.closed) for bar in bars] == [(4_000, 4_000, True)]


def test_where_nothing_is_to_be_sent_there_is_no_bar(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    monkeypatch.setattr(sys, "stderr", Terminal())

    assert Progress("songs", 0, no_bar, time.monotonic()).end(7) == 0
    assert "songs: 0 rows written, the latest of 7" in caplog.text


def test_a_log_that_is_no_terminal_gets_no_bar(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    monkeypatch.setattr(sys, "stderr", io.StringIO())
    told = Progress("songs", 1, no_bar, time.monotonic())
    told.add(1, 1)

    assert told.end(1) == 1
    assert caplog.messages[-1].startswith("songs: 1 row written, the latest of 1, in ")


def test_a_load_of_seconds_has_one_line_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    told = Progress("songs", 10, None, time.monotonic())
    told.add(10, 10)
    told.end(10)

    assert len(caplog.messages) == 1
