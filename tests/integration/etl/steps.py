"""
The six steps of an ETL on a small dataset, as the scheduler would run them.

:func:`main` runs steps in a process of its own: it prints what each leaves behind (facts, task state,
rendered fields, asset event) as JSON, and logs all it can. After the step ``die``, the process is killed as
soon as DVC has pushed a file.
"""

from __future__ import annotations

import io
import json
import logging
import os
import secrets
import signal
import sys
import traceback
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from feature_ops.datasets.dataset import Column, ColumnType, Dataset
from feature_ops.object_store import ObjectStore
from feature_ops.settings import get_settings

TRACKS = Dataset(
    name="tracks",
    keys=("id",),
    feature_service="tracks_fs",
    columns=(
        Column(name="id", type=ColumnType.STRING),
        Column(name="title", type=ColumnType.STRING, nullable=True),
        Column(name="plays", type=ColumnType.INT64, ge=0),
    ),
)

STEPS = ("ingest", "validate", "version", "upload", "materialize", "verify")

CONFIGURATION = """\
project: radio
provider: local
registry:
  registry_type: sql
  path: ${FEAST_REGISTRY_URL}
  cache_ttl_seconds: 60
offline_store:
  type: file
online_store:
  type: redis
  connection_string: ${FEAST_ONLINE_STORE}
entity_key_serialization_version: 3
"""


class TaskStateStandIn(dict[str, Any]):
    """Stands in for the task's state store, which the scheduler's API server keeps."""

    def set(self, key: str, value: Any, retention: object = None) -> None:
        self[key] = value


def apply_definitions(feature_repo: Path) -> None:
    """Do as ``feast apply`` does with a repository of one view."""
    from feast import Entity, FeatureService, FeatureStore, FeatureView, Field, FileSource, ValueType
    from feast.data_format import ParquetFormat
    from feast.types import Int64, String

    entity = Entity(name="track", join_keys=["id"], value_type=ValueType.STRING)
    source = FileSource(
        name="tracks_source",
        path=TRACKS.uri,
        file_format=ParquetFormat(),
        timestamp_field="event_timestamp",
        created_timestamp_column="ingested_at",
    )
    schema = [Field(name="id", dtype=String), Field(name="plays", dtype=Int64)]
    view = FeatureView(name="tracks", entities=[entity], schema=schema, source=source)
    service = FeatureService(name="tracks_fs", features=[view])
    FeatureStore(repo_path=str(feature_repo)).apply([entity, view, service])


def put_source(store: ObjectStore, columns: dict[str, Any]) -> str:
    """Put a file on the object store; returns its URL."""
    buffer = io.BytesIO()
    pq.write_table(pa.table(columns), buffer)
    uri = f"{get_settings().storage_uri}/inbox/{secrets.token_hex(4)}.parquet"
    store.put_bytes(buffer.getvalue(), uri)
    return uri


def columns(*ids: str, plays: int = 1) -> dict[str, Any]:
    """Return the columns of a good file."""
    count = len(ids)
    return {
        "id": list(ids),
        "title": ["a title"] * count,
        "plays": [plays] * count,
        "event_timestamp": [datetime(2026, 5, 1, tzinfo=UTC)] * count,
    }


@dataclass
class Etl:
    """Runs steps one after the other; each takes the facts of those before it."""

    url: str
    run_id: str = "run"
    facts: dict[str, Any] = field(default_factory=dict)
    state: dict[str, dict[str, Any]] = field(default_factory=dict)
    rendered: dict[str, dict[str, Any]] = field(default_factory=dict)
    events: dict[str, Any] = field(default_factory=dict)

    def run(self, *steps: str) -> None:
        """Run the steps; what a failing one raises is raised."""
        from airflow.sdk.execution_time.context import OutletEventAccessors

        for step in steps:
            operator = self._operators()[step]()
            self.rendered[step] = {name: getattr(operator, name) for name in operator.template_fields}
            self.state[step] = TaskStateStandIn()
            events = OutletEventAccessors()
            context = {
                "task_state_store": self.state[step],
                "dag_run": SimpleNamespace(run_id=self.run_id, run_after=datetime(2026, 7, 1, tzinfo=UTC)),
                "params": {},
                "outlet_events": events,
            }
            self.facts[step] = operator.execute(context)
            self.events[step] = [events[asset].extra for asset in operator.outlets]

    def left_behind(self) -> str:
        """Return all that the scheduler would keep, as JSON."""
        kept = {"facts": self.facts, "state": self.state, "rendered": self.rendered, "events": self.events}
        return json.dumps(kept)

    def _operators(self) -> dict[str, Callable[[], Any]]:
        from feature_ops.assets import dataset_asset
        from feature_ops.datasets.operators import IngestOperator, ValidateOperator
        from feature_ops.dvc.operators import UploadToS3Operator, VersionWithDvcOperator
        from feature_ops.feast.operators import MaterializeIncrementalOperator, VerifyOnlineOperator

        def made(operator: Any, **arguments: Any) -> Callable[[], Any]:
            return lambda: operator(task_id=operator.__name__, dataset=TRACKS, **arguments)

        facts = self.facts
        outlets = [dataset_asset(TRACKS)]
        return {
            "ingest": made(IngestOperator, dataset_url=self.url),
            "validate": made(ValidateOperator, ingested=facts.get("ingest")),
            "version": made(VersionWithDvcOperator),
            "upload": made(UploadToS3Operator),
            "materialize": made(
                MaterializeIncrementalOperator, versioned=facts.get("version"), outlets=outlets
            ),
            "verify": made(VerifyOnlineOperator, materialized=facts.get("materialize")),
        }


def main(url: str, *steps: str) -> None:
    """Run the steps, each even if another fails, with everything that anybody logs on standard error."""
    sys.addaudithook(_note_child)
    etl = Etl(url)
    for step in steps:
        _log_everything()
        if step == "die":
            _die_when_dvc_has_pushed()
            continue
        try:
            etl.run(step)
            print(f"{step} succeeded", file=sys.stderr)
        except Exception:
            traceback.print_exc()
    print(etl.left_behind())


def _log_everything() -> None:
    import airflow.settings

    # Airflow brings a configuration of its own, once.
    airflow.settings.initialize()
    logging.basicConfig(level=logging.DEBUG, stream=sys.stderr, force=True)
    for logger in list(logging.root.manager.loggerDict.values()):
        if isinstance(logger, logging.Logger):
            logger.disabled, logger.propagate = False, True
            logger.setLevel(logging.NOTSET)


def _die_when_dvc_has_pushed() -> None:
    from feature_ops.dvc.workspace import DvcWorkspace

    honest = DvcWorkspace.push

    def deadly(workspace: DvcWorkspace, file: Path) -> bytes:
        honest(workspace, file)
        os.kill(os.getpid(), signal.SIGKILL)
        raise AssertionError

    DvcWorkspace.push = deadly  # type: ignore[method-assign]


def _note_child(event: str, arguments: tuple[Any, ...]) -> None:
    if event == "subprocess.Popen":
        # Every child, however short its life.
        print("child:", arguments[1], file=sys.stderr)
