"""One run ingests several files: ingest and validate are mapped over their URLs."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from airflow.sdk import DAG
from airflow.sdk.exceptions import AirflowFailException

from feature_ops.datasets.operators import IngestOperator, ValidateOperator

if TYPE_CHECKING:
    from conftest import Steps

Plants = Callable[..., dict[str, Any]]
RUN = "manual__2026-07-01T12:00:00+00:00"
FOLDER = "manual__2026-07-01T12_00_00_00_00"


class MappedRun:
    """Runs each instance of the two mapped tasks, as the scheduler expands them."""

    def __init__(self, steps: Steps, urls: list[str]) -> None:
        self.steps, self.urls = steps, urls
        with DAG("plants", start_date=datetime(2024, 1, 1), schedule=None):
            self.ingest = IngestOperator.partial(task_id="ingest", dataset=steps.dataset).expand(
                dataset_url=urls
            )
            self.validate = ValidateOperator.partial(task_id="validate", dataset=steps.dataset).expand(
                ingested=self.ingest.output
            )

    def ingest_one(self, index: int) -> dict[str, Any]:
        return self._execute(self.ingest.unmap({"dataset_url": self.urls[index]}), index)

    def validate_one(self, index: int, ingested: dict[str, Any]) -> dict[str, Any]:
        return self._execute(self.validate.unmap({"ingested": ingested}), index)

    def _execute(self, operator: Any, index: int) -> dict[str, Any]:
        facts, self.summary = self.steps.execute(
            operator, RUN, ti=SimpleNamespace(map_index=index, xcom_push=lambda **_: None)
        )
        return facts


def test_each_mapped_file_is_staged_and_accepted_by_itself(steps: Steps, plants: Plants) -> None:
    import io

    import pyarrow as pa
    import pyarrow.parquet as pq

    urls = []
    for number, names in enumerate([("fern", "moss"), ("reed",), ("fern", "lime")]):
        buffer = io.BytesIO()
        pq.write_table(pa.table(plants(*names)), buffer)
        urls.append(steps.put(buffer.getvalue(), f"inbox/{number}.parquet"))
    run = MappedRun(steps, urls)

    # Every file is fetched before the first is checked, as Airflow does.
    ingested = [run.ingest_one(index) for index in range(3)]
    facts = [run.validate_one(index, ingested[index]) for index in (2, 0, 1)]

    assert [one["staged_uri"] for one in ingested] == [
        f"{steps.dataset.staging_uri}{FOLDER}/{index}/source.parquet" for index in range(3)
    ]
    assert [(one["new"], one["known"]) for one in facts] == [(2, 0), (1, 1), (1, 0)]
    assert len({one["report_uri"] for one in facts}) == 3
    assert sorted(row["plant"] for row in steps.rows()) == ["fern", "lime", "moss", "reed"]
    # A retry of one repeats its own result.
    assert run.validate_one(2, ingested[2]) == facts[0]
    assert len(steps.rows()) == 4


def test_a_mapped_file_that_is_refused_holds_up_no_other(steps: Steps, plants: Plants) -> None:
    good = steps.source(plants("fern"))
    bad = steps.put(b"<html>", "inbox/bad.parquet")
    run = MappedRun(steps, [bad, good])
    ingested = [run.ingest_one(index) for index in range(2)]
    with pytest.raises(AirflowFailException, match=f"_quarantine/plants/{FOLDER}/0/report.json"):
        run.validate_one(0, ingested[0])
    assert run.validate_one(1, ingested[1])["new"] == 1
    assert steps.read(f"{steps.dataset.quarantine_uri}{FOLDER}/0/source.parquet") == b"<html>"
