"""
How fast rows come online: the Arrow engine beside stock Feast, and beside what each store takes at all.

One view of 13 features, as many entities as asked for, from a parquet file into an empty store. *Bare* is
the same bytes, made beforehand, sent over one connection with nothing compared: what the store itself takes.
*Ray* is Feast's engine for clusters, on a cluster of this machine that runs already. Each measurement is a
process of its own, so that its peak of memory is its own. Prints a table with ratios; asserts nothing. Valkey
and PostgreSQL are started for it and ended with it.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import resource
import tempfile
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import repeat
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks.measured_apart import measured_apart
from benchmarks.songs import FLOATS, INTEGERS, VIEW, songs_of

ROWS_PER_GROUP = 50_000
EVENT = datetime(2026, 1, 1, tzinfo=UTC)
CONTENDERS = ("stock", "ours", "bare", "ray")
ENGINES: dict[str, dict[str, Any]] = {
    "stock": {"type": "local"},
    "ours": {"type": "feature_ops.feast.engine.ArrowEngine"},
    "bare": {"type": "local"},
    "ray": {
        "type": "ray.engine",
        # It sends to one server; two workers are no faster, as they have to import Feast.
        "write_concurrency": 1,
        "ray_conf": {"num_cpus": 2, "include_dashboard": False},
    },
}


def song_id(number: int) -> str:
    """Return an id as songs have them: of 22 characters, and in no order."""
    return hashlib.blake2b(number.to_bytes(8), digest_size=11).hexdigest()


def write_history(path: Path, entities: int, *, in_key_order: bool = False) -> None:
    """
    Write one row for each entity, some at a time.

    :param in_key_order: with ids that ascend, as no song's do.
    """
    name = "{:022d}".format if in_key_order else song_id
    random = np.random.default_rng(1)
    writer = None
    for start in range(0, entities, ROWS_PER_GROUP):
        count = min(ROWS_PER_GROUP, entities - start)
        columns: dict[str, Any] = {"song": [name(start + number) for number in range(count)]}
        columns |= {name: random.random(count, dtype=np.float32) for name in FLOATS}
        columns |= {name: random.integers(0, 1_000_000, count) for name in INTEGERS}
        columns["explicit"] = random.random(count) > 0.5
        columns["happened"] = pa.array([EVENT] * count, pa.timestamp("us", "UTC"))
        table = pa.table(columns)
        writer = writer or pq.ParquetWriter(path, table.schema)
        writer.write_table(table)
    if writer:
        writer.close()


def feature_store(history: Path, folder: Path, online_store: dict[str, Any], contender: str) -> Any:
    """Apply the view to a registry of its own; returns the feature store."""
    from feast import FeatureStore, FileSource, RepoConfig

    config = RepoConfig(
        project="bench",
        provider="local",
        registry=str(folder / f"{contender}.db"),
        online_store=online_store,
        batch_engine=ENGINES[contender],
        # Without a batch size stock Feast needs 10 GB for a million entities.
        materialization={
            "online_write_batch_size": 10_000,
            # Else only duplicates in one block are found.
            "pull_latest_features": contender == "ray",
        },
        entity_key_serialization_version=3,
    )
    songs = songs_of(FileSource(path=str(history), timestamp_field="happened"))
    store = FeatureStore(config=config)
    store.apply(songs)
    return store


def encoded(history: Path, with_texts: bool) -> Iterator[Any]:
    """Yield the rows as the engine encodes them, some at a time."""
    from feature_ops.feast.engine.rows import EVENT_TIME, RowEncoder

    types = {**dict.fromkeys(FLOATS, "FLOAT"), **dict.fromkeys(INTEGERS, "INT64"), "explicit": "BOOL"}
    encoder = RowEncoder({"song": "STRING"}, types, with_texts)
    for batch in pq.ParquetFile(history, pre_buffer=False).iter_batches(ROWS_PER_GROUP):
        names = [EVENT_TIME if name == "happened" else name for name in batch.schema.names]
        yield encoder.encode(batch.rename_columns(names))


def bare(history: Path, store: Any) -> float:
    """Send rows that are made beforehand; returns the seconds of the sending alone."""
    kind = store.config.online_store.type
    online_store, seconds = store._get_provider().online_store, 0.0
    send = {"redis": _bare_valkey, "postgres": _bare_postgres, "sqlite": _bare_sqlite}[kind]
    for rows in encoded(history, with_texts=kind != "redis"):
        seconds += send(online_store, store.config, rows)
    return seconds


def _bare_valkey(online_store: Any, config: Any, rows: Any) -> float:
    from feature_ops.feast.engine import valkey
    from feature_ops.feast.engine.event_times import encode_timestamps
    from feature_ops.feast.engine.wire import offsets_of

    fields = [f"_ts:{VIEW}".encode(), *(valkey.field_of(VIEW, name) for name in rows.values)]
    values = [encode_timestamps(rows.event_times), *rows.values.values()]
    commands = valkey.hset_commands(valkey.keys_of(rows, config.project), fields, values)
    offsets, data = offsets_of(commands), memoryview(commands.buffers()[2])
    pool = online_store._get_client(config.online_store).connection_pool
    connection = pool.get_connection()
    began = time.perf_counter()
    for start in range(0, len(rows), 1_000):
        end = min(start + 1_000, len(rows))
        connection.send_packed_command([data[offsets[start] : offsets[end]]])
        for _ in range(start, end):
            connection.read_response()
    seconds = time.perf_counter() - began
    pool.release(connection)
    return seconds


def _bare_postgres(online_store: Any, config: Any, rows: Any) -> float:
    from feature_ops.feast.engine import postgres

    data = memoryview(postgres.copy_tuples(rows.by_key()).buffers()[2])
    with online_store._get_conn(config) as connection:
        began = time.perf_counter()
        with connection.transaction(), connection.cursor() as cursor:
            cursor.execute(
                "CREATE TEMPORARY TABLE bare (entity_key bytea, feature_name text, value bytea, "
                "value_text text, event_ts timestamp, created_ts timestamp) ON COMMIT DROP"
            )
            with cursor.copy("COPY bare FROM STDIN (FORMAT BINARY)") as copy:
                for part in (postgres.COPY_HEADER, data, postgres.COPY_TRAILER):
                    copy.write(part)
            cursor.execute(
                f"INSERT INTO {config.project}_{VIEW} "  # noqa: S608
                "(entity_key, feature_name, value, value_text, event_ts, created_ts) SELECT * FROM bare "
                "ON CONFLICT (entity_key, feature_name) DO UPDATE SET value = EXCLUDED.value"
            )
        return time.perf_counter() - began


def _bare_sqlite(online_store: Any, config: Any, rows: Any) -> float:
    rows = rows.by_key()
    keys, second = rows.keys.to_pylist(), int(EVENT.timestamp())
    columns = [
        zip(keys, repeat(name), values.to_pylist(), rows.texts[name].to_pylist(), strict=False)
        for name, values in rows.values.items()
    ]
    prepared = [(*cell, second, None) for entity in zip(*columns, strict=True) for cell in entity]
    connection = online_store._get_conn(config)
    began = time.perf_counter()
    with connection:
        connection.executemany(
            f"INSERT INTO {config.project}_{VIEW} "  # noqa: S608
            "(entity_key, feature_name, value, value_text, event_ts, created_ts) VALUES (?, ?, ?, ?, ?, ?) "
            "ON CONFLICT (entity_key, feature_name) DO UPDATE SET value = excluded.value",
            prepared,
        )
    return time.perf_counter() - began


def measure(contender: str, history: Path, folder: Path, online_store: dict[str, Any]) -> dict[str, float]:
    """Bring the history online once; returns the seconds and, if it is done in here, the peak in MB."""
    store = feature_store(history, folder, online_store, contender)
    store._get_provider().batch_engine  # noqa: B018  (starts what the engine needs)
    if contender == "bare":
        seconds = bare(history, store)
    else:
        began = time.perf_counter()
        store.materialize(EVENT - timedelta(days=1), EVENT + timedelta(days=1), [VIEW])
        seconds = time.perf_counter() - began
    if contender == "ray":
        return {"seconds": seconds}
    return {"seconds": seconds, "peak": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024}


def online_stores(
    servers: Any, wanted: list[str], contenders: list[str], folder: Path
) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Yield each store, empty, for each contender in turn."""
    for name in wanted:
        for contender in contenders:
            if name == "valkey":
                servers.valkey.flush()
                settings = {"type": "redis", "connection_string": servers.online_store}
            elif name == "postgres":
                parts = urlsplit(servers.create_database(f"bench_{contender}"))
                settings = {
                    "type": "postgres",
                    "host": parts.hostname,
                    "port": parts.port,
                    "database": parts.path.lstrip("/"),
                    "user": parts.username,
                    "password": parts.password,
                    "sslmode": "disable",
                    "db_schema": "public",
                }
            else:
                settings = {"type": "sqlite", "path": str(folder / f"{contender}.sqlite")}
            yield name, contender, settings


