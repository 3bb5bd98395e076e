"""A small dataset on the real object store, and the two steps as the scheduler would run them."""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from demo.servers import Servers
from feature_ops.datasets.dataset import Column, ColumnType, Dataset
from feature_ops.datasets.operators import IngestOperator, ValidateOperator
from feature_ops.object_store import ObjectStore, split_uri
from feature_ops.settings import Settings

RUN_AFTER = datetime(2026, 7, 1, 12, tzinfo=UTC)


class TaskStateStandIn(dict[str, str]):
    """Stands in for the task's state store, which the scheduler's API server keeps."""

    def set(self, key: str, value: str, retention: object = None) -> None:
        self[key] = value


@dataclass(frozen=True)
class DagRunStandIn:
    """Stands in for the DAG run; the two facts that the steps read from it."""

    run_id: str
    run_after: datetime = RUN_AFTER


@pytest.fixture
def dataset() -> Dataset:
    """Readings of plants, so that no test depends on songs."""
    return Dataset(
        name="plants",
        keys=("plant",),
        feature_service="plants",
        columns=(
            Column(name="plant", type=ColumnType.STRING),
            Column(name="leaves", type=ColumnType.INT64, ge=0),
            Column(name="note", type=ColumnType.STRING, nullable=True),
        ),
    )


class Steps:
    """Runs ingest and validate against the test's buckets."""

    def __init__(self, dataset: Dataset, store: ObjectStore, settings: Settings) -> None:
        self.dataset, self.store, self.storage_uri = dataset, store, settings.storage_uri

    def source(self, columns: dict[str, Any]) -> str:
        """Put a source file on the object store; returns its URL."""
        buffer = io.BytesIO()
        pq.write_table(pa.table(columns), buffer)
        return self.put(buffer.getvalue())

    def put(self, content: bytes, name: str = "inbox/plants of today.parquet") -> str:
        self.store.put_bytes(content, f"{self.storage_uri}/{name}")
        return f"{self.storage_uri}/{name}"

    def ingest(self, url: str | None, run_id: str, **params: Any) -> tuple[dict[str, Any], str]:
        operator = IngestOperator(task_id="ingest", dataset=self.dataset, dataset_url=url)
        return self.execute(operator, run_id, params)

    def validate(self, ingested: dict[str, Any], run_id: str) -> tuple[dict[str, Any], str]:
        operator = ValidateOperator(task_id="validate", dataset=self.dataset, ingested=ingested)
        return self.execute(operator, run_id)

    def both(self, url: str, run_id: str) -> tuple[dict[str, Any], str]:
        return self.validate(self.ingest(url, run_id)[0], run_id)

    def execute(
        self, operator: Any, run_id: str, params: dict[str, Any] | None = None, **context: Any
    ) -> tuple[dict[str, Any], str]:
        state = TaskStateStandIn()
        self.state = state
        run = DagRunStandIn(run_id)
        facts = operator.execute(
            {"task_state_store": state, "dag_run": run, "params": params or {}, **context}
        )
        return facts, state["summary"]

    def read(self, uri: str) -> bytes:
        bucket, key = split_uri(uri)
        return bytes(self.store.client.get_object(Bucket=bucket, Key=key)["Body"].read())

    def rows(self) -> list[dict[str, Any]]:
        """Return every row that was accepted or published."""
        files = [*self.store.list(self.dataset.accepted_uri), *self.store.list(self.dataset.uri)]
        return [row for file in files for row in pq.read_table(io.BytesIO(self.read(file.uri))).to_pylist()]

    def publish(self) -> None:
        """Move accepted files into the history, as the upload step does."""
        for file in list(self.store.list(self.dataset.accepted_uri)):
            self.store.copy(file.uri, f"{self.dataset.uri}{file.name}")
            self.store.delete(file.uri)


@pytest.fixture
def steps(dataset: Dataset, servers: Servers, storage: Settings, airflow_connections: None) -> Steps:
    """The steps on fresh buckets."""
    return Steps(dataset, servers.object_store, storage)


@pytest.fixture
def plants() -> Callable[..., dict[str, Any]]:
    """Return columns of a good file without an event time."""

    def make(*names: str, leaves: int = 3) -> dict[str, Any]:
        return {
            "Plant": list(names),
            "leaves": [leaves] * len(names),
            "note": pa.nulls(len(names), pa.string()),
        }

    return make
