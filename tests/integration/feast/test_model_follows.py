"""From an applied definition to a model that answers in test: once, judged, never half."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.sdk.exceptions import AirflowFailException, AirflowSkipException
from mlflow import MlflowClient

from demo.servers import Servers
from feature_ops.alerts.alert import Alert
from feature_ops.exceptions import FeatureOpsError
from feature_ops.feast.applied_commit import AppliedCommit
from feature_ops.settings import get_settings
from feature_ops.training.declaration import Model
from feature_ops.training.live_models import live_features
from feature_ops.training.model_registry import CHAMPION, TEST, ModelRegistry
from feature_ops.training.operators import (
    DeployTestOperator,
    EvaluateOperator,
    RegisterOperator,
    RetrainOperator,
)
from feature_ops.training.promotion_operators import FindCandidateOperator, PromoteOperator
from feature_ops.training.regression import AcceptedRegression
from feature_ops.ui.models import aliases
from tests.integration.feast.changes import SERVICE, Changes, Run, StateStandIn

TOY = Model(name="toy", feature_service="tracks_fs", command=("-m", "toy"), arguments={"labels": "x"})

# Learns nothing and logs nothing: its scores are in the commit, so that a test decides what the gates see.
TRAINER = """\
import json, sys, uuid, boto3

given = dict(argument.removeprefix("--").split("=", 1) for argument in sys.argv[1:])
if {fails}:
    print("out of labels")
    sys.exit({fails})
run_id = uuid.uuid4().hex
result = {{
    "run_id": run_id, "artifact_uri": "mlflow-artifacts:/toy/" + run_id, "rows": {{"train": 8, "test": 2}},
    "features": {features}, "metrics": {{"top5": {top5}, "log_loss": 1.0}},
    "git_commit": given["revision"], "dataset_version": given["dataset-version"],
    "definition_hash": given["definition-hash"], "seconds": 0.1, **{compared},
}}
bucket, key = given["result"].removeprefix("s3://").split("/", 1)
boto3.client("s3").put_object(Bucket=bucket, Key=key, Body=json.dumps(result).encode())
"""


class ServiceStandIn:
    """Stands in for the model service: takes what the alias names, or refuses it."""

    def __init__(self, registry: ModelRegistry) -> None:
        self.refusing = False
        self._version: str | None = None
        stand_in = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                named = registry.by_alias(TEST)
                refused = None
                if named and stand_in.refusing and named.version != stand_in._version:
                    refused = {"version": named.version, "reason": "the self-test answers otherwise"}
                elif named:
                    stand_in._version = named.version
                body = json.dumps({"version": stand_in._version, "refused": refused}).encode()
                self.send_response(200)
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


class Team:
    """The repository with a model, the registry, the service, and the DAG's last steps."""

    def __init__(self, changes: Changes, registry: ModelRegistry, service: ServiceStandIn) -> None:
        self.changes, self.registry, self.service = changes, registry, service
        self.said: dict[str, str] = {}

    def trainer(
        self,
        top5: float = 0.5,
        fails: int = 0,
        features: str = '["tracks:energy"]',
        worse_by: float | None = None,
    ) -> None:
        """
        Push the code of the model.

        :param worse_by: what its log-loss is above that of version 1, the champion.
        """
        compared: dict[str, Any] = {}
        if worse_by is not None:
            interval = {"difference": worse_by, "low": worse_by - 0.01, "high": worse_by + 0.01}
            compared = {"champion": {"version": "1", "metrics": {}}, "comparison": {"log_loss": interval}}
        text = TRAINER.format(top5=top5, fails=fails, features=features, compared=compared)
        self.changes.push(f"Train {top5} {fails} {worse_by}", {"toy.py": text}, "model")

    def define(self, service: str) -> None:
        self.changes.push("Change the features", {"feature_service.py": service})

    def follow(
        self, run_id: str, conf: dict[str, Any] | None = None, accept: str = "", **retrain: Any
    ) -> dict[str, Any]:
        """Apply the newest commit, then train, judge, register, deploy."""
        return self.deploy(self.changes.run(conf=conf), run_id, conf, accept, **retrain)

    def deploy(
        self, run: Run, run_id: str, conf: dict[str, Any] | None = None, accept: str = "", **retrain: Any
    ) -> dict[str, Any]:
        """Train what a run has applied, judge, register, deploy."""
        facts = self.step(self.retrain(run, accept_regression_reason=accept, **retrain), run_id, conf)
        evaluate = EvaluateOperator(
            task_id="evaluate", model=TOY, trained=facts, accept_regression_reason=accept
        )
        facts = self.step(evaluate, run_id)
        facts = self.step(RegisterOperator(task_id="register", model=TOY, evaluated=facts), run_id)
        return self.step(DeployTestOperator(task_id="deploy_test", model=TOY, registered=facts), run_id)

    def retrain(self, run: Run, **arguments: Any) -> RetrainOperator:
        return RetrainOperator(task_id="retrain", model=TOY, diff=run.facts["diff"], **arguments)

    def all_steps(self, run: Run, facts: dict[str, Any]) -> list[Any]:
        """Return each step of a run that has ended, as Airflow makes it when it is cleared."""
        return [
            self.retrain(run),
            EvaluateOperator(task_id="evaluate", model=TOY, trained=facts),
            RegisterOperator(task_id="register", model=TOY, evaluated=facts),
            DeployTestOperator(task_id="deploy_test", model=TOY, registered=facts),
        ]

    def check_cleared_steps(
        self, older: Run, first: dict[str, Any], newer: Run, second: dict[str, Any]
    ) -> None:
        """Clear each step of an older run, then of the newest one: no model is taken back."""
        deployed = self.version(TEST), self.version(CHAMPION)
        for step in self.all_steps(older, first):
            with pytest.raises(AirflowFailException, match=r"version 2 of toy .* by a later run"):
                self.step(step, "run 1")
        for step in self.all_steps(newer, second)[1:]:
            self.step(step, "run 2")
        # Another commit is applied, but no model is trained on it yet.
        AppliedCommit(self.changes.registry_url, "radio").finish("f" * 40)
        for step in self.all_steps(newer, second):
            with pytest.raises(AirflowFailException, match="was applied since this run compared"):
                self.step(step, "run 2")
        assert (self.version(TEST), self.version(CHAMPION)) == deployed

    def step(self, operator: Any, run_id: str, conf: dict[str, Any] | None = None) -> dict[str, Any]:
        state = StateStandIn()
        run = SimpleNamespace(run_id=run_id, conf=conf, triggering_user_name="ada")
        context: Any = {"dag_run": run, "task_state_store": state}
        try:
            facts: dict[str, Any] = operator.execute(context)
        finally:
            self.said[operator.task_id] = state.get("summary", "")
        return facts

    def version(self, alias: str) -> str | None:
        found = self.registry.by_alias(alias)
        return found and found.version


