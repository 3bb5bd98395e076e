"""One file after the other is accepted, by any number of writers that know of the bucket only."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from airflow.sdk.exceptions import AirflowFailException

from feature_ops.commit_points import BEFORE, CommitPoint, observed_by
from feature_ops.datasets.acceptance import Acceptance
from feature_ops.object_store import ObjectStore

if TYPE_CHECKING:
    from conftest import Steps

NAMES = [f"{digit * 20}.parquet" for digit in "0123"]


class Killed(BaseException):
    """Nothing in the package catches it, as nothing survives a kill."""


def die_before(point: CommitPoint) -> Callable[[CommitPoint, str], None]:
    def observer(passed: CommitPoint, phase: str) -> None:
        if (passed, phase) == (point, BEFORE):
            raise Killed

    return observer


@pytest.fixture
def acceptance(steps: Steps) -> Acceptance:
    return Acceptance(steps.dataset, steps.store)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    (tmp_path / "file").write_bytes(b"rows")
    return tmp_path / "file"


def accepted(steps: Steps) -> list[str]:
    return [file.name for file in steps.store.list(steps.dataset.accepted_uri)]


def proposed(steps: Steps) -> list[str]:
    return [file.name for file in steps.store.list(f"{steps.dataset.acceptance_uri}proposed/")]


def test_of_writers_that_compared_with_the_same_files_one_is_accepted(
    steps: Steps, acceptance: Acceptance, path: Path
) -> None:
    before, together, won = acceptance.latest(), threading.Barrier(len(NAMES)), []

    def accept(name: str) -> None:
        together.wait(timeout=60)
        if acceptance.accept(path, name, {"rows": "1"}, before):
            won.append(name)

    writers = [threading.Thread(target=accept, args=(name,)) for name in NAMES]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join(timeout=60)
    latest = acceptance.latest()
    assert (latest.number, [latest.file]) == (1, won)
    assert accepted(steps) == won
    assert steps.store.metadata(steps.dataset.accepted_uri + won[0]) == {"rows": "1"}
    assert proposed(steps) == []


def test_what_was_accepted_by_a_killed_writer_is_completed_by_the_next(
    steps: Steps, acceptance: Acceptance, path: Path
) -> None:
    with observed_by(die_before(CommitPoint.ACCEPTED_FILE_MOVED)), pytest.raises(Killed):
        acceptance.accept(path, NAMES[0], {"rows": "1"}, acceptance.latest())
    assert accepted(steps) == []

    assert acceptance.latest().file == NAMES[0]
    assert accepted(steps) == NAMES[:1]
    assert proposed(steps) == []


def test_what_a_killed_writer_only_proposed_is_no_part_of_the_dataset(
    steps: Steps, acceptance: Acceptance, path: Path
) -> None:
    with observed_by(die_before(CommitPoint.FILE_ACCEPTED)), pytest.raises(Killed):
        acceptance.accept(path, NAMES[0], {}, acceptance.latest())
    assert acceptance.latest().number == 0
    assert proposed(steps) == NAMES[:1]

    assert acceptance.accept(path, NAMES[1], {}, acceptance.latest())
    assert accepted(steps) == NAMES[1:2]
    assert proposed(steps) == []


def test_a_file_that_was_published_meanwhile_does_not_come_back(
    steps: Steps, acceptance: Acceptance, path: Path
) -> None:
    with observed_by(die_before(CommitPoint.PROPOSAL_REMOVED)), pytest.raises(Killed):
        acceptance.accept(path, NAMES[0], {}, acceptance.latest())
    steps.publish()
    acceptance.latest()
    assert accepted(steps) == []
    assert proposed(steps) == []


def test_an_acceptance_whose_answer_was_lost_on_the_way_counts(
    steps: Steps, acceptance: Acceptance, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    honest = ObjectStore.replace_bytes
    monkeypatch.setattr(ObjectStore, "replace_bytes", lambda *args: honest(*args) and honest(*args))
    assert acceptance.accept(path, NAMES[0], {}, acceptance.latest())
    assert accepted(steps) == NAMES[:1]


def test_a_bucket_from_before_there_were_generations_goes_on(
    steps: Steps, plants: Callable[..., dict[str, Any]]
) -> None:
    steps.both(steps.source(plants("fern")), "published before")
    steps.publish()
    steps.both(steps.source(plants("moss")), "accepted before")
    for file in list(steps.store.list(steps.dataset.acceptance_uri)):
        steps.store.delete(file.uri)
    assert steps.both(steps.source(plants("fern", "moss", "ivy")), "new")[1] == "1 new row, 2 already known"
    assert sorted(row["plant"] for row in steps.rows()) == ["fern", "ivy", "moss"]


def test_a_generation_that_nobody_can_read_is_named_and_nothing_is_accepted(
    steps: Steps, plants: Callable[..., dict[str, Any]]
) -> None:
    uri = f"{steps.dataset.acceptance_uri}latest.json"
    steps.store.put_bytes(b"{}", uri)
    with pytest.raises(AirflowFailException, match=f"{uri} does not say which file was accepted last"):
        steps.both(steps.source(plants("fern")), "run")
    assert steps.rows() == []


def test_a_writer_that_never_comes_first_says_so(
    steps: Steps, plants: Callable[..., dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("feature_ops.datasets.validation._ATTEMPTS", 2)
    monkeypatch.setattr(ObjectStore, "replace_bytes", lambda *arguments: False)
    with pytest.raises(Exception, match="other writers accepted files of plants 2 times"):
        steps.both(steps.source(plants("fern")), "run")
    assert steps.rows() == []
