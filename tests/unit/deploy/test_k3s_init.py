"""What the cluster of docker-compose.yaml is given: valid objects, and no more rights than documented."""

from __future__ import annotations

from typing import Any

import kubernetes_validate
import pytest

from deploy.compose.k3s_init import (
    ACCOUNT,
    ACCOUNT_NAMESPACE,
    NAMESPACE,
    account_objects,
    kubeconfig,
    manifests,
    store_objects,
    training_secret,
)
from tests.conftest import PROJECT

ADDRESSES = {"postgres": "10.0.0.2", "seaweedfs": "10.0.0.3", "mlflow": "10.0.0.4"}
OBJECTS = [
    *account_objects(),
    *manifests(PROJECT / "deploy" / "kubernetes"),
    training_secret({"AWS_ACCESS_KEY_ID": "a", "FEAST_REGISTRY_URL": "b", "HOME": "/"}),
    *store_objects(ADDRESSES),
]


@pytest.mark.parametrize("one", OBJECTS, ids=lambda one: f"{one['kind']}-{one['metadata']['name']}")
def test_every_object_is_valid(one: dict[str, Any]) -> None:
    kubernetes_validate.validate(one, "1.37", strict=True)


def test_a_training_gets_the_stores_and_nothing_else() -> None:
    (secret,) = (one for one in OBJECTS if one["metadata"]["name"] == "training-stores")
    assert secret["stringData"] == {"AWS_ACCESS_KEY_ID": "a", "FEAST_REGISTRY_URL": "b"}


def test_each_store_has_the_name_that_it_has_for_containers_and_may_be_reached() -> None:
    slices = {one["metadata"]["name"]: one for one in OBJECTS if one["kind"] == "EndpointSlice"}
    assert {name: one["endpoints"][0]["addresses"] for name, one in slices.items()} == {
        name: [address] for name, address in ADDRESSES.items()
    }
    (policy,) = (one for one in OBJECTS if one["metadata"]["name"] == "compose-stores")
    reached = [rule["to"][0]["ipBlock"]["cidr"] for rule in policy["spec"]["egress"]]
    assert reached == [f"{address}/32" for address in ADDRESSES.values()]


def test_airflow_has_the_account_that_the_role_is_bound_to() -> None:
    (binding,) = (one for one in OBJECTS if one["kind"] == "RoleBinding")
    subject = {"kind": "ServiceAccount", "name": ACCOUNT, "namespace": ACCOUNT_NAMESPACE}
    assert subject in binding["subjects"]
    assert binding["metadata"]["namespace"] == NAMESPACE
    assert kubeconfig("certificate", "token")["users"] == [{"name": ACCOUNT, "user": {"token": "token"}}]