@pytest.fixture
def team(
    applied: Changes,
    mlflow_database: str,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Team]:
    registry = ModelRegistry(mlflow_database, "toy")
    service = ServiceStandIn(registry)
    monkeypatch.setenv("FEATURE_OPS_MLFLOW_TRACKING_URI", mlflow_database)
    monkeypatch.setenv("FEATURE_OPS_TEST_SERVICE_URL", service.url)
    get_settings.cache_clear()
    applied.dataset_uri = f"{get_settings().storage_uri}/tracks/"
    applied.push("Read the tracks", {"features.py": applied.features})
    yield Team(applied, registry, service)
    service.close()


ENERGY_ONLY = SERVICE.replace(', "plays"', "")


def test_a_changed_definition_becomes_a_model_that_answers_once(team: Team, servers: Servers) -> None:
    team.trainer()
    # The applied commit is what is trained on: it must have the model's code.
    team.define(ENERGY_ONLY)
    first = team.follow("run 1")

    assert team.said["retrain"].startswith(f"trained on {team.changes.state.applied[:10]} (the first model)")
    assert team.said["deploy_test"].endswith("it is the first, so it is the champion, too")
    assert (team.version(TEST), team.version(CHAMPION)) == (first["version"], first["version"])
    assert live_features(servers.object_store)["the model toy@test"] == ["tracks:energy"]
    with pytest.raises(AirflowSkipException, match="nothing to train: version 1 of toy is trained on this"):
        team.follow("run 2")

    team.define(SERVICE)
    second = team.follow("run 3")

    assert (team.version(TEST), team.version(CHAMPION)) == (second["version"], first["version"])
    assert second["version"] == "2"


def test_a13_what_fails_or_is_worse_deploys_nothing_and_the_next_push_works(
    team: Team, servers: Servers
) -> None:
    team.trainer()
    team.define(ENERGY_ONLY)
    team.follow("run 1")

    team.trainer(fails=1)
    team.define(SERVICE)
    with pytest.raises(FeatureOpsError, match="the training failed with 1: out of labels"):
        team.follow("failed")
    assert team.version(TEST) == "1"
    team.trainer(fails=65)
    with pytest.raises(AirflowFailException, match="the training can't be done: out of labels"):
        team.follow("failed for good")
    assert team.version(TEST) == "1"

    team.trainer(top5=0.01)
    with pytest.raises(AirflowFailException, match=r"refused: top-5 is 0\.010.*the champion stays"):
        team.follow("worse")
    assert team.version(TEST) == "1"
    with pytest.raises(
        AirflowSkipException, match=r"not trained again: a model on this definition and code was refused"
    ):
        team.follow("again")

    team.trainer()
    team.follow("well again")
    assert team.version(TEST) == "2"


