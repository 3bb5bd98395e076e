"""A training set from S3, by a process that has nothing but the installed packages."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from demo.servers import Servers
from tests.integration.feast.offline.concerts import OURS, SCHEMA, definitions, feature_store, row

PROGRAM = """
import json, sys
import duckdb
from pathlib import Path
from tests.integration.feast.offline.concerts import OURS, feature_store, labels

frame = labels(("a", 1), ("a", 3), ("b", 2), ("z", 9))
store = feature_store(Path(sys.argv[1]), OURS)
found = store.get_historical_features(frame, ["songs:plays", "songs:title"]).to_arrow()
extensions = duckdb.sql("SELECT extension_name FROM duckdb_extensions() WHERE installed").fetchall()
print(json.dumps([found["plays"].to_pylist(), found["title"].to_pylist(), [name for name, in extensions]]))
"""


def test_a_training_set_comes_from_s3_without_any_extension(
    servers: Servers, storage: Any, tmp_path: Path
) -> None:
    bucket = storage.storage_uri.removeprefix("s3://")
    for number, rows in enumerate(
        [
            [row("a", 0, plays=2**60 + 1, title="x"), row("b", 0, plays=3)],
            [row("a", 2, plays=2, title="y"), row("b", 9, plays=9)],
        ]
    ):
        table = pa.Table.from_pylist(rows, SCHEMA)
        pq.write_table(table, f"{bucket}/radio/{number}.parquet", filesystem=servers.object_store.filesystem)
    feature_store(tmp_path, OURS).apply(definitions(f"s3://{bucket}/radio/"))
    home = tmp_path / "home"
    home.mkdir()
    # Whoever wants the internet from it finds nobody there.
    nobody = "http://127.0.0.1:9"
    environment = {
        **os.environ,
        **servers.object_store.environment(),
        "HOME": str(home),
        **dict.fromkeys(("https_proxy", "HTTPS_PROXY"), nobody),
        "PYTHONPATH": os.pathsep.join(sys.path),
    }

    ended = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(tmp_path)], env=environment, capture_output=True, text=True
    )

    assert ended.returncode == 0, ended.stderr
    plays, titles, extensions = json.loads(ended.stdout.splitlines()[-1])
    assert plays == [2**60 + 1, 2, 3, None]
    assert titles == ["x", "y", None, None]
    assert "httpfs" not in extensions
    assert not (home / ".duckdb").exists()
