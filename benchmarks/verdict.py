"""
What it takes to say what a commit changes, beside stock Feast: apply the old commit, plan the new one.

Both commits are those of the story: one that changes a comment only, and one that takes loudness out of the
service. Stock Feast needs a registry of its own for it (SQLite, so that no server counts) and tells text
for people. Prints a table with ratios; asserts nothing.
"""

from __future__ import annotations

import argparse
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import pandas as pd

PROJECT = Path(__file__).resolve().parents[1]
STOCK_CONFIGURATION = """\
project: music
provider: local
registry: {registry_type: sql, path: "sqlite:///REGISTRY"}
offline_store: {type: file}
online_store: {type: sqlite, path: ONLINE}
entity_key_serialization_version: 3
"""
CHANGES: dict[str, Callable[[str], str]] = {
    "comment only": lambda text: f"# What the model is served with.\n{text}",
    "loudness dropped": lambda text: text.replace('"loudness",', '# "loudness",'),
}


def git(folder: Path, *arguments: str) -> str:
    """Run git as somebody."""
    command = ["git", "-c", "user.name=Ada", "-c", "user.email=ada@localhost", *arguments]
    return subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True).stdout.strip()


def repository(folder: Path, change: Callable[[str], str]) -> tuple[str, str]:
    """Make a repository with two commits of the feature definitions; returns both."""
    folder.mkdir()
    git(folder, "init", "--quiet")
    shutil.copytree(
        PROJECT / "feature_repo", folder / "feature_repo", ignore=shutil.ignore_patterns("__pycache__")
    )
    commits = []
    for edit in (str, change):
        service = folder / "feature_repo" / "feature_service.py"
        service.write_text(edit(service.read_text()))
        git(folder, "add", "--all")
        git(folder, "commit", "--quiet", "--message", "change")
        commits.append(git(folder, "rev-parse", "HEAD"))
    return commits[0], commits[1]


def seconds(*steps: Callable[[], object]) -> float:
    """Return how long the steps took together."""
    started = time.perf_counter()
    for step in steps:
        step()
    return time.perf_counter() - started


def ours(folder: Path, old: str, new: str) -> float:
    """Time the command that a pull request runs."""
    command = [sys.executable, "-m", "feature_ops.feast.diff", old, new, "--repo", str(folder)]
    return seconds(lambda: subprocess.run(command, check=True, capture_output=True))


def stock(folder: Path, old: str, new: str) -> float:
    """Time Feast's own way: check out and apply the old commit, check out and plan the new one."""
    feast = str(Path(sys.executable).with_name("feast"))
    repo = folder / "feature_repo"
    configuration = STOCK_CONFIGURATION.replace("REGISTRY", str(folder / "registry.db"))

    def run(commit: str, command: str) -> None:
        git(folder, "checkout", "--quiet", "--force", commit)
        (repo / "feature_store.yaml").write_text(configuration.replace("ONLINE", str(folder / "online.db")))
        (repo / "sources.py").write_text(
            (repo / "sources.py").read_text().replace("s3://data/song_properties/", str(folder))
        )
        subprocess.run([feast, command, *skip(command)], cwd=repo, check=True, capture_output=True)

    def skip(command: str) -> list[str]:
        return ["--skip-source-validation"] if command in ("apply", "plan") else []

    return seconds(lambda: run(old, "apply"), lambda: run(new, "plan"))


def main() -> None:
    """Measure both changes, taking turns, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[1])
    parser.add_argument("--repeats", type=int, default=3, help="measured runs of each (default 3)")
    repeats = parser.parse_args().repeats
    rows = []
    with tempfile.TemporaryDirectory(prefix="feature-ops-benchmark-") as folder:
        for name, change in CHANGES.items():
            times: dict[str, list[float]] = {"this package": [], "stock Feast": []}
            for number in range(repeats):
                work = Path(folder) / f"{name} {number}".replace(" ", "-")
                old, new = repository(work, change)
                times["this package"].append(ours(work, old, new))
                times["stock Feast"].append(stock(work, old, new))
            medians = {peer: statistics.median(measured) for peer, measured in times.items()}
            rows.append({"commit": name, **medians})
    frame = pd.DataFrame(rows).set_index("commit")
    frame["ratio"] = frame["stock Feast"] / frame["this package"]
    print("Seconds from two commits to a verdict:\n")
    print(frame.round(2).to_string())


if __name__ == "__main__":
    main()
