"""
What one more file costs: 1,000 new rows beside a history of many, in a thousand files on S3.

*Ours* is what the DAG's task does once Feast is imported: list the history, ask the ledger, load the file
that it lacks, note it. *Stock* is ``materialize_incremental``, which knows up to when it has loaded and reads
what the source has since then. Both write into Valkey, and by their own notes the history is online already.
Each measurement is a process of its own. Prints a table with ratios; asserts nothing.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import tempfile
import time
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks.measured_apart import measured_apart
from benchmarks.songs import FLOATS, INTEGERS, VIEW, songs_of
from feature_ops.datasets.column import Column, ColumnType
from feature_ops.datasets.dataset import Dataset
from feature_ops.object_store import ObjectStore

FILES, NEW_ROWS = 1_000, 1_000
BEGAN = datetime(2026, 1, 1, tzinfo=UTC)
PER_FILE = timedelta(minutes=1)
CONTENDERS = ("stock", "ours")
KINDS = {
    **dict.fromkeys(FLOATS, ColumnType.FLOAT),
    **dict.fromkeys(INTEGERS, ColumnType.INT64),
    "explicit": ColumnType.BOOL,
}
SONGS = Dataset(
    name=VIEW,
    keys=("song",),
    columns=(
        Column(name="song", type=ColumnType.STRING),
        *(Column(name=name, type=kind, nullable=True) for name, kind in KINDS.items()),
    ),
)


def rows_of(file: int, count: int) -> pa.Table:
    """Return the rows of one file: every entity once, in a minute of its own."""
    random = np.random.default_rng(file)
    happened = BEGAN + file * PER_FILE
    columns: dict[str, Any] = {"song": [f"{file * count + number:022d}" for number in range(count)]}
    columns |= {name: random.random(count, dtype=np.float32) for name in FLOATS}
    columns |= {name: random.integers(0, 1_000_000, count) for name in INTEGERS}
    columns["explicit"] = random.random(count) > 0.5
    columns |= dict.fromkeys((SONGS.timestamp_field, SONGS.created_timestamp_column), [happened] * count)
    return pa.table(columns).select(SONGS.arrow_schema().names).cast(SONGS.arrow_schema())


def publish(store: ObjectStore, folder: Path, numbers: Sequence[int], count: int) -> None:
    """Put files into the history."""
    for number in numbers:
        path = folder / f"{number:05d}.parquet"
        pq.write_table(rows_of(number, count), path)
        store.put_file_once(str(path), f"{SONGS.uri}{path.name}")
        path.unlink()


def feature_store(folder: Path, contender: str, online_store: str) -> Any:
    """Apply the view to a registry of its own; returns the feature store."""
    from feast import FeatureStore, FileSource, RepoConfig

    config = RepoConfig(
        project="bench",
        provider="local",
        registry={"registry_type": "sql", "path": f"sqlite:///{folder}/{contender}.db"},
        online_store={"type": "redis", "connection_string": online_store},
        batch_engine={"type": "local" if contender == "stock" else "feature_ops.feast.engine.ArrowEngine"},
        entity_key_serialization_version=3,
    )
    songs = songs_of(
        FileSource(
            path=SONGS.uri,
            timestamp_field=SONGS.timestamp_field,
            created_timestamp_column=SONGS.created_timestamp_column,
        )
    )
    store = FeatureStore(config=config)
    store.apply(songs)
    loaded_until = BEGAN + (FILES - 1) * PER_FILE
    store.registry.apply_materialization(store.get_feature_view(VIEW), "bench", BEGAN, loaded_until)
    store.refresh_registry()
    return store


def measure(contender: str, folder: Path, online_store: str) -> dict[str, float]:
    """Load what is new once; returns the seconds, the rows and the process's peak of memory in MB."""
    store = feature_store(folder, contender, online_store)
    if contender == "stock":
        began = time.perf_counter()
        store.materialize_incremental(datetime.now(UTC), [VIEW])
        rows = NEW_ROWS
    else:
        materializer = noted(store, folder)
        began = time.perf_counter()
        materializer = materializer()
        done = materializer.load()
        materializer.record(done)
        rows = done.rows
    seconds = time.perf_counter() - began
    return {
        "seconds": seconds,
        "rows": rows,
        "peak": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }


def noted(store: Any, folder: Path) -> Any:
    """Note in a ledger that all but the newest file is online; returns what makes the materializer."""
    from feature_ops.feast.backfill_progress import BackfillProgress
    from feature_ops.feast.history import History
    from feature_ops.feast.ledger import Ledger
    from feature_ops.feast.materialize import Materializer
    from feature_ops.feast.view_definition import ViewDefinition

    url = f"sqlite:///{folder}/ours.db"
    ledger, objects = Ledger(url), ObjectStore.from_environment(os.environ)
    history = History.from_store(SONGS, objects)
    *online, _ = sorted(history.paths)
    definition = ViewDefinition.of(store.get_feature_view(VIEW)).to_json()
    ledger.record("bench", VIEW, history.spans(online), "earlier run", definition)

    def make() -> Materializer:
        history = History.from_store(SONGS, objects)
        return Materializer(store, ledger, BackfillProgress(url), history, SONGS.uri, "run")

    return make


def table(histories: Sequence[int], contenders: Sequence[str]) -> pd.DataFrame:
    """Measure the contenders on histories of so many rows."""
    from demo.servers import Servers

    rows = {}
    for history in histories:
        with tempfile.TemporaryDirectory(prefix="feature-ops-benchmark-") as name:
            folder = Path(name)
            servers = Servers(folder / "servers")
            servers.start()
            try:
                bucket = SONGS.uri.removeprefix("s3://").partition("/")[0]
                servers.create_bucket(bucket)
                publish(servers.object_store, folder, range(FILES), history // FILES)
                publish(servers.object_store, folder, [FILES], NEW_ROWS)
                seen = {}
                for contender in contenders:
                    servers.valkey.flush()
                    variables = servers.object_store.environment()
                    took = measured_apart(
                        "incremental",
                        *("--one", contender, "--folder", str(folder)),
                        environment={**variables, "FEAST_ONLINE_STORE": servers.online_store},
                    )
                    if took["rows"] != NEW_ROWS:
                        raise SystemExit(f"{contender} loaded {took['rows']} rows, not {NEW_ROWS}")
                    seen[f"{contender}, s"] = took["seconds"]
                    seen[f"{contender}, peak MB"] = took["peak"]
                rows[f"{history:,} rows"] = seen
            finally:
                servers.stop()
    frame = pd.DataFrame.from_dict(rows, orient="index")
    if set(CONTENDERS) <= set(contenders):
        frame["stock / ours"] = frame["stock, s"] / frame["ours, s"]
    return frame


def main() -> None:
    """Measure what is asked for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[1])
    parser.add_argument(
        "--histories", nargs="+", type=int, default=[1_000_000], help="rows (default 1000000)"
    )
    parser.add_argument(
        "--contenders", nargs="+", choices=CONTENDERS, default=list(CONTENDERS), help="who (default all)"
    )
    parser.add_argument("--one", choices=CONTENDERS, help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.one:
        print(json.dumps(measure(asked.one, asked.folder, os.environ["FEAST_ONLINE_STORE"])))
        return
    print(f"{NEW_ROWS:,} new rows beside a history in {FILES:,} files on S3, into Valkey:\n")
    print(table(asked.histories, asked.contenders).round(2).T.to_string())


if __name__ == "__main__":
    main()
