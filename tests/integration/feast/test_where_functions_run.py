"""Planted code of a commit runs in no process of Airflow and sees no credentials of it, in the whole life."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from airflow.sdk.exceptions import AirflowFailException

from feature_ops.feast.applied_commit import AppliedCommit
from feature_ops.feast.hook import FeastHook
from feature_ops.settings import get_settings
from feature_ops.training.credentials import TrainingCredentials
from feature_ops.training.process import run_in_process
from tests.conftest import PROJECT
from tests.integration.conftest import GitRepository
from tests.integration.feast.changes import SERVICE, Changes
from tests.integration.feast.conftest import CONFIGURATION, TRACKS
from tests.support.planted import VIEWS, Planted, Ran

if TYPE_CHECKING:
    from conftest import Radio

# What Airflow's processes have, and code of a commit must not see.
CREDENTIALS = {
    "AIRFLOW__CORE__FERNET_KEY": "fernet-key-of-airflow",
    "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": "postgresql://airflow:secret@nowhere/airflow",
    "AIRFLOW_CONN_WAREHOUSE": "snowflake://user:secret@nowhere",
    "GITHUB_TOKEN": "token-of-another-system",
}
_OF_THE_SYSTEM = {
    "PATH",
    "HOME",
    "TMPDIR",
    "TZ",
    "LANG",
    "LC_ALL",
    "LC_CTYPE",
    "USER",
    "LOGNAME",
    "RES_OPTIONS",
}
_OF_THE_STORES = (
    "FEAST_",
    "AWS_",
    "PYTHON",
    "SSL_",
    "REQUESTS_",
    "MLFLOW_TRACKING_URI",
    "JOBLIB_",
    "PROMETHEUS_",
)
_WITH_ON_DEMAND = SERVICE.replace(
    "import tracks\n", f"import tracks\nfrom computed import {', '.join(VIEWS)}\n"
)
_WITH_ON_DEMAND = _WITH_ON_DEMAND.replace('"plays"]]]', f'"plays"]], {", ".join(VIEWS)}]')

_TRAIN = """
from feature_ops.feast.importing import import_feast
store = import_feast().FeatureStore(repo_path={repo!r})
answer = store.get_online_features(store.get_feature_service("tracks_fs"), [{{"id": "a"}}]).to_dict()
print("features", answer["twice"], answer["thrice"])
"""
_SERVE = """
import sys
from pathlib import Path
from jukebox.serving.features import Definitions, FeatureReader
repo, copy = Path(sys.argv[1]), Path(sys.argv[2])
copy.write_bytes(Definitions(repo).copy())
refs = ["tracks:energy", "with_default:twice", "with_decorator:thrice"]
print(FeatureReader(repo, copy, refs).read(["a"])[0].values)
"""


@pytest.fixture
def radio(make_radio: Callable[[str], Radio], monkeypatch: pytest.MonkeyPatch) -> Radio:
    """The feature store without definitions, in a process that has Airflow's credentials."""
    for name, value in CREDENTIALS.items():
        monkeypatch.setenv(name, value)
    return make_radio(CONFIGURATION)


@pytest.fixture
def planted(radio: Radio) -> Planted:
    """Code that reports where it runs, and prints a secret of Airflow's, wherever it got it from."""
    return Planted(radio.servers.valkey, CREDENTIALS["AIRFLOW__CORE__FERNET_KEY"])


@pytest.fixture
def changes(radio: Radio, planted: Planted, git_repository: GitRepository, tmp_path: Path) -> Changes:
    """The repository, its only commit with planted code, nothing applied."""
    work = tmp_path / "work"
    work.mkdir()
    made = Changes(work, radio.repo, radio.registry_url, TRACKS.uri, [TRACKS])
    made.start(radio.servers.home / "git" / git_repository.url.rsplit("/", 1)[-1])
    files = {"computed.py": planted.definitions(), "feature_service.py": _WITH_ON_DEMAND}
    made.push("Compute features", dict(files))
    return made


def assert_apart(ran: list[Ran]) -> None:
    """Check that all of it ran in processes that have the feature store's credentials only."""
    for one in ran:
        assert one.pid != os.getpid(), one
        foreign = {
            name
            for name in one.environment
            if name not in _OF_THE_SYSTEM and not name.startswith(_OF_THE_STORES)
        }
        assert not foreign, one
        assert not {name for name in one.environment if name.startswith("AIRFLOW")}, one


def test_planted_code_runs_where_it_may_and_never_in_airflow(
    radio: Radio,
    planted: Planted,
    changes: Changes,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level("INFO")
    # Classify and apply.
    run = changes.run()
    assert {f"on demand feature view {name}" for name in VIEWS} <= set(run.facts["apply"]["created"])
    applied = planted.ran()
    assert {one.plant for one in applied} == {"default"}
    assert {Path(one.argv[0]).name for one in applied} == {"apply_process.py"}
    assert {(one.parent, one.parents_environment) for one in applied} == {(os.getpid(), False)}
    assert_apart(applied)
    assert "feast: ***" in caplog.text
    assert CREDENTIALS["AIRFLOW__CORE__FERNET_KEY"] not in caplog.text

    # Backfill, the steps of the ETL, and a comparison with the registry.
    radio.publish(("a", "2024-05-01", 0.5), ("b", "2024-05-01", 0.25))
    assert radio.backfill("backfill")["views"] == ["tracks"]
    radio.publish(("c", "2024-05-02", 0.75))
    verified = radio.verify(radio.materialize("etl"))
    assert verified["unchecked"] == [
        f"{view}:{feature} (computed on demand; its inputs are compared)"
        for view, feature in zip(VIEWS, ("thrice", "twice"), strict=True)
    ]
    AppliedCommit(radio.registry_url, "radio").finish("f" * 40)
    compared = changes.run()
    assert compared.facts["diff"]["applied"] == "f" * 40
    assert [one for one in planted.ran() if Path(one.argv[0]).name != "apply_process.py"] == []

    # Retrain.
    code, scratch = tmp_path / "code", tmp_path / "scratch"
    code.mkdir()
    scratch.mkdir()
    credentials = TrainingCredentials.of(get_settings(), radio.repo)
    run_in_process(
        ["-c", _TRAIN.format(repo=str(radio.repo))],
        *(code, credentials.environment, credentials.secrets, 60.0),
        scratch=scratch,
        ports=credentials.ports,
        readable=[radio.repo / "feature_store.yaml"],
    )
    assert "train: features [1.0] [1.5]" in caplog.text
    trained = planted.ran()
    assert {one.plant for one in trained} == {"default"}
    assert_apart(trained)

    # Serve.
    served = subprocess.run(
        [sys.executable, "-c", _SERVE, str(radio.repo), str(tmp_path / "registry.db")],
        env={
            **FeastHook().environment(),
            "PATH": os.environ["PATH"],
            "PYTHONPATH": os.pathsep.join(map(str, (PROJECT / "plugins", PROJECT / "model"))),
        },
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert served.stdout.splitlines()[-1:] == ["[0.5, 1.0, 1.5]"], served.stderr
    assert {one.plant for one in planted.ran()} == {"default"}

    # A function that only its pickle has is not applied, and so unpickled nowhere.
    changes.push("Hide a function in a pickle", {"unpickled.py": planted.pickled_definition()})
    with pytest.raises(AirflowFailException, match="with_reduce: its function fails once it is read back"):
        changes.run()
    assert planted.ran() == []
