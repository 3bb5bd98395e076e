"""What the process that applies definitions answers and prints is untrusted: functions run in it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from feature_ops.exceptions import BadInputError, FeatureOpsError, SupersededError
from feature_ops.feast import applying
from feature_ops.feast.apply_process import Applied, ApplyRequest
from feature_ops.feast.applying import run_apply
from feature_ops.feast.diff.definitions import Definitions

APPLIED: dict[str, Any] = {
    "created": ["entity track"],
    "updated": [],
    "deleted": [],
    "dump_uri": "s3://data/dump.pb",
}
PROGRAM = """
import os, sys
sys.stdin.read()
sys.stdout.buffer.write({output!r})
sys.stdout.flush()
with os.fdopen(int(sys.argv[1]), "wb") as answer:
    answer.write(open({answer!r}, "rb").read())
"""


@pytest.fixture
def program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The program that takes the place of the one that applies."""
    monkeypatch.setattr(applying, "_MODULE", "program")
    return tmp_path / "program.py"


def run(program: Path, answer: bytes, output: bytes = b"") -> Applied:
    (program.parent / "answer").write_bytes(answer)
    program.write_text(PROGRAM.format(answer=str(program.parent / "answer"), output=output))
    request = ApplyRequest("c" * 40, Definitions("radio", {}), program.parent, {}, "s3://data/", 1.0)
    return run_apply(request, {"PYTHONPATH": str(program.parent)}, ["a-secret"])


def test_the_answer_of_an_apply_is_returned(program: Path) -> None:
    assert run(program, json.dumps({"applied": APPLIED}).encode()) == Applied(**APPLIED)


@pytest.mark.parametrize(
    "forged",
    [
        b"",
        b"\xff\xfe",
        b"[]",
        b"{}",
        b'"applied"',
        b"[" * 50_000,
        b'{"applied": {}}',
        b'{"applied": null}',
        json.dumps({"applied": {**APPLIED, "created": 5}}).encode(),
        json.dumps({"applied": {**APPLIED, "created": [{}]}}).encode(),
        json.dumps({"applied": {**APPLIED, "dump_uri": []}}).encode(),
        json.dumps({"applied": {**APPLIED, "more": 1}}).encode(),
        json.dumps({"applied": APPLIED, "refused": "also"}).encode(),
        json.dumps({"applied": APPLIED}).encode() * 2,
        b'{"failed": "' + b"x" * (1 << 24),
        b'{"refused": {}}',
        b'{"failed": null}',
        b'{"error": {}}',
    ],
    ids=lambda forged: forged[:40].decode(errors="replace"),
)
def test_a_forged_answer_is_a_failure_that_may_be_retried(program: Path, forged: bytes) -> None:
    with pytest.raises(FeatureOpsError, match="could not apply the definitions") as failure:
        run(program, forged)

    assert type(failure.value) is FeatureOpsError


@pytest.mark.parametrize(
    ("kind", "error"),
    [("refused", BadInputError), ("superseded", SupersededError), ("failed", FeatureOpsError)],
)
def test_errors_keep_their_kind_and_have_no_secrets(
    program: Path, kind: str, error: type[FeatureOpsError]
) -> None:
    with pytest.raises(error, match=r"^why \*\*\*$") as raised:
        run(program, json.dumps({kind: "why a-secret"}).encode())

    assert type(raised.value) is error


def test_whatever_it_prints_ends_up_masked_in_the_log_and_stops_nothing(
    program: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    output = b"\xff\xfe a-secret \x1b[2J\n" + b"x" * 1_000_000 + b"\nend\n"

    assert run(program, json.dumps({"applied": APPLIED}).encode(), output) == Applied(**APPLIED)

    logged = [record.getMessage() for record in caplog.records if record.name == applying.__name__]
    assert logged[0] == "feast: �� ***  [2J"
    assert max(map(len, logged)) < 20_000
    assert logged[-1] == "feast: end"
