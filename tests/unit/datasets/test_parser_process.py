"""A source file is read in a child process, whose end never is the worker's."""

from __future__ import annotations

import errno
import json
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from feature_ops.datasets import parser_process
from feature_ops.datasets.dataset import Dataset
from feature_ops.datasets.normalize import Normalized, normalize
from feature_ops.datasets.parser_process import Limits, parse
from feature_ops.exceptions import BadInputError, FeatureOpsError

Rows = Callable[..., dict[str, Any]]
Parse = Callable[..., Normalized]
NOW = datetime(2026, 7, 1, 12, tzinfo=UTC)
LIMIT = 1024**3
LIMITS = Limits(unpacked=LIMIT, memory=512 * 1024**2, seconds=120)


@pytest.fixture
def parsed(dataset: Dataset, tmp_path: Path) -> Parse:
    def run(source: Path, limits: Limits = LIMITS, into: str = "parsed") -> Normalized:
        (tmp_path / into).mkdir()
        return parse(
            source, tmp_path / into, dataset, timestamp_column="", stamp=NOW, latest=NOW, limits=limits
        )

    return run


@pytest.fixture
def child(monkeypatch: pytest.MonkeyPatch, parsed: Parse, tmp_path: Path) -> Callable[..., Normalized]:
    """Run a program in the place of the parser; it begins after it reported some rows."""

    def run(program: str, rows: int | None = 7, limits: Limits = LIMITS) -> Normalized:
        begun = f"open('progress', 'w').write('{rows:20}')\n" if rows is not None else ""
        code = f"import json, os, signal, sys, time\nrequest = json.load(sys.stdin)\n{begun}{program}"
        monkeypatch.setattr(parser_process, "_COMMAND", [sys.executable, "-S", "-c", code])
        return parsed(tmp_path / "source", limits)

    return run


def test_the_child_finds_what_the_same_code_finds_in_this_process(
    parsed: Parse, rows: Rows, dataset: Dataset, tmp_path: Path
) -> None:
    source = tmp_path / "source"
    columns = rows(leaves=[1, -1], height=[float("inf"), 1.0]) | {"more": [1, 2]}
    pq.write_table(pa.table(columns), source)
    here = normalize(
        source, tmp_path / "here", dataset, timestamp_column="", stamp=NOW, latest=NOW, limit=LIMIT
    )
    there = parsed(source)
    assert json.dumps(there.to_json()) == json.dumps(here.to_json())
    assert sorted(map(str, there.violations)) == [
        "column 'height' must be a finite number in 1 row (row 1: inf)",
        "column 'height' must be at most 100 in 1 row (row 1: inf)",
        "column 'leaves' must be at least 0 in 1 row (row 2: -1)",
    ]
    assert pq.read_table(there.path).equals(pq.read_table(here.path))


def test_what_the_file_is_refused_for_comes_back(parsed: Parse, tmp_path: Path) -> None:
    (tmp_path / "source").write_bytes(b"<html>")
    with pytest.raises(BadInputError, match=r"is not parquet \(it starts with b'<htm'\)"):
        parsed(tmp_path / "source")


def test_the_environment_of_the_child_has_no_credentials(
    child: Callable[..., Normalized], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_AWS_DEFAULT", "a password")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "a password")
    with pytest.raises(BadInputError) as refused:
        child("open('answer.json', 'w').write(json.dumps({'refused': json.dumps(dict(os.environ))}))")
    seen = json.loads(str(refused.value))
    assert set(seen) <= {*parser_process._INHERITED, "PYTHONPATH", "TMPDIR", "ARROW_DEFAULT_MEMORY_POOL"}
    assert "a password" not in str(refused.value)


@pytest.mark.skipif(sys.platform != "linux", reason="Landlock and seccomp are Linux's")
@pytest.mark.parametrize(
    "attempt",
    [
        *("open('/etc/passwd').read()", "import socket; socket.socket()", "os.system('true') == 0 or 1 / 0"),
        *("os.chmod('own file', 0o777)", "os.symlink('/etc/passwd', 'normalized.parquet')"),
    ],
)
def test_what_takes_over_the_parser_gains_nothing(
    attempt: str, child: Callable[..., Normalized], tmp_path: Path
) -> None:
    program = f"""
sys.path[:0] = os.environ["PYTHONPATH"].split(os.pathsep)
from pathlib import Path
from feature_ops.datasets.parser import _confine
_confine(request, Path(request["source"]), Path(request["folder"]))
open("own file", "w").write("allowed")
{attempt}
"""
    with pytest.raises(BadInputError, match=r"the parser failed with (PermissionError|ZeroDivisionError)"):
        child(program)
    assert (tmp_path / "parsed" / "own file").read_text() == "allowed"


@pytest.mark.parametrize("name", ["SIGABRT", "SIGSEGV", "SIGBUS", "SIGFPE", "SIGILL", "SIGSYS"])
def test_a_crash_is_the_files_fault_and_says_where(name: str, child: Callable[..., Normalized]) -> None:
    with pytest.raises(
        BadInputError, match=f"the parser ended with {name} after row 7: write the file again"
    ):
        child(f"os.kill(os.getpid(), signal.{name})")


def test_an_error_that_nobody_foresaw_is_reported_with_its_name(child: Callable[..., Normalized]) -> None:
    with pytest.raises(BadInputError, match="the parser failed with KeyError: 'no such kernel' after row 7"):
        child("raise KeyError('no such kernel')")


@pytest.mark.parametrize("name", ["SIGKILL", "SIGTERM", "SIGINT", "SIGHUP"])
def test_a_child_that_was_killed_is_tried_again(name: str, child: Callable[..., Normalized]) -> None:
    # Tests that run under nohup have SIGHUP ignored, and so has the child.
    reset = "" if name == "SIGKILL" else f"signal.signal(signal.{name}, signal.SIG_DFL); "
    with pytest.raises(FeatureOpsError, match=f"was ended by {name} after row 7.*try again") as failed:
        child(f"{reset}os.kill(os.getpid(), signal.{name})")
    assert not isinstance(failed.value, BadInputError)


def test_a_child_that_does_not_start_is_tried_again(child: Callable[..., Normalized]) -> None:
    with pytest.raises(
        FeatureOpsError, match="did not start: ModuleNotFoundError: No module named"
    ) as failed:
        child("import no_such_module", rows=None)
    assert not isinstance(failed.value, BadInputError)


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EIO, errno.EACCES])
def test_a_full_or_broken_disk_is_not_the_files_fault(number: int, child: Callable[..., Normalized]) -> None:
    with pytest.raises(OSError) as failed:
        child(f"open('answer.json', 'w').write(json.dumps({{'errno': {number}}}))")
    assert failed.value.errno == number


