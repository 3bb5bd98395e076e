"""An alias and its service move together or not at all, and what is live stays listed."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any
from uuid import UUID

import pytest
from airflow.sdk.exceptions import AirflowRuntimeError, ErrorType
from airflow.sdk.execution_time.comms import ErrorResponse
from mlflow import MlflowClient

from demo.servers import Servers
from feature_ops.exceptions import FeatureOpsError
from feature_ops.settings import Settings
from feature_ops.training.approval_trigger import ApprovalTrigger
from feature_ops.training.champion import ChampionRecord
from feature_ops.training.deployment import Deployment
from feature_ops.training.live_models import live_features
from feature_ops.training.model_registry import CHAMPION, TEST, ModelRegistry
from feature_ops.training.result import TrainingResult


class ServiceStandIn:
    """Stands in for the model service: takes what the alias names, unless it is to refuse or to sleep."""

    def __init__(self, registry: ModelRegistry) -> None:
        self.refuses: set[str] = set()
        self.asleep = False
        self.version: str | None = None
        stand_in = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                named = registry.by_alias(CHAMPION)
                refused = named and named.version in stand_in.refuses
                if named and not refused and not stand_in.asleep:
                    stand_in.version = named.version
                told = {
                    "version": stand_in.version,
                    "refused": {"version": named.version, "reason": "it answers otherwise"}
                    if named and refused
                    else None,
                }
                self.send_response(200)
                self.end_headers()
                self.wfile.write(json.dumps(told).encode())

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


class Place:
    """A model's registry, its service and what is listed as live."""

    def __init__(self, uri: str, servers: Servers) -> None:
        self.uri, self.store = uri, servers.object_store
        self.registry = ModelRegistry(uri, "toy")
        self.service = ServiceStandIn(self.registry)

    def register(self, *features: str) -> str:
        client = MlflowClient(tracking_uri=self.uri)
        experiment = client.get_experiment_by_name("toy")
        run = client.create_run(experiment.experiment_id if experiment else client.create_experiment("toy"))
        told: dict[str, Any] = {
            "run_id": run.info.run_id,
            "artifact_uri": str(run.info.artifact_uri),
            "rows": {},
            "features": list(features),
            "metrics": {"top5": 0.5},
            "git_commit": "c",
            "dataset_version": "d",
            "definition_hash": "h",
            "seconds": 1,
        }
        result = TrainingResult.read(json.dumps(told), "x")
        return self.registry.register(result, "tracks_fs", code_hash="k", result_uri="s3://data/x.json")

    def deployment(self, timeout: float = 20) -> Deployment:
        return Deployment(self.registry, self.store, "toy", CHAMPION, self.service.url, timeout)

    @property
    def state(self) -> tuple[str | None, str | None, list[str]]:
        """The alias's version, the service's, and the features that are listed as live."""
        named = self.registry.by_alias(CHAMPION)
        live = live_features(self.store).get("the model toy@champion", [])
        return named and named.version, self.service.version, live


@pytest.fixture
def place(mlflow_database: str, servers: Servers, storage: Settings) -> Iterator[Place]:
    place = Place(mlflow_database, servers)
    yield place
    place.service.close()


def test_alias_service_and_list_move_together(place: Place) -> None:
    first, second = place.register("t:a", "t:b"), place.register("t:a")
    for version, features in ((first, ["t:a", "t:b"]), (second, ["t:a"]), (first, ["t:a", "t:b"])):
        assert place.deployment().move(version, features) is None
        assert place.state == (version, version, features)


def test_a_refused_version_leaves_everything_as_it_was(place: Place) -> None:
    first, second = place.register("t:a", "t:b"), place.register("t:c")
    place.deployment().move(first, ["t:a", "t:b"])
    place.service.refuses = {second}

    assert place.deployment().move(second, ["t:c"]) == "it answers otherwise"

    assert place.state == (first, first, ["t:a", "t:b"])


def test_while_the_service_has_not_decided_the_features_of_both_are_live(place: Place) -> None:
    first, second = place.register("t:a"), place.register("t:c")
    place.deployment().move(first, ["t:a"])
    place.service.asleep = True

    with pytest.raises(FeatureOpsError, match="still answers with version 1"):
        place.deployment(timeout=1).move(second, ["t:c"])
    assert place.state == (second, first, ["t:c", "t:a"])

    # The retry knows what is still behind the service, and finds the way back.
    place.service.refuses, place.service.asleep = {second}, False
    assert place.deployment().move(second, ["t:c"]) == "it answers otherwise"
    assert place.state == (first, first, ["t:a"])


def test_the_first_version_of_all_has_nothing_to_go_back_to(place: Place) -> None:
    first = place.register("t:a")
    place.service.refuses = {first}
    assert place.deployment().move(first, ["t:a"]) == "it answers otherwise"
    assert place.state == (None, None, [])
    assert ChampionRecord(place.registry, place.store, "toy").state().never


