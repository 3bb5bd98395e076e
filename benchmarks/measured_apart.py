"""A measurement in a process of its own, so that its peak of memory and its imports are its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

PROJECT = Path(__file__).resolve().parents[1]


def measured_apart(
    benchmark: str, *arguments: str, environment: Mapping[str, str] | None = None
) -> dict[str, Any]:
    """
    Run ``python -m benchmarks.<benchmark>``; returns the JSON object of its last line.

    :param environment: variables that are added to those of this process.
    :raises SystemExit: it failed; with what it told.
    """
    ended = subprocess.run(
        [sys.executable, "-m", f"benchmarks.{benchmark}", *arguments],
        cwd=PROJECT,
        env={**os.environ, **(environment or {})},
        capture_output=True,
        text=True,
        check=False,
    )
    if ended.returncode:
        raise SystemExit(ended.stderr)
    return dict(json.loads(ended.stdout.splitlines()[-1]))
