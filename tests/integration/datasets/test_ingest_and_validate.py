"""The first two steps against a real object store and real locks."""

from __future__ import annotations

import io
import json
import sys
import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from airflow.sdk.exceptions import AirflowFailException

from feature_ops.advisory_lock import advisory_lock
from feature_ops.datasets import parser_process
from feature_ops.datasets import stage as stage_module
from feature_ops.datasets.stage import PART_SIZE, stage, sweep
from feature_ops.exceptions import BadInputError, FeatureOpsError
from feature_ops.object_store import split_uri
from feature_ops.settings import get_settings

if TYPE_CHECKING:
    from conftest import Steps

Plants = Callable[..., dict[str, Any]]
RUN_AFTER = datetime(2026, 7, 1, 12, tzinfo=UTC)
RUN = "manual__2026-07-01T12:00:00+00:00"


def test_a_new_file_is_staged_checked_and_accepted(steps: Steps, plants: Plants) -> None:
    url = steps.source(plants("fern", "moss") | {"smell": ["sweet", None]})
    ingested, summary = steps.ingest(url, RUN)
    assert (
        ingested["staged_uri"]
        == f"{steps.dataset.staging_uri}manual__2026-07-01T12_00_00_00_00/source.parquet"
    )
    assert ingested["source"] == url
    assert steps.read(ingested["staged_uri"]) == steps.read(url)
    assert summary == f"{ingested['bytes']:,} bytes from {url}"

    facts, summary = steps.validate(ingested, RUN)
    assert summary == "2 new rows, 0 already known"
    assert (facts["rows"], facts["new"], facts["known"]) == (2, 2, 0)
    assert facts["first_event"] == facts["last_event"] == "2026-07-01T12:00:00+00:00"
    assert pq.read_schema(io.BytesIO(steps.read(facts["accepted_uri"]))) == steps.dataset.arrow_schema()
    metadata = steps.store.metadata(facts["accepted_uri"])
    assert metadata is not None
    assert (metadata["source"], metadata["run-id"], metadata["rows"]) == (url, RUN, "2")
    report = json.loads(steps.read(facts["report_uri"]))
    assert report["accepted"] is True
    assert report["unexpected_columns"] == ["smell"]
    json.dumps([ingested, facts])