def test_where_the_alias_is_missing_a_refused_version_brings_no_older_one_back(place: Place) -> None:
    first, second, third = place.register("t:a"), place.register("t:b"), place.register("t:c")
    place.deployment().move(first, ["t:a"])
    place.deployment().move(second, ["t:b"])
    place.registry.remove_alias(CHAMPION)
    place.service.refuses = {third}

    assert place.deployment().move(third, ["t:c"]) == "it answers otherwise"

    # The service goes on with the second version, whose features stay in use.
    assert place.state == (None, second, ["t:b"])
    assert ChampionRecord(place.registry, place.store, "toy").state().last == second


def test_a_champion_is_on_record_once_the_service_has_taken_it(place: Place) -> None:
    client, first = MlflowClient(tracking_uri=place.uri), place.register("t:a")
    place.deployment().move(first, ["t:a"])

    client.delete_model_version("toy", first)
    assert ChampionRecord(place.registry, place.store, "toy").state().last == first
    client.delete_registered_model("toy")
    assert ChampionRecord(place.registry, place.store, "toy").state().last == first


@dataclass
class QuestionStandIn:
    """Stands in for Airflow's list of what waits for a person, which only a triggerer reaches."""

    response_received: bool = False
    responded_by_user: str | None = None
    closed_with: tuple[list[str], dict[str, Any]] | None = None
    away: int = 0

    def get(self, ti_id: UUID) -> QuestionStandIn:
        assert str(ti_id) == QUESTION
        if self.away:
            self.away -= 1
            raise AirflowRuntimeError(ErrorResponse(error=ErrorType.API_SERVER_ERROR))
        return self

    def update(self, ti_id: UUID, chosen_options: list[str], params_input: dict[str, Any]) -> None:
        assert str(ti_id) == QUESTION
        self.closed_with = chosen_options, params_input


QUESTION = "01a21a91-6939-7d99-9e3c-0c0b5f2013a2"
TRIGGER = "feature_ops.training.approval_trigger"


@pytest.fixture
def question(monkeypatch: pytest.MonkeyPatch) -> QuestionStandIn:
    stand_in = QuestionStandIn()
    monkeypatch.setattr(f"{TRIGGER}.get_hitl_detail_content_detail", stand_in.get)
    monkeypatch.setattr(f"{TRIGGER}.update_hitl_detail_response", stand_in.update)
    monkeypatch.setattr(f"{TRIGGER}._UNNOTICED", 0.1)
    monkeypatch.setattr(f"{TRIGGER}._SOON", 0.1)
    return stand_in


def wait(place: Place, in_test: str, seconds: float, limit: float = 60) -> dict[str, Any]:
    trigger = ApprovalTrigger(
        question=QUESTION,
        answer=("Reject", {"why": ""}),
        model="toy",
        tracking_uri=place.uri,
        in_test=in_test,
        deadline=(datetime.now(UTC) + timedelta(seconds=seconds)).isoformat(),
        interval=0.1,
    )
    path, arguments = trigger.serialize()
    assert path == "feature_ops.training.approval_trigger.ApprovalTrigger"
    again = ApprovalTrigger(**json.loads(json.dumps(arguments)))

    async def first() -> dict[str, Any]:
        async for event in again.run():
            return dict(event.payload)
        raise AssertionError("no event")

    return asyncio.run(asyncio.wait_for(first(), limit))


def test_the_wait_for_a_person_ends_with_a_newer_candidate_or_the_clock_and_the_question_with_it(
    place: Place, question: QuestionStandIn
) -> None:
    first, second = place.register("t:a"), place.register("t:b")
    place.registry.set_alias(TEST, first)
    assert wait(place, first, seconds=1) == {"timed_out": True}
    assert question.closed_with == (["Reject"], {"why": ""})

    question.closed_with = None
    place.registry.set_alias(TEST, second)
    assert wait(place, first, seconds=60) == {"superseded_by": second}
    assert question.closed_with == (["Reject"], {"why": ""})


def test_a_person_who_answers_at_the_last_moment_is_heard(place: Place, question: QuestionStandIn) -> None:
    first, second = place.register("t:a"), place.register("t:b")
    place.registry.set_alias(TEST, second)
    question.response_received, question.responded_by_user = True, "ada"

    with pytest.raises(TimeoutError):
        wait(place, first, seconds=60, limit=1)
    assert question.closed_with is None


def test_a_triggerer_that_died_after_it_had_closed_the_question_is_made_up_for(
    place: Place, question: QuestionStandIn
) -> None:
    first, second = place.register("t:a"), place.register("t:b")
    place.registry.set_alias(TEST, second)
    question.response_received = True

    assert wait(place, first, seconds=60) == {"superseded_by": second}


def test_a_question_that_cannot_be_closed_for_a_moment_is_closed_later(
    place: Place, question: QuestionStandIn
) -> None:
    first, second = place.register("t:a"), place.register("t:b")
    place.registry.set_alias(TEST, second)
    question.away = 2

    assert wait(place, first, seconds=0) == {"superseded_by": second}
    assert question.closed_with is not None
