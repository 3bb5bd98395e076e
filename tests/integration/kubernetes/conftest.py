"""A cluster for tests: a stand-in API server, a node that podman runs, and Airflow's way to them."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any, ClassVar

import pytest
import yaml
from airflow.sdk.exceptions import TaskDeferred
from airflow.triggers.base import BaseTrigger

from demo.connections import connection_variables
from demo.servers import Servers
from feature_ops.operator import Outcome
from feature_ops.settings import Settings, get_settings
from feature_ops.training.declaration import Model
from feature_ops.training.operators import RetrainOperator
from feature_ops.training.plan import TrainingPlan
from feature_ops.training.recipe import Recipe
from tests.conftest import PROJECT
from tests.kubernetes.api_server import ApiServer
from tests.kubernetes.host_image import host_folders, host_model_image
from tests.kubernetes.node import Node, container_names
from tests.kubernetes.podman import Podman
from tests.programs import need

NAMESPACE, SECRET = "model-training", "training-stores"
COMMIT = "c0ffee" * 6 + "c0de"


@pytest.fixture(scope="session")
def podman(tmp_path_factory: pytest.TempPathFactory) -> Podman:
    """Podman; where it is missing, tests say so and are skipped, and fail in CI."""
    need("podman", "buildah", "runc")
    return Podman(tmp_path_factory.mktemp("podman"))


@pytest.fixture(scope="session")
def image(podman: Podman) -> str:
    """The model's image, from its own Dockerfile, on this machine's packages."""
    return host_model_image(podman)


def role() -> list[dict[str, Any]]:
    """Return what the documented role allows."""
    text = (PROJECT / "deploy" / "kubernetes" / "role.yaml").read_text()
    (found,) = (one for one in yaml.safe_load_all(text) if one["kind"] == "Role")
    return list(found["rules"])


@pytest.fixture
def cluster(
    podman: Podman, image: str, servers: Servers, storage: Settings, monkeypatch: pytest.MonkeyPatch
) -> Iterator[ApiServer]:
    """A cluster, chosen by settings alone."""
    store = servers.object_store.environment()
    node = Node(podman, {SECRET: store}, host_folders=host_folders())
    api = ApiServer(node, NAMESPACE, role())
    api.start()
    for name, value in connection_variables(servers.object_store, "", "", "", {}).items():
        monkeypatch.setenv(name, value)
    connection = {"conn_type": "kubernetes", "extra": {"kube_config": json.dumps(api.kubeconfig)}}
    variables = {
        "AIRFLOW_CONN_KUBERNETES_DEFAULT": json.dumps(connection),
        "FEATURE_OPS_TRAINING_PLACE": "pod",
        "FEATURE_OPS_TRAINING_IMAGE": image,
        "FEATURE_OPS_TRAINING_NAMESPACE": NAMESPACE,
        "FEATURE_OPS_TRAINING_SECRETS": json.dumps([SECRET]),
        "FEATURE_OPS_TRAINING_POLL_INTERVAL": "0.2",
        "FEATURE_OPS_TRAINING_MEMORY": "1GiB",
    }
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    get_settings.cache_clear()
    yield api
    api.close()
    assert container_names(podman) == [], "pods are left behind"


class StateStandIn(dict[str, Any]):
    """Stands in for the task's state store, which the scheduler's API server keeps."""

    def set(self, key: str, value: Any, retention: object = None) -> None:
        self[key] = json.loads(json.dumps(value))


@dataclass
class TaskStandIn:
    """
    Stands in for Airflow around one task: its worker, its triggerer, its retries.

    :param operator: makes the task anew, as each process does that runs a part of it.
    """

    operator: Callable[[], Any]
    run_id: str = "run"
    state: StateStandIn = field(default_factory=StateStandIn)
    try_number: int = 0
    task: Any = None

    @property
    def said(self) -> str:
        return str(self.state.get("summary", ""))

    def context(self) -> Any:
        ti = SimpleNamespace(
            dag_id="continuous_training",
            task_id="retrain",
            run_id=self.run_id,
            map_index=-1,
            try_number=self.try_number,
            start_date=datetime.now(UTC),
            xcom_push=lambda **_: None,
        )
        return {
            "ti": ti,
            "run_id": self.run_id,
            "dag": SimpleNamespace(),
            "dag_run": SimpleNamespace(run_id=self.run_id, conf=None),
            "task_state_store": self.state,
        }

    def start(self) -> TaskDeferred:
        """Do a try as far as its wait."""
        self.try_number += 1
        self.task = self.operator()
        with pytest.raises(TaskDeferred) as deferred:
            self.task.execute(self.context())
        return deferred.value

    def start_only(self) -> None:
        """Do a try that does not come as far as a wait."""
        self.try_number += 1
        self.operator().execute(self.context())

    def go_on(self, deferred: TaskDeferred) -> dict[str, Any]:
        """Wait, and do what is left of the try."""
        while True:
            event = asyncio.run(first_event(deferred.trigger))
            self.task = self.operator()
            try:
                facts = self.task.resume_execution(deferred.method_name, {"event": event}, self.context())
            except TaskDeferred as again:
                deferred = again
            else:
                return dict(facts)

    def run(self) -> dict[str, Any]:
        """Do a whole try."""
        return self.go_on(self.start())


def as_triggerer_has_it(trigger: BaseTrigger) -> Any:
    """Return the trigger as another process makes it."""
    from airflow.sdk._shared.module_loading import import_string

    path, arguments = trigger.serialize()
    return import_string(path)(**arguments)


async def first_event(trigger: BaseTrigger) -> dict[str, Any]:
    """Run a trigger to its event."""
    async for event in as_triggerer_has_it(trigger).run():
        return dict(event.payload)
    raise AssertionError("the trigger ended without an event")


class PlannedRetrain(RetrainOperator):
    """Trains what it is told; what is to be trained is another test's subject."""

    needs: ClassVar[dict[str, Any]] = {}

    def __init__(self, *, result: str = "result", **kwargs: Any) -> None:
        super().__init__(diff={}, **kwargs)
        self.result_name = result

    def reconcile(self, context: Any) -> Outcome:
        from feature_ops.feast.hook import FeastHook

        plan = TrainingPlan(
            commit=COMMIT,
            recipe=Recipe("d" * 64, "e" * 64),
            why="forced",
            dataset_version="songs-1",
            result_uri=f"{get_settings().storage_uri}/_training/toy/{context['run_id']}/{self.result_name}.json",
        )
        self._start_pod(context, FeastHook(), plan)
        return plan.outcome(self.result(plan.result_uri))


def toy(code: str) -> Model:
    """A model whose training is a few lines, in the real image."""
    # Podman can't read back an argument that begins with an empty line.
    return Model(name="toy", feature_service="serving_fs", command=("-c", code.strip()))


def task(code: str, run_id: str = "run", result: str = "result") -> TaskStandIn:
    """A training of a toy."""
    return TaskStandIn(lambda: PlannedRetrain(task_id="retrain", model=toy(code), result=result), run_id)
