"""From a commit to the applied definition: only what changed by meaning, all of it, or nothing."""

from __future__ import annotations

import pytest
from airflow.sdk.exceptions import AirflowFailException

from demo.servers import Servers
from feature_ops.feast.applied_commit import AppliedCommit, applied_commit
from feature_ops.object_store import ObjectStore
from feature_ops.settings import get_settings
from feature_ops.training.live_models import live_models_uri
from tests.integration.feast.changes import SERVICE, Changes
from tests.integration.feast.conftest import TRACKS

WITHOUT_PLAYS = SERVICE.replace(', "plays"', "")
REORDERED = SERVICE.replace('"energy", "plays"', '"plays", "energy"')
REFORMATTED = SERVICE.replace("features=[", "features=[\n        ")


def test_the_first_commit_is_compared_with_the_registry_and_applied_whole(changes: Changes) -> None:
    assert changes.state.applied is None
    assert applied_commit() is None

    run = changes.run()

    assert run.said["resolve_commits"].endswith("“Define tracks” by Ada; no commit is applied yet")
    assert run.facts["diff"]["verdict"] == "additive"
    assert "feature service tracks_fs" in run.facts["apply"]["created"]
    assert changes.served() == ["energy", "plays"]
    assert changes.state.applied == run.facts["resolve_commits"]["commit"] == applied_commit()
    assert changes.state.begun is None


def test_a_feature_taken_out_of_the_service_is_told_in_words_and_stays_in_the_view(applied: Changes) -> None:
    commit = applied.push("Drop plays", {"feature_service.py": WITHOUT_PLAYS})

    run = applied.run()

    assert run.said["diff"] == "breaking: − tracks:plays"
    assert run.said["apply"] == f"{commit[:10]} is applied: breaking: − tracks:plays"
    assert run.facts["apply"]["updated"] == ["feature service tracks_fs"]
    assert applied.served() == ["energy"]
    assert len(applied.store().get_feature_view("tracks").features) == 2


def test_a10_commits_that_change_no_feature_are_not_applied(applied: Changes) -> None:
    before = applied.state
    words: list[tuple[str, dict[str, str | None], str]] = [
        ("README", {"README.md": "# Tracks"}, "."),
        ("whitespace", {"feature_service.py": REFORMATTED}, "feature_repo"),
        ("comment", {"feature_service.py": f"# More words\n{SERVICE}"}, "feature_repo"),
        ("order", {"feature_service.py": REORDERED}, "feature_repo"),
        ("moved", {"feature_service.py": None, "services.py": SERVICE}, "feature_repo"),
    ]
    for subject, files, folder in words:
        applied.push(subject, files, folder)

        run = applied.run()

        assert run.skipped, subject
        assert run.said["changed"].startswith("nothing to apply; none: ")
        assert applied.state == before


def test_a11_commits_that_do_not_load_fail_in_words_and_touch_nothing(applied: Changes) -> None:
    before = applied.state, applied.served()
    broken = {
        "from feast import FeatureService\nfs = FeatureService(\n": r"feature_service\.py:2",
        "raise ValueError('no such thing')\n": r"feature_service\.py:1.*no such thing",
        "import nowhere_to_be_found\n": r"feature_service\.py:1.*nowhere_to_be_found",
        "import os\nos._exit(0)\n": "feature_service",
    }
    for text, told in broken.items():
        commit = applied.push("Broken", {"feature_service.py": text})

        with pytest.raises(AirflowFailException, match=f"(?s){commit[:10]}.*{told}"):
            applied.run()

        assert (applied.state, applied.served()) == before


def test_what_is_not_supported_is_refused_with_all_reasons_before_apply(applied: Changes) -> None:
    before = applied.state, applied.served()
    precomputed = SERVICE.replace("])\n", "], precompute_online=True)\n")
    pinned = 'pinned_fs = FeatureService(name="pinned_fs", features=["tracks@v1:energy"])\n'
    commit = applied.push("Precompute and pin", {"feature_service.py": precomputed + pinned})

    with pytest.raises(AirflowFailException) as refused:
        applied.run()

    told = str(refused.value)
    assert told.startswith(
        f"commit {commit[:10]} cannot be applied: feature service pinned_fs pins tracks@v1"
    )
    assert "`enable_online_feature_view_versioning: true`" in told
    assert "feature service tracks_fs has precompute_online=True" in told
    assert (applied.state, applied.served()) == before
    assert applied.state.begun is None


def test_an_older_revision_is_the_way_back(applied: Changes) -> None:
    first = applied.state.applied
    assert first
    applied.push("Drop plays", {"feature_service.py": WITHOUT_PLAYS})
    applied.run()

    run = applied.run(revision=first[:9])

    assert run.said["diff"] == "additive: + tracks:plays"
    assert applied.served() == ["energy", "plays"]
    assert applied.state.applied == first


def test_a_commit_that_the_server_lost_is_made_up_for_by_the_registry(applied: Changes) -> None:
    first = applied.state.applied
    assert first
    applied.push("Drop plays", {"feature_service.py": WITHOUT_PLAYS})
    applied.run()
    AppliedCommit(applied.registry_url, "radio").finish("f" * 40)
    applied.reset(first)
    applied.push("Another way", {"note.txt": "x"})

    run = applied.run()

    assert run.said["diff"] == "additive: + tracks:plays"
    assert applied.served() == ["energy", "plays"]


