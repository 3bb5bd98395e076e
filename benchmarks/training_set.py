"""
How fast a training set is made: the Arrow offline store on S3 beside stock Feast's stores on a local file.

Labels are songs and days, each pair once; the features are 13 of each song in several versions. Stock
Feast's ``file`` and ``duckdb`` stores read one file on the local disk; the Arrow store reads the same rows
from several objects on an S3 server of its own, and from the local file, too. Each measurement is a process
of its own, so that its peak of memory is its own; the time is that of ``get_historical_features().to_df()``,
once ``import feast`` is over. Prints a table with ratios; asserts nothing, but that all give the same sums.
"""

from __future__ import annotations

import argparse
import json
import resource
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks.measured_apart import measured_apart
from benchmarks.songs import FLOATS, INTEGERS, songs_of

FIRST_DAY = datetime(2024, 1, 1, tzinfo=UTC)
DAYS = 730
FEATURES = [*FLOATS, *INTEGERS, "explicit"]
BUCKET = "training-set"
# Name of each contender: its offline store, and whether it reads from S3.
CONTENDERS = {
    "file": ("file", False),
    "duckdb": ("duckdb", False),
    "ours": ("feature_ops.feast.offline.ArrowOfflineStore", False),
    "ours on S3": ("feature_ops.feast.offline.ArrowOfflineStore", True),
}


def history(songs: int, versions: int) -> pa.Table:
    """Return versions of every song, spread over the first half of the days, each ingested a day later."""
    random = np.random.default_rng(1)
    count = songs * versions
    version = np.repeat(np.arange(versions), songs)
    happened = FIRST_DAY.timestamp() + version * (DAYS // 2 // versions) * 86_400
    times = pa.timestamp("us", "UTC")
    columns: dict[str, Any] = {"song": [f"{number:022d}" for number in range(songs)] * versions}
    columns |= {name: random.random(count, dtype=np.float32) for name in FLOATS}
    columns |= {name: random.integers(0, 1_000_000, count) for name in INTEGERS}
    columns["explicit"] = random.random(count) > 0.5
    columns["happened"] = pa.array((happened * 10**6).astype(np.int64)).cast(times)
    columns["ingested"] = pa.array(((happened + 86_400) * 10**6).astype(np.int64)).cast(times)
    return pa.table(columns)


def labels(songs: int, rows: int) -> pd.DataFrame:
    """Return pairs of song and day, each once, in no order."""
    chosen = np.random.default_rng(2).choice(songs * DAYS, rows, replace=False)
    names = np.array([f"{number:022d}" for number in range(songs)], dtype=object)
    days = pd.Timestamp(FIRST_DAY) + pd.to_timedelta(chosen // songs, unit="D")
    return pd.DataFrame({"song": names[chosen % songs], "event_timestamp": days})


def feature_store(path: str, offline_store: str, folder: Path) -> Any:
    """Apply the view to a registry of its own; returns the feature store."""
    from feast import FeatureStore, FileSource, RepoConfig

    store = FeatureStore(
        config=RepoConfig(
            project="bench",
            provider="local",
            registry=str(folder / "registry.db"),
            online_store={"type": "sqlite", "path": str(folder / "online.db")},
            offline_store={"type": offline_store},
            entity_key_serialization_version=3,
        )
    )
    songs = songs_of(FileSource(path=path, timestamp_field="happened", created_timestamp_column="ingested"))
    store.apply(songs)
    return store


def measure(contender: str, path: str, songs: int, rows: int) -> dict[str, float]:
    """Make the training set once; returns seconds, the process's peak of memory in MB, and a sum."""
    asked = labels(songs, rows)
    with tempfile.TemporaryDirectory() as folder:
        store = feature_store(path, CONTENDERS[contender][0], Path(folder))
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        began = time.perf_counter()
        found = store.get_historical_features(asked, [f"songs:{name}" for name in FEATURES]).to_df()
        seconds = time.perf_counter() - began
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    total = sum(float(found[name].sum()) for name in INTEGERS) + len(found)
    return {"seconds": seconds, "peak MB": peak, "peak MB before": before, "sum": total}


def table(asked: argparse.Namespace) -> pd.DataFrame:
    """Measure the contenders, each as often as asked for; the fastest of each counts."""
    from demo.servers import Servers

    with tempfile.TemporaryDirectory(prefix="feature-ops-benchmark-") as name:
        folder = Path(name)
        rows = history(asked.songs, asked.versions)
        local = folder / "history.parquet"
        pq.write_table(rows, local)
        servers = Servers(folder / "servers")
        servers.start()
        try:
            servers.create_bucket(BUCKET)
            for number in range(asked.versions):
                part = rows.slice(number * asked.songs, asked.songs)
                pq.write_table(
                    part, f"{BUCKET}/songs/{number}.parquet", filesystem=servers.object_store.filesystem
                )
            environment = servers.object_store.environment()
            seen: dict[str, dict[str, float]] = {}
            for contender in asked.contenders * asked.times:
                path = f"s3://{BUCKET}/songs/" if CONTENDERS[contender][1] else str(local)
                arguments = ["--path", path, "--songs", str(asked.songs), "--rows", str(asked.rows)]
                took = measured_apart("training_set", "--one", contender, *arguments, environment=environment)
                if contender not in seen or took["seconds"] < seen[contender]["seconds"]:
                    seen[contender] = took
        finally:
            servers.stop()
    frame = pd.DataFrame.from_dict(seen, orient="index")
    if frame.pop("sum").nunique() > 1:
        raise SystemExit("the training sets differ")
    for peer in ("file", "duckdb"):
        if peer in seen:
            frame[f"seconds / {peer}"] = frame["seconds"] / frame.loc[peer, "seconds"]
    return frame


def main() -> None:
    """Measure what is asked for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[1])
    parser.add_argument("--rows", type=int, default=1_100_000, help="rows of labels (default 1100000)")
    parser.add_argument("--songs", type=int, default=14_000, help="songs of the history (default 14000)")
    parser.add_argument("--versions", type=int, default=3, help="versions of each song (default 3)")
    parser.add_argument("--times", type=int, default=3, help="measurements of each (default 3)")
    parser.add_argument(
        "--contenders", nargs="+", choices=CONTENDERS, default=list(CONTENDERS), help="who (default all)"
    )
    parser.add_argument("--one", choices=CONTENDERS, help=argparse.SUPPRESS)
    parser.add_argument("--path", help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.one:
        print(json.dumps(measure(asked.one, asked.path, asked.songs, asked.rows)))
        return
    print(f"{asked.rows:,} labels, {asked.versions} versions of {asked.songs:,} songs, 13 features:\n")
    print(table(asked).round(2).to_string())


if __name__ == "__main__":
    main()