def test_the_url_may_come_under_its_old_name_or_from_the_settings(
    steps: Steps, plants: Plants, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = steps.source(plants("fern"))
    assert steps.ingest(None, RUN, url_dataset=url)[0]["source"] == url
    with pytest.raises(AirflowFailException, match="dataset_url of the trigger form"):
        steps.ingest("", RUN)
    monkeypatch.setenv("FEATURE_OPS_ETL_DATASET_URL", url)
    get_settings.cache_clear()
    assert steps.ingest("", RUN)[0]["source"] == url


def test_a6_the_same_file_in_another_run_brings_nothing_whether_or_not_it_was_published(
    steps: Steps, plants: Plants
) -> None:
    url = steps.source(plants("fern", "moss"))
    steps.both(url, "first")
    facts, summary = steps.both(url, "second")
    assert summary == "0 new rows, 2 already known"
    assert facts["accepted_uri"] is None
    steps.publish()
    assert steps.both(url, "third")[1] == "0 new rows, 2 already known"
    url = steps.source(plants("fern", "moss", "reed"))
    assert steps.both(url, "fourth")[1] == "1 new row, 2 already known"


def test_d1_a_known_key_with_newer_values_leaves_the_old_file_as_it_was(steps: Steps, plants: Plants) -> None:
    def reading(leaves: int, day: int) -> dict[str, Any]:
        time = pa.array([datetime(2026, 1, day, tzinfo=UTC)], pa.timestamp("us", "UTC"))
        return plants("fern", leaves=leaves) | {"event_timestamp": time}

    steps.both(steps.source(reading(1, day=1)), "first")
    steps.publish()
    before = {file.uri: steps.read(file.uri) for file in steps.store.list(steps.dataset.uri)}
    steps.both(steps.source(reading(2, day=2)), "second")
    steps.publish()
    assert sorted(row["leaves"] for row in steps.rows()) == [1, 2]
    assert {uri: steps.read(uri) for uri in before} == before


def test_d3_a_retry_gives_the_same_file_and_the_same_summary(steps: Steps, plants: Plants) -> None:
    url = steps.source(plants("fern", "moss"))
    first = steps.both(url, RUN)
    assert steps.both(url, RUN) == first
    # Also when another run was faster in between.
    steps.both(steps.source(plants("moss", "reed")), "other")
    assert steps.both(steps.source(plants("fern", "moss")), RUN) == first
    assert len(steps.rows()) == 3


def test_d3_a_run_that_died_before_it_accepted_writes_the_same_bytes_on_retry(
    steps: Steps, plants: Plants
) -> None:
    ingested, _ = steps.ingest(steps.source(plants("fern", "moss")), RUN)
    first, _ = steps.validate(ingested, RUN)
    content = steps.read(first["accepted_uri"])
    steps.store.delete(first["accepted_uri"])
    again, _ = steps.validate(ingested, RUN)
    assert again == first
    assert steps.read(again["accepted_uri"]) == content


def test_a_run_whose_source_changed_between_tries_brings_no_row_twice(steps: Steps, plants: Plants) -> None:
    steps.both(steps.source(plants("fern")), RUN)
    assert steps.both(steps.source(plants("fern", "moss")), RUN)[1] == "1 new row, 1 already known"
    assert sorted(row["plant"] for row in steps.rows()) == ["fern", "moss"]


def test_d11_a_bad_file_goes_to_quarantine_with_a_report_and_changes_nothing(
    steps: Steps, plants: Plants
) -> None:
    url = steps.source(plants("fern", "moss") | {"leaves": [1, -7]})
    with pytest.raises(AirflowFailException) as failed:
        steps.both(url, RUN)
    message = str(failed.value)
    assert message.startswith(f"{url} is refused: column 'leaves' must be at least 0 in 1 row (row 2: -7).")
    assert steps.state["summary"] == message
    report_uri = message.rsplit(" ", 1)[-1]
    folder = report_uri.rsplit("/", 1)[0]
    assert folder == f"{steps.dataset.quarantine_uri}manual__2026-07-01T12_00_00_00_00"
    assert steps.read(f"{folder}/source.parquet") == steps.read(url)
    report = json.loads(steps.read(report_uri))
    assert report["accepted"] is False
    assert report["violations"] == [
        {"column": "leaves", "rule": "must be at least 0", "count": 1, "complete": True,
         "rows": [{"row": 2, "value": "-7"}]}
    ]  # fmt: skip
    assert steps.rows() == []
    status = json.loads(steps.read(f"{steps.storage_uri}/_status/adhoc_airflow/validate.json"))
    shown = status["points"][0]["values"]["quarantine"]
    assert (shown["source"], shown["rules"], shown["report_uri"]) == (url, 1, report_uri)


@pytest.mark.parametrize(
    ("content", "reason"), [(b"<html>please sign in</html>", "not parquet"), (b"PAR1" + b"x" * 50, "cut off")]
)
def test_a_file_that_is_no_parquet_goes_to_quarantine_too(steps: Steps, content: bytes, reason: str) -> None:
    with pytest.raises(AirflowFailException, match=reason) as failed:
        steps.both(steps.put(content), RUN)
    assert json.loads(steps.read(str(failed.value).rsplit(" ", 1)[-1]))["error"]
    assert steps.rows() == []


@pytest.mark.parametrize("url", ["s3://no-such-bucket/a.parquet", "{storage}/no such file.parquet"])
def test_a_source_that_is_not_there_is_named(steps: Steps, url: str) -> None:
    with pytest.raises(AirflowFailException, match=r"cannot be read \(NoSuch(Bucket|Key)\).*'aws_default'"):
        steps.ingest(url.format(storage=steps.storage_uri), RUN)


def test_a_staged_file_that_was_swept_is_named_with_the_remedy(steps: Steps, plants: Plants) -> None:
    ingested, _ = steps.ingest(steps.source(plants("fern")), RUN)
    steps.store.delete(ingested["staged_uri"])
    with pytest.raises(AirflowFailException, match=r"is gone.*trigger a new run"):
        steps.validate(ingested, RUN)


def test_runs_at_the_same_time_bring_no_row_twice(steps: Steps, plants: Plants) -> None:
    url = steps.source(plants("fern", "moss", "reed"))
    ingested = {run: steps.ingest(url, run)[0] for run in ("one", "two", "three")}
    threads = [threading.Thread(target=steps.validate, args=(ingested[run], run)) for run in ingested]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(row["plant"] for row in steps.rows()) == ["fern", "moss", "reed"]


def test_a_writer_that_holds_the_lock_is_waited_for_and_then_named(
    steps: Steps, plants: Plants, registry_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    ingested, _ = steps.ingest(steps.source(plants("fern")), RUN)
    monkeypatch.setenv("FEATURE_OPS_LOCK_TIMEOUT", "0.2")
    get_settings.cache_clear()
    with (
        advisory_lock(registry_url, "dataset:plants", 5),
        pytest.raises(FeatureOpsError, match="dataset:plants"),
    ):
        steps.validate(ingested, RUN)
    assert steps.validate(ingested, RUN)[1] == "1 new row, 0 already known"


def test_a_large_source_is_staged_in_parts(steps: Steps) -> None:
    content = bytes(range(256)) * 4096
    copies = 2 * PART_SIZE // len(content) + 1
    staged = stage(iter([content] * copies), steps.store, f"{steps.dataset.staging_uri}run/source.parquet")
    assert staged.size == copies * len(content)
    assert steps.read(staged.uri) == content * copies


def test_a_fetch_that_fails_leaves_no_object_and_no_upload(steps: Steps) -> None:
    def broken() -> Any:
        yield b"x" * (PART_SIZE + 1)
        raise FeatureOpsError("the source broke off")

    uri = f"{steps.dataset.staging_uri}run/source.parquet"
    with pytest.raises(FeatureOpsError, match="broke off"):
        stage(broken(), steps.store, uri)
    assert not steps.store.exists(uri)
    assert unfinished_uploads(steps) == []


def unfinished_uploads(steps: Steps) -> list[str]:
    bucket, _ = split_uri(steps.dataset.staging_uri)
    uploads = steps.store.client.list_multipart_uploads(Bucket=bucket).get("Uploads", [])
    return [upload["Key"] for upload in uploads]


def test_old_staged_files_and_uploads_of_killed_runs_are_swept_and_young_ones_kept(steps: Steps) -> None:
    bucket, prefix = split_uri(steps.dataset.staging_uri)
    steps.store.put_bytes(b"old", f"{steps.dataset.staging_uri}run/source.parquet")
    elsewhere = steps.put(b"kept")
    steps.store.client.create_multipart_upload(Bucket=bucket, Key=f"{prefix}killed/source.parquet")
    now = datetime.now(UTC)
    assert sweep(steps.store, steps.dataset.staging_uri, now - timedelta(days=1)) == 0
    assert len(unfinished_uploads(steps)) == 1
    assert sweep(steps.store, steps.dataset.staging_uri, now + timedelta(minutes=1)) == 1
    assert unfinished_uploads(steps) == []
    assert list(steps.store.list(steps.dataset.staging_uri)) == []
    assert steps.store.exists(elsewhere)


def test_an_ingest_sweeps_staging_and_quarantine_each_after_its_days(
    steps: Steps, plants: Plants, monkeypatch: pytest.MonkeyPatch
) -> None:
    swept = {}
    honest = stage_module.sweep

    def noted(store: Any, prefix: str, before: datetime) -> int:
        swept[prefix] = (datetime.now(UTC) - before).days
        return honest(store, prefix, before)

    monkeypatch.setattr(stage_module, "sweep", noted)
    monkeypatch.setenv("FEATURE_OPS_QUARANTINE_DAYS", "30")
    get_settings.cache_clear()
    steps.store.put_bytes(b"{}", f"{steps.dataset.quarantine_uri}run/report.json")
    steps.ingest(steps.source(plants("fern")), RUN)
    assert swept == {steps.dataset.staging_uri: 7, steps.dataset.quarantine_uri: 30}
    assert steps.store.exists(f"{steps.dataset.quarantine_uri}run/report.json")


def test_no_scratch_file_is_left(
    steps: Steps, plants: Plants, tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FEATURE_OPS_WORK_DIR", str(tmp_path / "work"))
    get_settings.cache_clear()
    steps.both(steps.source(plants("fern")), "good")
    with pytest.raises(AirflowFailException):
        steps.both(steps.source(plants("")), "bad")
    assert list((tmp_path / "work").iterdir()) == []


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"leaves": ["3"]}, "column 'leaves' has type string, but int64 is needed"),
        ({"leaves": None}, "column 'leaves' is missing in the file"),
        ({"Plant": ["fern"], "plant": ["moss"]}, "column 'plant' stands in the file 2 times"),
    ],
)
def test_a_column_that_vanished_or_changed_since_the_history_changes_nothing(
    changes: dict[str, Any], message: str, steps: Steps, plants: Callable[..., dict[str, Any]]
) -> None:
    steps.both(steps.source(plants("fern")), "run 1")
    steps.publish()
    before = steps.rows()
    columns = {name: values for name, values in {**plants("fern"), **changes}.items() if values is not None}
    with pytest.raises(AirflowFailException, match=message):
        steps.both(steps.source(columns), "run 2")
    assert steps.rows() == before


