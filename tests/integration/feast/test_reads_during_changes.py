"""Readers notice nothing while definitions change, also when an apply or a backfill dies in the middle."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from demo.steady_reader import SteadyReader
from feature_ops.commit_points import AFTER, BEFORE, DEFINITION_POINTS, CommitPoint, observed_by
from feature_ops.feast.applied_commit import AppliedCommit
from feature_ops.feast.apply_process import ApplyRequest, apply
from feature_ops.feast.diff.definitions import Definitions
from feature_ops.feast.diff.describe import describe_registry
from feature_ops.feast.diff.loading import load
from feature_ops.settings import get_settings
from tests.integration.feast.changes import FEATURES, SERVICE
from tests.integration.feast.conftest import CONFIGURATION, TRACKS

if TYPE_CHECKING:
    from conftest import Radio

KEYS = [f"track {number}" for number in range(40)]
APPLY_POINTS = sorted(DEFINITION_POINTS - {CommitPoint.DEFINITION_NARROWED})
POINTS_OF_A_BACKFILL = (CommitPoint.ROWS_ONLINE, CommitPoint.BACKFILL_ADVANCED, CommitPoint.LEDGER_RECORDED)
# In steps of two, to the end of the longest.
WRITES = range(0, 16, 2)

WITH_LIVE = FEATURES.replace(
    '        Field(name="plays", dtype=Int64),\n',
    '        Field(name="plays", dtype=Int64),\n        Field(name="live", dtype=Bool),\n',
)
COMMITS = {
    "1 both": (FEATURES, SERVICE),
    "2 served without plays": (FEATURES, SERVICE.replace(', "plays"', "")),
    "3 with live": (WITH_LIVE, SERVICE.replace('"plays"', '"live"')),
    "4 all three": (WITH_LIVE, SERVICE.replace('"plays"', '"plays", "live"')),
    "5 live goes from both at once": (FEATURES, SERVICE),
}


class KilledError(BaseException):
    """Stands in for the end of the process."""


@pytest.fixture(scope="module")
def definitions(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Definitions]:
    """What each of the commits defines."""
    folders = {}
    for label, (features, service) in COMMITS.items():
        folders[label] = tmp_path_factory.mktemp("commit")
        (folders[label] / "feature_store.yaml").write_text(CONFIGURATION)
        (folders[label] / "features.py").write_text(features.replace("{uri}", "s3://HISTORY/tracks/"))
        (folders[label] / "feature_service.py").write_text(service)
    return load(folders)


@pytest.fixture
def no_readers(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody reads meanwhile, so there is nobody to wait for."""
    monkeypatch.setattr("feature_ops.feast.apply_process._READERS_CATCH_UP", 0)


@pytest.fixture
def radio(make_radio: Callable[[str], Radio]) -> Radio:
    return make_radio(CONFIGURATION)


@pytest.fixture
def request_for(radio: Radio, definitions: dict[str, Definitions]) -> Callable[[str], ApplyRequest]:
    """Make the request that applies one of the commits, its source at this test's history."""

    def make(label: str) -> ApplyRequest:
        text = ApplyRequest(
            commit=label.split()[0] * 40,
            definitions=relocated(definitions[label], TRACKS.uri),
            feature_repo=radio.repo,
            live={},
            dump_prefix=f"{get_settings().storage_uri}/_registry/",
            lock_timeout=10,
        ).to_json()
        return ApplyRequest.from_json(text)

    return make


def relocated(definitions: Definitions, uri: str) -> Definitions:
    """Return the definitions with their source at another place."""
    from dataclasses import replace

    from feature_ops.feast.diff.describe import describe, message_class

    moved = []
    for item in definitions.protos:
        message = message_class(item.kind).FromString(item.message)
        spec = getattr(message, "spec", None)
        # A service has a copy of the source of each view.
        copies = [getattr(part, "batch_source", None) for part in (spec, *getattr(spec, "features", ()))]
        for source in (message, *copies):
            if source is not None and hasattr(source, "file_options") and source.file_options.uri:
                source.file_options.uri = uri
        moved.append(replace(item, message=message.SerializeToString(deterministic=True)))
    return describe(definitions.project, moved)