def test_a_model_that_is_refused_when_trained_again_on_other_data_may_be_trained_on_the_next_ones(
    team: Team, servers: Servers, monkeypatch: pytest.MonkeyPatch
) -> None:
    team.trainer()
    team.define(ENERGY_ONLY)
    team.follow("run 1")
    monkeypatch.setenv("FEATURE_OPS_GATE_TOP5_MINIMUM", "0.9")
    get_settings.cache_clear()
    with pytest.raises(AirflowFailException, match="refused: top-5"):
        team.follow("forced", force=True)
    monkeypatch.delenv("FEATURE_OPS_GATE_TOP5_MINIMUM")
    get_settings.cache_clear()
    team.define(SERVICE)
    team.follow("run 2")

    servers.object_store.put_bytes(b"", f"{get_settings().storage_uri}/tracks/newer.parquet")
    team.define(ENERGY_ONLY)

    assert team.follow("run 3")["version"] == "3"


@pytest.mark.parametrize("deleted", ["alias", "version", "registered model"])
def test_a_lost_champion_is_replaced_by_an_approval_only(deleted: str, team: Team, servers: Servers) -> None:
    team.trainer()
    team.define(ENERGY_ONLY)
    team.follow("run 1")
    client = MlflowClient(tracking_uri=get_settings().mlflow_tracking_uri)
    if deleted == "alias":
        client.delete_registered_model_alias("toy", "champion")
    elif deleted == "version":
        client.delete_model_version("toy", "1")
    else:
        client.delete_registered_model("toy")

    team.define(SERVICE)
    facts = team.follow("run 2")

    assert (team.version(TEST), team.version(CHAMPION)) == (facts["version"], None)
    missing = "the alias champion is missing in MLflow (version 1 had it last)"
    assert team.said["evaluate"].endswith(f"not compared with a champion: {missing}")
    assert f"{missing}: production changes only by an approval" in team.said["deploy_test"]
    # The service goes on with version 1, so its features stay in use.
    assert live_features(servers.object_store)["the model toy@champion"] == ["tracks:energy"]

    candidate = team.step(FindCandidateOperator(task_id="find_candidate", model=TOY), "run 2")
    assert f" is compared with no version**: {missing}." in candidate["body"].splitlines()[0]
    asked = {name: candidate[name] for name in ("version", "champion", "champion_since")}
    approval = {"by": "ada", "why": "nothing else is left", "at": "2026-03-01T00:00:00.000+00:00", **asked}
    team.step(PromoteOperator(task_id="promote", model=TOY, candidate=candidate, approval=approval), "run 2")
    assert team.version(CHAMPION) == facts["version"]


def test_a_regression_is_accepted_with_a_reason_that_is_recorded_with_the_version(team: Team) -> None:
    team.trainer()
    team.define(ENERGY_ONLY)
    team.follow("run 1")
    team.trainer(worse_by=0.2)
    with pytest.raises(AirflowFailException, match=r"trigger the DAG with accept_regression_reason$"):
        team.follow("worse")
    with pytest.raises(AirflowSkipException, match="not trained again"):
        team.follow("again")

    facts = team.follow("accepted", accept="  the licence\nends ")

    assert team.said["evaluate"].startswith(
        "accepted although worse than the champion (“the licence ends”, ada): log-loss may be 0.210 higher"
    )
    found = team.registry.by_alias(TEST)
    assert found is not None
    assert found.version == facts["version"]
    assert found.accepted_regression == AcceptedRegression("the licence ends", "ada")
    assert team.version(CHAMPION) == "1"
    candidate = team.step(FindCandidateOperator(task_id="find_candidate", model=TOY), "run")
    assert candidate["reason_required"]
    told = "**Regression accepted**: `“the licence ends”, ada`. A reason is required to approve."
    assert told in candidate["body"]
    assert aliases(team.registry)[TEST]["accepted_regression"] == {
        "reason": "the licence ends",
        "user": "ada",
    }


def test_a_reason_waives_no_absolute_gate_and_marks_no_model_that_needs_none(team: Team) -> None:
    team.trainer()
    team.define(ENERGY_ONLY)
    team.follow("run 1")
    team.trainer(top5=0.01, worse_by=0.2)
    with pytest.raises(AirflowFailException, match=r"refused: top-5 is 0\.010.*the champion stays$"):
        team.follow("useless", accept="cost")

    team.trainer(top5=0.6, worse_by=-0.2)
    team.follow("better", accept="cost")

    found = team.registry.by_alias(TEST)
    assert found is not None
    assert found.accepted_regression is None


