"""The six steps of the songs' ETL as a worker runs them, with what a scheduler would keep in files."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from airflow.sdk.exceptions import AirflowFailException, AirflowSkipException
from airflow.sdk.execution_time.context import OutletEventAccessors
from song_properties import SONG_PROPERTIES

from feature_ops.assets import dataset_asset
from feature_ops.datasets.operators import IngestOperator, ValidateOperator
from feature_ops.dvc.operators import UploadToS3Operator, VersionWithDvcOperator
from feature_ops.feast.operators import MaterializeIncrementalOperator, VerifyOnlineOperator

STEPS = ("ingest", "validate", "version", "upload", "materialize", "verify")

# The clock of the scheduler, which says when rows were ingested.
RUNS = {
    "run 0": datetime(2024, 7, 1, tzinfo=UTC),
    "run 1": datetime(2024, 7, 2, tzinfo=UTC),
    "run 2": datetime(2024, 7, 3, tzinfo=UTC),
    "bad run": datetime(2024, 7, 2, tzinfo=UTC),
}


@dataclass(frozen=True)
class World:
    """Places of its own on the servers, and the variables by which a worker finds them."""

    name: str
    folder: str
    environment: dict[str, str]

    def source(self, run_id: str) -> str:
        return f"s3://{self.name}/inbox/{run_id.replace(' ', '-')}.parquet"


class Kept(dict[str, Any]):
    """What the scheduler's API server keeps of one run: it outlives the worker."""

    def __init__(self, world: World, run_id: str) -> None:
        self._path = Path(world.folder) / f"{run_id}.json"
        super().__init__(json.loads(self._path.read_text()) if self._path.exists() else {})

    def set(self, key: str, value: Any, retention: object = None) -> None:
        self[key] = value
        new = self._path.with_suffix(".new")
        new.write_text(json.dumps(self))
        new.replace(self._path)

    def of_task(self, task_id: str) -> Any:
        """Return the stand-in for one task's state store."""
        return SimpleNamespace(
            get=lambda key: self.get(f"{task_id} {key}"),
            set=lambda key, value, retention=None: self.set(f"{task_id} {key}", value),
        )


def operator(step: str, world: World, run_id: str, kept: Kept, full_refresh: bool) -> Any:
    """Make the operator with the facts of earlier steps, as templates would fill them in."""
    common: dict[str, Any] = {"task_id": step, "dataset": SONG_PROPERTIES}
    makers = {
        "ingest": lambda: IngestOperator(dataset_url=world.source(run_id), **common),
        "validate": lambda: ValidateOperator(ingested=kept["facts of ingest"], **common),
        "version": lambda: VersionWithDvcOperator(**common),
        "upload": lambda: UploadToS3Operator(**common),
        "materialize": lambda: MaterializeIncrementalOperator(
            versioned=kept["facts of version"],
            full_refresh=full_refresh,
            outlets=[dataset_asset(SONG_PROPERTIES)],
            **common,
        ),
        "verify": lambda: VerifyOnlineOperator(materialized=kept["facts of materialize"], **common),
    }
    return makers[step]()


def run(
    world: World,
    run_id: str,
    *,
    full_refresh: bool = False,
    last: str = STEPS[-1],
    on_step: Any = lambda step: None,
) -> Kept:
    """
    Run the steps that have not succeeded yet: the whole DAG, or what a retry of it runs.

    :param last: the step after which to stop.
    :param on_step: told of each step that starts.
    """
    kept = Kept(world, run_id)
    for step in STEPS[: STEPS.index(last) + 1]:
        if f"facts of {step}" in kept:
            continue
        on_step(step)
        context = {
            "dag_run": SimpleNamespace(run_id=run_id, run_after=RUNS[run_id]),
            "params": {},
            "task_state_store": kept.of_task(step),
            "outlet_events": OutletEventAccessors(),
        }
        try:
            facts = operator(step, world, run_id, kept, full_refresh).execute(context)
        except (AirflowSkipException, AirflowFailException) as ended:
            kept.set("ended", f"{step}: {type(ended).__name__}")
            break
        kept.set(f"facts of {step}", facts)
    return kept
