"""A training's pod has what the settings say, and no secret."""

from __future__ import annotations

import json
from typing import Any

import kubernetes_validate
import pytest

from feature_ops.exceptions import BadInputError
from feature_ops.settings import Settings
from feature_ops.training.declaration import Model
from feature_ops.training.plan import TrainingPlan
from feature_ops.training.pod_manifest import PLAN_LABEL, manifest
from feature_ops.training.recipe import Recipe

MODEL = Model(name="Juke_Box", feature_service="fs", command=("-m", "jukebox", "train"))
PLAN = TrainingPlan("c" * 40, Recipe("d" * 64, "e" * 64), "forced", "data", "s3://b/_training/r.json")
EVERYTHING: dict[str, Any] = {
    "training_image": "registry.example/jukebox:{commit}",
    "training_service_account": "training",
    "training_secrets": ("stores", "mlflow"),
    "training_environment": {"TZ": "UTC"},
    "training_pull_policy": "Always",
    "training_pull_secrets": ("registry",),
    "training_cpu": "500m",
    "training_devices": {"nvidia.com/gpu": "1"},
    "training_node_selector": {"pool": "gpu"},
    "training_tolerations": ({"key": "gpu", "operator": "Exists", "effect": "NoSchedule"},),
    "training_labels": {"team": "songs"},
    "training_annotations": {"cost": "models"},
    "training_timeout": 90.4,
}


def pod(**settings: Any) -> dict[str, Any]:
    found = manifest(
        Settings(**{"training_image": "jukebox", **settings}),
        MODEL,
        PLAN,
        PLAN.command(MODEL, "s3://b/f.yaml"),
        3 << 30,
    )
    kubernetes_validate.validate(found, "1.37", strict=True)
    return found


def test_all_that_the_settings_say_is_in_it() -> None:
    made = pod(**EVERYTHING)

    spec, (container,) = made["spec"], made["spec"]["containers"]
    assert made["metadata"]["name"] == "train-juke-box"
    assert made["metadata"]["labels"]["team"] == "songs"
    assert made["metadata"]["annotations"] == {"cost": "models", "feature-ops/commit": "c" * 40}
    assert (spec["serviceAccountName"], spec["nodeSelector"]) == ("training", {"pool": "gpu"})
    assert spec["tolerations"] == [{"key": "gpu", "operator": "Exists", "effect": "NoSchedule"}]
    assert (spec["imagePullSecrets"], spec["activeDeadlineSeconds"]) == ([{"name": "registry"}], 90)
    assert container["image"] == f"registry.example/jukebox:{'c' * 40}"
    assert container["imagePullPolicy"] == "Always"
    assert container["resources"] == {
        "requests": {"cpu": "500m", "memory": str(3 << 30), "nvidia.com/gpu": "1"},
        "limits": {"memory": str(3 << 30), "nvidia.com/gpu": "1"},
    }
    assert container["envFrom"] == [{"secretRef": {"name": "stores"}}, {"secretRef": {"name": "mlflow"}}]
    assert {"name": "TZ", "value": "UTC"} in container["env"]
    assert container["command"][:4] == ["python", "-m", "jukebox", "train"]
    assert "--feature-repo=s3://b/f.yaml" in container["command"]


def test_mlflows_address_is_told_unless_it_has_a_password_or_is_taken_away() -> None:
    def told(**settings: Any) -> list[dict[str, str]]:
        return list(pod(**settings)["spec"]["containers"][0]["env"])

    address = {"name": "MLFLOW_TRACKING_URI", "value": "http://mlflow:5000"}
    assert told(mlflow_tracking_uri="http://mlflow:5000") == [address]
    assert told(mlflow_tracking_uri="http://ada:hunter2@mlflow:5000") == []
    taken = {"MLFLOW_TRACKING_URI": ""}
    assert told(mlflow_tracking_uri="http://mlflow:5000", training_environment=taken) == []


def test_another_result_is_another_plan() -> None:
    another = TrainingPlan(PLAN.commit, PLAN.recipe, PLAN.why, "data", "s3://b/_training/another.json")
    settings = Settings(training_image="jukebox")

    labels = [manifest(settings, MODEL, plan, [], 1)["metadata"]["labels"] for plan in (PLAN, PLAN, another)]

    assert labels[0] == labels[1]
    assert labels[0][PLAN_LABEL] != labels[2][PLAN_LABEL]


def test_no_image_is_told_with_the_setting() -> None:
    with pytest.raises(BadInputError, match="set FEATURE_OPS_TRAINING_IMAGE"):
        pod(training_image=None)


def test_a_plan_is_the_same_after_it_was_kept() -> None:
    assert TrainingPlan.from_json(json.loads(json.dumps(PLAN.to_json()))) == PLAN
