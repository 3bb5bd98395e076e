"""The manifests of the model's service are what Kubernetes takes, and ask for what the service has."""

from __future__ import annotations

from typing import Any

import kubernetes_validate
import pytest
import yaml

from jukebox.__main__ import _parser
from tests.conftest import PROJECT

SERVING = PROJECT / "deploy" / "kubernetes" / "serving"
FILES = sorted(file.name for file in SERVING.glob("*.yaml") if file.name != "kustomization.yaml")
SERVICES = ("model-test.yaml", "model-production.yaml")


def documents(name: str) -> list[dict[str, Any]]:
    return list(yaml.safe_load_all((SERVING / name).read_text()))


@pytest.mark.parametrize("name", FILES)
def test_each_manifest_is_what_kubernetes_takes(name: str) -> None:
    for document in documents(name):
        kubernetes_validate.validate(document, "1.37", strict=True)


def test_the_kustomization_names_every_manifest() -> None:
    (kustomization,) = documents("kustomization.yaml")
    assert sorted(kustomization["resources"]) == FILES


def test_the_services_have_the_configuration_of_the_feature_store() -> None:
    (configuration,) = documents("feature-store.yaml")
    wanted = (PROJECT / "feature_repo" / "feature_store.yaml").read_text()
    assert configuration["data"]["feature_store.yaml"] == wanted


@pytest.mark.parametrize("name", SERVICES)
def test_a_service_starts_with_arguments_that_it_knows_and_few_rights(name: str) -> None:
    deployment, service = documents(name)
    pod = deployment["spec"]["template"]
    (container,) = pod["spec"]["containers"]

    asked = _parser().parse_args(container["args"])
    assert asked.alias == ("test" if name == "model-test.yaml" else "champion")
    mounted = {mount["mountPath"] for mount in container["volumeMounts"]}
    assert {asked.feature_repo, asked.state} < mounted
    assert service["spec"]["selector"] == pod["metadata"]["labels"]
    assert pod["spec"]["securityContext"]["runAsNonRoot"]
    assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}
    probes = {kind: container[f"{kind}Probe"]["httpGet"]["path"] for kind in ("liveness", "readiness")}
    assert probes == {"liveness": "/health/live", "readiness": "/health/ready"}


def test_two_services_differ_in_name_alias_and_number_only() -> None:
    texts = [(SERVING / name).read_text() for name in SERVICES]
    alike = [
        text.replace("model-production", "model-test")
        .replace("champion", "test")
        .replace("replicas: 2", "replicas: 1")
        for text in texts
    ]
    assert alike[0] == alike[1]