def test_another_datasets_file_is_no_new_data_for_the_model(
    team: Team, servers: Servers, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FEATURE_OPS_RETRAIN_ON_NEW_DATA", "true")
    get_settings.cache_clear()
    team.trainer()
    team.define(ENERGY_ONLY)
    team.follow("run 1")
    servers.object_store.put_bytes(b"", f"{get_settings().storage_uri}/tracks_of_others/newer.parquet")

    with pytest.raises(AirflowSkipException, match="nothing to train"):
        team.follow("run 2")


def test_code_that_changes_makes_a_model_of_the_same_features_and_words_beside_it_make_none(
    team: Team,
) -> None:
    team.trainer()
    team.define(ENERGY_ONLY)
    older = team.changes.run()
    first = team.deploy(older, "run 1")

    team.trainer(top5=0.6)
    newer = team.changes.run()
    changed = team.deploy(newer, "run 2")

    assert team.said["retrain"].startswith(f"trained on {changed['commit'][:10]} (its code changed since")
    assert (changed["version"], changed["metrics"]["top5"]) == ("2", 0.6)
    team.changes.push("Explain", {"README.md": "It learns nothing."}, "model")
    with pytest.raises(AirflowSkipException, match="trained on this definition of tracks_fs, with this code"):
        team.follow("run 3")
    team.check_cleared_steps(older, first, newer, changed)


def test_changes_that_are_not_to_be_applied_are_not_trained_on(
    team: Team, monkeypatch: pytest.MonkeyPatch
) -> None:
    team.trainer()
    team.define(ENERGY_ONLY)
    team.follow("run 1")
    monkeypatch.setenv("FEATURE_OPS_APPLY_FEATURE_CHANGES", "false")
    get_settings.cache_clear()
    team.define(SERVICE)

    with pytest.raises(AirflowSkipException, match="nothing to train"):
        team.follow("run 2")


def test_a_model_that_fails_its_self_test_leaves_the_one_before_it(team: Team) -> None:
    team.trainer()
    team.define(ENERGY_ONLY)
    team.follow("run 1")
    team.service.refusing = True
    team.define(SERVICE)

    with pytest.raises(AirflowFailException, match="version 2 is refused by the test service: the self-test"):
        team.follow("run 2")

    assert (team.version(TEST), team.version(CHAMPION)) == ("1", "1")


def test_a_retry_repeats_what_the_run_has_trained_and_registered(team: Team) -> None:
    team.trainer()
    team.define(ENERGY_ONLY)
    retrain = team.retrain(team.changes.run())

    trained = team.step(retrain, "run")
    assert team.step(retrain, "run") == trained
    register = RegisterOperator(task_id="register", model=TOY, evaluated=trained)
    assert team.step(register, "run")["version"] == team.step(register, "run")["version"] == "1"


ALERT = Alert.model_validate(
    {"name": "DriftHigh", "fingerprint": "ab12", "starts_at": "2026-03-01T10:00:00Z"}
)


def test_an_alert_trains_what_is_applied_and_applies_nothing(
    team: Team, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FEATURE_OPS_ALERT_TRIGGER", "true")
    get_settings.cache_clear()
    team.trainer()
    team.define(ENERGY_ONLY)
    team.follow("run 1")
    applied = team.changes.state.applied
    team.define(SERVICE)

    facts = team.follow(ALERT.run_id, ALERT.conf)

    assert team.changes.state.applied == facts["commit"] == applied
    assert team.said["retrain"].startswith(f"trained on {applied[:10]} (alert DriftHigh (ab12)): ")
    assert (facts["version"], team.version(TEST), team.version(CHAMPION)) == ("2", "2", "1")
    # What the alert left alone is done by the commit's own run.
    assert team.follow("run 2")["version"] == "3"
    assert team.changes.state.applied != applied


def test_new_data_make_a_model_only_if_the_settings_say_so(
    team: Team, servers: Servers, monkeypatch: pytest.MonkeyPatch
) -> None:
    team.trainer()
    team.define(ENERGY_ONLY)
    team.follow("run 1")
    servers.object_store.put_bytes(b"", f"{get_settings().storage_uri}/tracks/newer.parquet")
    with pytest.raises(AirflowSkipException, match="nothing to train"):
        team.follow("run 2")

    monkeypatch.setenv("FEATURE_OPS_RETRAIN_ON_NEW_DATA", "true")
    get_settings.cache_clear()
    assert team.follow("run 3")["version"] == "2"
    assert "(its data changed since version 1)" in team.said["retrain"]
    with pytest.raises(AirflowSkipException, match="nothing to train"):
        team.follow("run 4")
