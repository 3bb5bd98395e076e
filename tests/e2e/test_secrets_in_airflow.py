"""What Airflow's own database keeps of runs: no secret of a connection, and of a form what was typed."""

from __future__ import annotations

import json
import re
import secrets
import zlib
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import psycopg
import pytest
from psycopg import sql

from demo.errors import DemoError
from demo.scene import DAG_ID, Scene

# Airflow's audit log has what anybody sends to it, also what it refuses.
AUDIT = {"log"}
# A run's form, as Airflow stores it.
OF_THE_FORM = {"dag_run", "rendered_task_instance_fields"}


def stored(scene: Scene) -> Iterator[tuple[str, bytes]]:
    """Yield every value of every table of Airflow's database, with the table's name."""
    url = scene.stack.servers.create_database("airflow").replace("+psycopg", "")
    tables = "SELECT schemaname, tablename FROM pg_tables WHERE schemaname !~ '^(pg_|information_schema)'"
    with psycopg.connect(url) as connection:
        for schema, table in connection.execute(tables).fetchall():
            rows = connection.execute(sql.SQL("SELECT * FROM {}").format(sql.Identifier(schema, table)))
            yield from ((table, content) for row in rows for value in row for content in _contents(value))


def _contents(value: Any) -> Iterator[bytes]:
    if not isinstance(value, bytes | memoryview):
        yield str(value).encode()
        return
    yield bytes(value)
    with suppress(zlib.error):
        yield zlib.decompress(value)


def tables_with(scene: Scene, *wanted: str) -> set[str]:
    pattern = re.compile(b"|".join(re.escape(secret.encode()) for secret in wanted))
    return {table for table, content in stored(scene) if pattern.search(content)}


def test_no_secret_of_a_connection_is_in_airflows_database(scene: Scene) -> None:
    song = scene.new.assign(spotify_id="SecretsAreSearched0000")
    run = scene.run_etl(scene.put_in_inbox("searched.parquet", song))
    assert run.states["verify_online"] == "success"
    passwords = json.loads((scene.stack.home / "credentials.json").read_text())
    assert len(set(passwords.values())) >= 6
    assert tables_with(scene, run.run_id) >= {"dag_run", "xcom", "task_instance"}, "the search finds"
    assert tables_with(scene, *passwords.values()) == set()


def test_a_url_with_a_password_is_refused_before_a_run_keeps_it(scene: Scene) -> None:
    password = f"typed-{secrets.token_hex(8)}"
    for conf in (
        {"dataset_url": f"https://me:{password}@example.org/songs.parquet"},
        {"dataset_url": f"s3://{password}@data/songs.parquet"},
        {"repo_url": f"http://{password}@127.0.0.1/jukebox.git"},
    ):
        with pytest.raises(DemoError, match=r"answered 4\d\d"):
            scene.api.trigger(DAG_ID, conf)
    assert tables_with(scene, password) - AUDIT == set()


def test_a_signature_stays_in_the_form_that_it_was_typed_into(scene: Scene) -> None:
    signature = secrets.token_hex(16)
    port = scene.stack.airflow_url.rsplit(":", 1)[1]
    url = f"https://127.0.0.1:{port}/songs.parquet?X-Amz-Signature={signature}"
    run_id = scene.api.trigger(DAG_ID, {"dataset_url": url})
    assert scene.api.wait(DAG_ID, run_id, timeout=120) == "failed"
    summary = scene.api.summaries(DAG_ID, run_id)["ingest"]
    assert summary.startswith(f"https://127.0.0.1:{port}/songs.parquet may not be read: 127.0.0.1 is at")
    assert tables_with(scene, signature) - OF_THE_FORM - AUDIT == set()