def test_a_column_more_is_reported_and_stays_in_the_source(
    steps: Steps, plants: Callable[..., dict[str, Any]]
) -> None:
    facts, _ = steps.both(steps.source({**plants("fern"), "smell": ["sweet"]}), "run 1")
    assert facts["new"] == 1
    assert b"smell" in steps.read(facts["report_uri"])
    assert "smell" not in steps.rows()[0]


def test_visible_keys_of_up_to_a_kilobyte_are_kept(
    steps: Steps, plants: Callable[..., dict[str, Any]]
) -> None:
    keys = ["🌵 cactus", "👩\u200d🚀", "é", "e\u0301", "long" * 256]
    facts, _ = steps.both(steps.source(plants(*keys)), "run 1")
    assert facts["new"] == 5
    assert {row["plant"] for row in steps.rows()} == set(keys)
    again, summary = steps.both(steps.source(plants(*keys)), "run 2")
    assert (again["new"], summary) == (0, "0 new rows, 5 already known")


def test_a_retry_does_not_take_back_a_correction_that_came_before_it(steps: Steps, plants: Plants) -> None:
    """The first run died when its file was accepted, and the second one published and corrected it."""
    ingested, _ = steps.ingest(steps.source(plants("fern", leaves=3)), "first")
    first, summary = steps.validate(ingested, "first")
    steps.publish()
    assert steps.both(steps.source(plants("fern", leaves=4)), "second")[1] == "1 new row, 0 already known"
    steps.publish()

    facts, told = steps.validate(ingested, "first")

    assert told == summary
    assert facts == {**first, "accepted_uri": first["accepted_uri"].replace("_accepted/", "")}
    assert sorted(row["leaves"] for row in steps.rows()) == [3, 4]