@contextmanager
def killed_at(point: CommitPoint, phase: str) -> Iterator[None]:
    def observe(now: CommitPoint, moment: str) -> None:
        if (now, moment) == (point, phase):
            raise KilledError

    with observed_by(observe), pytest.raises(KilledError):
        yield


@contextmanager
def killed_after_writes(count: int, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """End the process after so many objects were written to the registry."""
    from feast.infra.registry.sql import SqlRegistry

    original, done = SqlRegistry._apply_object, []

    def write(registry: SqlRegistry, *arguments: object, **options: object) -> object:
        if len(done) == count:
            raise KilledError
        result = original(registry, *arguments, **options)
        done.append(None)
        return result

    with monkeypatch.context() as patch:
        patch.setattr(SqlRegistry, "_apply_object", write)
        try:
            yield
        except KilledError:
            return


def registered(radio: Radio) -> dict[str, object]:
    store = radio.store()
    found = describe_registry(store.registry, store.project).objects
    return {kind: named for kind, named in found.items() if kind != "project"}


def test_whoever_reads_in_a_loop_sees_no_error_and_no_null_through_all_changes(
    radio: Radio, request_for: Callable[[str], ApplyRequest], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FEATURE_OPS_BACKFILL_SHARD_ROWS", "10")
    get_settings.cache_clear()
    apply(request_for("1 both"))
    radio.publish(*((key, "2024-01-01", 0.5) for key in KEYS))
    radio.materialize("first load")
    rows = [{"id": key} for key in KEYS[:10]]

    with SteadyReader(radio.store(), "tracks_fs", rows) as reader:
        for label in list(COMMITS)[1:]:
            for count in WRITES:
                with killed_after_writes(count, monkeypatch):
                    apply(request_for(label))
            apply(request_for(label))
            if label == "3 with live":
                for point in (
                    CommitPoint.ROWS_ONLINE,
                    CommitPoint.BACKFILL_ADVANCED,
                    CommitPoint.LEDGER_RECORDED,
                ):
                    with killed_at(point, BEFORE):
                        radio.backfill("killed")
                radio.backfill("backfill")
        seen = reader.seen
        before = seen.reads
        while seen.reads < before + 3 and not seen.failed:
            pass

    assert seen.errors == []
    assert seen.nulls == {}
    assert seen.reads > 20


@pytest.mark.parametrize("next_commit", ["2 served without plays", "4 all three"])
def test_an_apply_that_died_anywhere_is_completed_by_the_next_whatever_it_applies(
    radio: Radio,
    request_for: Callable[[str], ApplyRequest],
    next_commit: str,
    no_readers: None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    deaths = [killed_at(point, phase) for point in APPLY_POINTS for phase in (BEFORE, AFTER)]
    deaths += [killed_after_writes(count, monkeypatch) for count in WRITES]
    wanted = request_for(next_commit)
    note = AppliedCommit(radio.registry_url, "radio")
    for death in deaths:
        apply(request_for("1 both"))
        with death:
            apply(request_for("2 served without plays"))

        apply(wanted)

        assert registered(radio) == {
            kind: named for kind, named in wanted.definitions.objects.items() if kind != "project"
        }
        assert (note.state().applied, note.state().begun) == (wanted.commit, None)


def test_applying_twice_is_applying_once(
    radio: Radio, request_for: Callable[[str], ApplyRequest], no_readers: None
) -> None:
    apply(request_for("1 both"))
    again = apply(request_for("1 both"))
    assert (again.created, again.updated, again.deleted) == ([], [], [])


def test_an_apply_keeps_what_was_materialized(
    radio: Radio, request_for: Callable[[str], ApplyRequest], no_readers: None
) -> None:
    apply(request_for("1 both"))
    radio.publish(("a", "2024-01-01", 0.5))
    radio.materialize("first load")
    before = radio.store().get_feature_view("tracks").materialization_intervals

    apply(request_for("2 served without plays"))
    apply(request_for("3 with live"))

    assert radio.store().get_feature_view("tracks").materialization_intervals == before
