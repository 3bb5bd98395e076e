"""Whatever the process with untrusted code writes becomes definitions or a clear error, never a crash."""

from __future__ import annotations

import base64
import json
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from feature_ops.feast.diff import foreign, loading, sandbox
from feature_ops.feast.diff.answers import NotAnAnswerError, read_answer, read_results
from feature_ops.feast.diff.definitions import Definitions
from feature_ops.feast.diff.loading import DefinitionsError, Limits

FOUND: dict[str, Any] = {
    "project": "shop",
    "protos": [{"kind": "entity", "name": "user", "message": base64.b64encode(b"x").decode()}],
    "functions": {"view": {"source": "pass", "uses": {}}},
    "incomplete": ["a view declares no schema"],
    "open": [],
}
ERROR = {"kind": "NameError", "text": "name 'x' is not defined", "file": "a.py", "line": "3"}
ODD: tuple[Any, ...] = (None, True, 0, -1.5, "", "x", "\ud800", [], [[]], {}, {"": None}, [None], "9" * 5000)


def result(text: bytes) -> Definitions | DefinitionsError:
    """Take an answer of a fork to where callers get it."""
    judged = json.loads(json.dumps({"shop": {**sandbox._judged(text, False, 0, ""), "output": ""}}))
    (answer,) = read_results(json.dumps(judged).encode(), ["shop"]).values()
    return loading._result("shop", answer, Limits())


@pytest.fixture(autouse=True)
def no_feast(monkeypatch: pytest.MonkeyPatch) -> None:
    """Take the messages as they are, without Feast's protobuf classes."""
    monkeypatch.setattr(
        sandbox,
        "_definitions",
        lambda found, project: Definitions.from_json({**found, "objects": {}}).to_json(),
    )


@pytest.mark.parametrize(
    "text",
    [
        *(b"", b"\0", b"\xff\xfe", b"null", b"0", b'"error"', b"[]", b"{}", b"[" * 200_000, b"{", b"nan"),
        *(b'{"error":{}}', b'{"error":[]}', b'{"error":null}', b'{"error":"x"}', b'{"error":{"kind":"x"}}'),
        *(b'{"error":{"text":"x"}}', b'{"error":{"kind":"","text":""}}', b'{"error":{"kind":1,"text":"x"}}'),
        *(
            b'{"error":{"kind":"x","text":"y","more":"z"}}',
            b'{"error":{"kind":"x","text":"y"},"project":"p"}',
        ),
        *(
            b'{"error":{"kind":"x","text":"y","line":7}}',
            b'{"definitions":{}}',
            b'{"definitions":{},"open":[]}',
        ),
        b'{"a":1}' * 3,
        b'{"error":{"kind":' + b"9" * 5000 + b',"text":"x"}}',
    ],
)
def test_what_is_no_answer_is_refused_with_a_clear_message(text: bytes) -> None:
    found = result(text)
    assert isinstance(found, DefinitionsError)
    expected = "its answer can't be read" if text else "ended its own process (exit code 0)"
    assert str(found).startswith(f"shop: {expected}")


@pytest.mark.parametrize(
    "kind", ["ended", "objects", "late", "NothingDefinedError", "ModuleNotFoundError", "{x}"]
)
@pytest.mark.parametrize("text", ["forged", "late", "{memory}", "%s", "\x1b[31m", "x" * 20_000, "\ud800"])
def test_an_error_of_untrusted_code_is_one_short_line(kind: str, text: str) -> None:
    places: tuple[dict[str, str], ...] = ({}, {"file": "a.py"}, {"file": "a.py", "line": "3"})
    for more in (*places, {"name": text}, {"environment": text}, {"link": text}):
        found = result(json.dumps({"error": {"kind": kind, "text": text, **more}}).encode())
        assert isinstance(found, DefinitionsError)
        assert len(str(found).splitlines()) == 1
        assert len(str(found)) < 1500
        assert str(found).isprintable()


def test_every_error_that_the_sandbox_reports_has_the_shape_of_an_answer(tmp_path: Path) -> None:
    try:
        compile("(", str(tmp_path / "a.py"), "exec")
    except SyntaxError as error:
        reported = foreign._told(error, tmp_path)
    answer = read_answer(json.dumps({"error": reported}).encode())
    assert answer["error"] == reported
    assert (reported["kind"], reported["file"], reported["line"]) == ("SyntaxError", "a.py", "1")


def test_an_error_and_definitions_are_read_as_they_are() -> None:
    assert str(result(json.dumps({"error": ERROR}).encode())) == (
        "shop: a.py:3: NameError: name 'x' is not defined"
    )
    read = result(json.dumps(FOUND).encode())
    assert isinstance(read, Definitions)
    assert (read.project, read.protos[0].message, read.incomplete) == (
        "shop",
        b"x",
        tuple(FOUND["incomplete"]),
    )


def mutated(value: Any, draw: random.Random) -> Iterator[Any]:
    """Yield a value with one part of it replaced, left out or added, for each of its parts."""
    yield draw.choice(ODD)
    if isinstance(value, dict):
        for key, part in value.items():
            yield {other: kept for other, kept in value.items() if other != key}
            for changed in mutated(part, draw):
                yield {**value, key: changed}
        yield {**value, "more": draw.choice(ODD)}
    if isinstance(value, list):
        for index, part in enumerate(value):
            for changed in mutated(part, draw):
                yield [*value[:index], changed, *value[index + 1 :]]
        yield [*value, draw.choice(ODD)]


@pytest.mark.parametrize("valid", [FOUND, {"error": ERROR}], ids=["definitions", "an error"])
def test_no_malformed_message_raises_in_the_caller(valid: dict[str, Any]) -> None:
    draw = random.Random(20261130)
    for _ in range(6):
        for message in mutated(valid, draw):
            found = result(json.dumps(message).encode())
            assert isinstance(found, Definitions | DefinitionsError)


def test_no_sequence_of_bytes_raises_in_the_caller() -> None:
    draw = random.Random(20261130)
    text = json.dumps(FOUND).encode()
    for _ in range(400):
        start = draw.randrange(len(text))
        changed = text[:start] + draw.randbytes(draw.randrange(6)) + text[start + draw.randrange(9) :]
        assert isinstance(result(changed), Definitions | DefinitionsError)


@pytest.mark.parametrize("error", [KeyError("x"), RecursionError("deep"), OSError("x"), MemoryError()])
def test_whatever_reading_the_objects_raises_is_an_error_of_the_commit(
    monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def fails(found: Any, project: str) -> Any:
        raise error

    monkeypatch.setattr(sandbox, "_definitions", fails)
    assert isinstance(result(json.dumps(FOUND).encode()), DefinitionsError)


def test_results_are_those_that_were_requested() -> None:
    good = {"error": ERROR, "output": ""}
    for content in ({}, [], {"other": good}, {"shop": good, "other": good}, {"shop": {}}, {"shop": None}):
        with pytest.raises(NotAnAnswerError):
            read_results(json.dumps(content).encode(), ["shop"])
    assert read_results(json.dumps({"shop": good}).encode(), ["shop"])["shop"]["error"]["name"] == ""
    with pytest.raises(NotAnAnswerError):
        read_answer(b'{"error": {}}')