def test_a_disk_without_room_for_an_answer_is_not_the_files_fault(child: Callable[..., Normalized]) -> None:
    with pytest.raises(OSError, match="No space left on device"):
        child("sys.exit(100)")


def test_a_file_that_unpacks_to_more_than_may_be_written_is_refused(child: Callable[..., Normalized]) -> None:
    with pytest.raises(BadInputError, match="unpacks to more than 1,073,741,824 bytes"):
        child(f"open('answer.json', 'w').write(json.dumps({{'errno': {errno.EFBIG}}}))")


def test_a_hang_ends_with_a_refusal(child: Callable[..., Normalized]) -> None:
    limits = Limits(unpacked=LIMIT, memory=2**29, seconds=1)
    with pytest.raises(
        BadInputError, match=r"can't be read within 1 s after row 7: .*FEATURE_OPS_PARSE_TIMEOUT"
    ):
        child("time.sleep(600)", limits=limits)


def test_too_much_processor_time_is_a_refusal(child: Callable[..., Normalized]) -> None:
    with pytest.raises(BadInputError, match="can't be read within 120 s after row 7"):
        child("os.kill(os.getpid(), signal.SIGXCPU)")


@pytest.mark.parametrize(
    "program",
    [
        "open('answer.json', 'w').write('{\"out_of_memory\": true}')",
        "raise MemoryError",
        "print(\"terminate called after throwing an instance of 'std::bad_alloc'\", flush=True); os.abort()",
    ],
)
def test_too_much_memory_is_the_files_fault_unless_the_machine_has_none(
    program: str, child: Callable[..., Normalized], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with pytest.raises(BadInputError, match="needs more than 512 MiB of memory to be read after row 7"):
        child(program)
    (tmp_path / "parsed").rename(tmp_path / "before")
    limits = Limits(unpacked=LIMIT, memory=2**62, seconds=60)
    with pytest.raises(FeatureOpsError, match=r"this machine has no .* MiB of memory") as failed:
        child(program, limits=limits)
    assert not isinstance(failed.value, BadInputError)


@pytest.mark.parametrize("answer", ["", "[]", "{", "null"])
def test_an_answer_that_is_none_is_no_result(answer: str, child: Callable[..., Normalized]) -> None:
    with pytest.raises(FeatureOpsError, match="answer can't be read"):
        child(f"open('answer.json', 'w').write({answer!r})")


def test_partly_encrypted_files_make_arrow_abort_and_are_named_so(child: Callable[..., Normalized]) -> None:
    with pytest.raises(BadInputError, match=r"^the parquet file is encrypted"):
        child("print('  what():  Cannot decrypt ColumnMetadata.', flush=True); os.abort()")


def test_the_child_imports_neither_airflow_nor_what_it_does_not_need(parsed: Parse) -> None:
    program = """
import sys
import feature_ops.datasets.parser, feature_ops.datasets.normalize, feature_ops.datasets.dataset
import feature_ops.feast.diff.confinement
print(*{name.partition(".")[0] for name in sys.modules})
"""
    done = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        check=True,
        env=parser_process._environment(Path("/tmp")),
    )
    assert not set(done.stdout.split()) & {
        "airflow",
        "feast",
        "pandas",
        "duckdb",
        "boto3",
        "pydantic_settings",
    }