def test_a_field_that_a_deployed_model_reads_is_not_removed(applied: Changes, servers: Servers) -> None:
    store: ObjectStore = servers.object_store
    live = f"{live_models_uri()}jukebox.json"
    store.put_bytes(b'{"model": "jukebox@test", "features": ["tracks:plays"]}', live)
    applied.push("Out of the service", {"feature_service.py": WITHOUT_PLAYS})
    applied.run()
    view = applied.features.replace('        Field(name="plays", dtype=Int64),\n', "")
    applied.push("Out of the view", {"features.py": view})

    with pytest.raises(AirflowFailException, match="tracks:plays is read by the model jukebox@test"):
        applied.run()
    store.delete(live)
    applied.run()

    assert [feature.name for feature in applied.store().get_feature_view("tracks").features] == ["energy"]


def test_an_apply_that_was_begun_is_completed_by_whatever_run_comes_next(applied: Changes) -> None:
    AppliedCommit(applied.registry_url, "radio").begin("e" * 40)

    run = applied.run()

    assert "was begun and is to be completed" in run.said["resolve_commits"]
    assert run.said["diff"].endswith("an apply that was begun is completed")
    assert applied.state.begun is None


def test_definitions_for_another_project_are_refused(applied: Changes) -> None:
    before = applied.state
    text = (applied.repo / "feature_store.yaml").read_text().replace("project: radio", "project: television")
    applied.push("Rename", {"feature_store.yaml": text, "feature_service.py": WITHOUT_PLAYS})

    with pytest.raises(AirflowFailException, match=r"names the project 'television'.*serves 'radio'"):
        applied.run()

    assert applied.state == before


def test_told_but_not_applied_where_the_setting_says_so(
    applied: Changes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FEATURE_OPS_APPLY_FEATURE_CHANGES", "false")
    get_settings.cache_clear()
    applied.push("Drop plays", {"feature_service.py": WITHOUT_PLAYS})

    run = applied.run()

    assert run.skipped
    assert run.said["changed"].endswith("APPLY_FEATURE_CHANGES is off; breaking: − tracks:plays")
    assert applied.served() == ["energy", "plays"]


def test_the_registry_is_kept_as_it_was_before(applied: Changes, servers: Servers) -> None:
    from feast.protos.feast.core.Registry_pb2 import Registry

    applied.push("Drop plays", {"feature_service.py": WITHOUT_PLAYS})
    uri = applied.run().facts["apply"]["dump_uri"]

    bucket, key = uri.removeprefix("s3://").split("/", 1)
    kept = Registry.FromString(servers.object_store.client.get_object(Bucket=bucket, Key=key)["Body"].read())
    (service,) = kept.feature_services
    assert len(service.spec.features[0].feature_columns) == 2


def test_the_code_of_a_commit_never_sees_a_credential(
    applied: Changes, caplog: pytest.LogCaptureFixture
) -> None:
    spy = "import os\nraise RuntimeError(sorted(os.environ))\n"
    applied.push("Look around", {"spy.py": spy})

    with pytest.raises(AirflowFailException) as told:
        applied.run()

    for name in ("AWS_", "AIRFLOW", "FEAST_REGISTRY", "FEAST_ONLINE", "PASSWORD", "TOKEN"):
        assert name not in str(told.value)
    assert "spy.py:2" in str(told.value)


def test_a_cleared_apply_of_an_older_run_never_takes_the_registry_back(applied: Changes) -> None:
    first = applied.state.applied
    assert first
    dropped = applied.push("Drop plays", {"feature_service.py": WITHOUT_PLAYS})
    older = applied.run()
    rollback = applied.run(revision=first)
    state = applied.state

    # The registry has the very commit again with which the older run compared.
    with pytest.raises(AirflowFailException, match=f"^commit {first[:10]} was applied since "):
        applied.apply_again(older)
    assert (applied.state, applied.served()) == (state, ["energy", "plays"])

    # The apply of the newest run may be cleared, also one that was killed in the middle.
    applied.apply_again(rollback)
    AppliedCommit(applied.registry_url, "radio").begin(first)
    applied.apply_again(rollback)
    assert (applied.state.applied, applied.state.begun) == (first, None)

    # So may a run from its first task: it compares again.
    applied.run()
    assert (applied.state.applied, applied.served()) == (dropped, ["energy"])
    assert applied.run().skipped


BY_TITLE = """
title = Entity(name="title", join_keys=["title"], value_type=ValueType.STRING)
by_title = FeatureView(
    name="by_title",
    entities=[track, title],
    schema=[
        Field(name="id", dtype=String),
        Field(name="title", dtype=String),
        Field(name="energy", dtype=Float32),
    ],
    source=tracks.batch_source,
)
"""


def test_a_view_that_cannot_be_loaded_is_refused_when_its_commit_is_classified(applied: Changes) -> None:
    applied.datasets = [TRACKS]
    of_tracks = applied.features.replace(applied.dataset_uri, TRACKS.uri)
    before = applied.state, applied.served()
    commit = applied.push("Key by title", {"features.py": of_tracks + BY_TITLE})

    with pytest.raises(AirflowFailException) as refusal:
        applied.run()

    assert str(refusal.value).startswith(
        f"commit {commit[:10]} cannot be loaded: by_title: the join key title is read from the column title "
        "of tracks, which is declared nullable"
    )
    assert (applied.state, applied.served()) == before
    fixed = applied.push("Key by id", {"features.py": of_tracks})
    assert applied.run().facts["apply"]["commit"] == fixed
