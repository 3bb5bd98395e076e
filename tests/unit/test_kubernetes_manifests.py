"""The manifests that are given away are what Kubernetes takes, and fit the pods that are started."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

from feature_ops.settings import Settings
from feature_ops.training.declaration import Model
from feature_ops.training.plan import TrainingPlan
from feature_ops.training.pod_manifest import manifest
from feature_ops.training.recipe import Recipe

DEPLOY = Path(__file__).resolve().parents[2] / "deploy" / "kubernetes"
NO_MANIFESTS = ("kustomization.yaml", "airflow-values.yaml")
FILES = sorted(file.name for file in DEPLOY.glob("*.yaml") if file.name not in NO_MANIFESTS)


def documents(name: str) -> list[dict[str, Any]]:
    return list(yaml.safe_load_all((DEPLOY / name).read_text()))


@pytest.mark.parametrize("name", FILES)
def test_each_manifest_is_what_kubernetes_takes(name: str) -> None:
    for document in documents(name):
        kubernetes_validate.validate(document, "1.37", strict=True)


def test_the_kustomization_names_every_manifest_but_the_example_of_a_secret() -> None:
    (kustomization,) = documents("kustomization.yaml")

    assert sorted(kustomization["resources"]) == [name for name in FILES if "example" not in name]


def test_everything_is_in_the_namespace_and_the_policy_is_for_the_pods_that_are_started() -> None:
    (namespace,) = documents("namespace.yaml")
    others = [one for name in FILES if name != "namespace.yaml" for one in documents(name)]
    assert {one["metadata"]["namespace"] for one in others} == {namespace["metadata"]["name"]}
    (policy,) = documents("network-policy.yaml")

    settings = Settings(training_image="jukebox")
    model = Model(name="jukebox", feature_service="fs", command=("-m", "jukebox", "train"))
    plan = TrainingPlan("c" * 40, Recipe("d", "e"), "forced", "data", "s3://b/r.json")
    pod = manifest(settings, model, plan, ["-m", "jukebox"], 1 << 30)

    selected = policy["spec"]["podSelector"]["matchLabels"]
    assert selected.items() <= pod["metadata"]["labels"].items()