def table(entities: int, wanted: list[str], contenders: list[str], *, in_key_order: bool) -> pd.DataFrame:
    """Measure the contenders on the stores."""
    from demo.servers import Servers

    with tempfile.TemporaryDirectory(prefix="feature-ops-benchmark-") as name:
        folder = Path(name)
        history = folder / "history.parquet"
        write_history(history, entities, in_key_order=in_key_order)
        servers = Servers(folder / "servers")
        servers.start()
        try:
            seen: dict[str, dict[str, float]] = {}
            for store, contender, settings in online_stores(servers, wanted, contenders, folder):
                took = measured_apart(
                    "materialize",
                    *("--one", contender, "--history", str(history)),
                    *("--folder", str(folder), "--store", json.dumps(settings)),
                )
                seen.setdefault(store, {})[f"{contender}, rows/s"] = entities / took["seconds"]
                if "peak" in took:
                    seen[store][f"{contender}, peak MB"] = took["peak"]
        finally:
            servers.stop()
    frame = pd.DataFrame.from_dict(seen, orient="index")
    for peer in ("stock", "bare", "ray"):
        if {"ours", peer} <= set(contenders):
            frame[f"ours / {peer}"] = frame["ours, rows/s"] / frame[f"{peer}, rows/s"]
    return frame


def main() -> None:
    """Measure what is asked for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[1])
    parser.add_argument(
        "--entities", type=int, default=1_000_000, help="rows of the history (default 1000000)"
    )
    parser.add_argument(
        "--stores",
        nargs="+",
        choices=["valkey", "postgres", "sqlite"],
        default=["valkey", "postgres", "sqlite"],
    )
    parser.add_argument(
        "--contenders", nargs="+", choices=CONTENDERS, default=["stock", "ours", "bare"], help="who"
    )
    parser.add_argument("--in-key-order", action="store_true", help="ids that ascend; else they do not")
    parser.add_argument("--one", choices=CONTENDERS, help=argparse.SUPPRESS)
    parser.add_argument("--history", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--store", type=json.loads, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.one:
        print(json.dumps(measure(asked.one, asked.history, asked.folder, asked.store)))
        return
    order = ", in the order of their keys" if asked.in_key_order else ""
    print(f"{asked.entities:,} entities with 13 features{order}, from parquet into an empty store:\n")
    found = table(asked.entities, asked.stores, asked.contenders, in_key_order=asked.in_key_order)
    print(found.round(2).T.to_string())


if __name__ == "__main__":
    main()