def test_every_fault_of_a_file_is_reported_at_once_also_rows_that_contradict_each_other(
    steps: Steps, plants: Plants
) -> None:
    columns = plants("fern", "moss", "fern") | {"leaves": [1, -7, 2], "note": [b"a", b"\xff", b"b"]}
    with pytest.raises(AirflowFailException) as failed:
        steps.both(steps.source(columns), RUN)
    message = str(failed.value)
    for fault in (
        "column 'leaves' must be at least 0 in 1 row (row 2: -7)",
        "column 'note' has values that do not fit into string unchanged",
        "column 'plant' has the same key and event time in another row, with other values: keep one of them "
        "in 1 row (row 3: 'fern' as in row 1)",
    ):
        assert fault in message
    report = json.loads(steps.read(message.rsplit(" ", 1)[-1]))
    assert [violation["column"] for violation in report["violations"]] == ["leaves", "note", "plant"]


@pytest.mark.parametrize("key", ["a\x00b", "two\nlines", "a\u202eb", " a", "x" * 1025])
def test_a_key_that_no_service_can_be_asked_for_is_refused(key: str, steps: Steps, plants: Plants) -> None:
    with pytest.raises(AirflowFailException, match=r"column 'plant' must not .* in 1 row \(row 2: "):
        steps.both(steps.source(plants("fern", key)), RUN)
    assert steps.rows() == []


def test_a_file_that_crashes_the_parser_is_quarantined_and_the_worker_lives(
    steps: Steps, plants: Plants, monkeypatch: pytest.MonkeyPatch
) -> None:
    crash = "import os; open('progress', 'w').write('3'); os.abort()"
    monkeypatch.setattr(parser_process, "_COMMAND", [sys.executable, "-c", crash])
    with pytest.raises(AirflowFailException, match="the parser ended with SIGABRT after row 3") as failed:
        steps.both(steps.source(plants("fern")), RUN)
    folder = str(failed.value).rsplit(" ", 1)[-1].rsplit("/", 1)[0]
    assert steps.store.exists(f"{folder}/source.parquet")
    assert "SIGABRT" in json.loads(steps.read(f"{folder}/report.json"))["error"]


@pytest.mark.parametrize(
    "end", ["os.kill(os.getpid(), 9)", "open('answer.json', 'w').write('{\"errno\": 28}')"]
)
def test_a_parser_that_was_killed_or_found_a_full_disk_is_tried_again(
    end: str, steps: Steps, plants: Plants, monkeypatch: pytest.MonkeyPatch
) -> None:
    ingested, _ = steps.ingest(steps.source(plants("fern")), RUN)
    with monkeypatch.context() as patch:
        patch.setattr(parser_process, "_COMMAND", [sys.executable, "-c", f"import os; {end}"])
        with pytest.raises(FeatureOpsError) as failed:
            steps.validate(ingested, RUN)
    assert not isinstance(failed.value, BadInputError)
    assert list(steps.store.list(steps.dataset.quarantine_uri)) == []
    assert steps.validate(ingested, RUN)[1] == "1 new row, 0 already known"
