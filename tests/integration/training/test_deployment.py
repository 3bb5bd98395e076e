"""An alias and its service move together or not at all, and what is live stays listed."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
from mlflow import MlflowClient

from demo.servers import Servers
from feature_ops.exceptions import FeatureOpsError
from feature_ops.settings import Settings
from feature_ops.training.approval_trigger import ApprovalTrigger
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
def place(tmp_path: Path, servers: Servers, storage: Settings) -> Iterator[Place]:
    place = Place(f"sqlite:///{tmp_path}/mlflow.db", servers)
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
    assert place.registry.by_alias(CHAMPION) is None


def wait(place: Place, in_test: str, seconds: float) -> dict[str, Any]:
    trigger = ApprovalTrigger(
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

    return asyncio.run(first())


def test_the_wait_for_a_person_ends_with_a_newer_candidate_or_the_clock(place: Place) -> None:
    first, second = place.register("t:a"), place.register("t:b")
    place.registry.set_alias(TEST, first)
    assert wait(place, first, seconds=1) == {"timed_out": True}
    place.registry.set_alias(TEST, second)
    assert wait(place, first, seconds=60) == {"superseded_by": second}
