"""What a platform can't refuse is reported; a limit can be lowered and never raised."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from feature_ops import settings
from feature_ops.exceptions import FeatureOpsError
from feature_ops.feast.diff import loading, sandbox
from feature_ops.sandbox import seccomp

linux = pytest.mark.skipif(sys.platform != "linux", reason="the kernel's means are Linux's")


def confined(code: str) -> str:
    """Run code in a process of its own, since what is refused stays refused; returns what it prints."""
    start = "from pathlib import Path\nfrom feature_ops.feast.diff import confinement\n"
    done = subprocess.run(
        [sys.executable, "-c", start + code], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@linux
def test_a_current_linux_refuses_all(tmp_path: Path) -> None:
    code = f"print(confinement.refuse([Path('/usr')], Path({str(tmp_path)!r})))"
    assert confined(code) == "[]"


@linux
def test_another_processor_is_reported(tmp_path: Path) -> None:
    code = f"""
import platform
platform.machine = lambda: "riscv64"
print(*confinement.refuse([Path('/usr')], Path({str(tmp_path)!r})))
"""
    assert confined(code) == "seccomp"


def test_another_system_is_reported_and_python_code_is_refused_all_the_same(tmp_path: Path) -> None:
    code = f"""
import os, socket, subprocess
confinement.sys.platform = "darwin"
print(*confinement.refuse([], Path({str(tmp_path)!r})))
for act in (os.fork, lambda: subprocess.run(["id"]), lambda: socket.create_connection(("127.0.0.1", 9))):
    try:
        act()
    except PermissionError as error:
        print(error.strerror)
"""
    assert confined(code).splitlines() == [
        "seccomp landlock parent_death thread_limit",
        "feature definitions may not start processes",
        "feature definitions may not start processes",
        "feature definitions may not use the network",
    ]


@linux
def test_memory_is_limited_and_a_little_is_left_to_report_it() -> None:
    code = """
confinement.limit_resources(memory_mb=64, file_mb=1, seconds=30)
kept = []
try:
    while True:
        kept.append(bytearray(1 << 20))
except MemoryError:
    confinement.make_room()
    more = bytearray(8 << 20)
print(len(kept) < 80, len(more))
"""
    assert confined(code) == f"True {8 << 20}"


@linux
@pytest.mark.parametrize("required", [[], ["landlock"], ["seccomp"]])
def test_a_missing_feature_is_found_before_any_code_runs(
    required: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(seccomp, "is_available", lambda: False)
    request = {"scratch": str(tmp_path), "required": required}
    if "seccomp" in required:
        with pytest.raises(SystemExit, match="FEATURE_OPS_SANDBOX_REQUIRED names seccomp"):
            sandbox._missing_features(request)
    else:
        assert "seccomp" in sandbox._missing_features(request)


def test_what_is_required_reaches_the_process_that_reads_definitions(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    requests: list[dict[str, Any]] = []

    def run(found: list[dict[str, Any]], *_: object) -> None:
        requests.extend(found)
        raise FeatureOpsError("stop")

    monkeypatch.setattr(loading, "run_readings", run)
    monkeypatch.setattr(settings, "get_settings", lambda: settings.Settings(sandbox_required=("seccomp",)))
    with pytest.raises(FeatureOpsError, match="stop"):
        loading.load({"x": tmp_path})
    assert [request["required"] for request in requests] == [["seccomp"]] * 2
