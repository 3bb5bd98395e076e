"""
Prepare the cluster of docker-compose.yaml for trainings: the namespace and rights of deploy/kubernetes, the
way to the stores, and a kubeconfig for Airflow with those rights alone. May be run at every start.
"""

from __future__ import annotations

import base64
import json
import os
import socket
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

MANIFESTS = Path("/opt/deploy/kubernetes")
ADMIN = Path("/admin/admin.yaml")
FOR_AIRFLOW = Path("/run/kubernetes/kubeconfig.yaml")
SERVER = "https://k3s:6443"
NAMESPACE = "model-training"
# What a training talks to: name in the compose file → port.
STORES = {"postgres": 5432, "seaweedfs": 8333, "mlflow": 5000}
# Of the manifests' role binding.
ACCOUNT, ACCOUNT_NAMESPACE = "airflow-worker", "airflow"
SECONDS = 120


def store_objects(addresses: Mapping[str, str]) -> Iterator[dict[str, Any]]:
    """
    Yield what gives pods the stores under the names that they have for containers.

    :param addresses: of each store.
    """
    for name, address in addresses.items():
        metadata = {"name": name, "namespace": NAMESPACE}
        port = {"name": "store", "port": STORES[name]}
        yield {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": metadata,
            "spec": {"clusterIP": "None", "ports": [port]},
        }
        yield {
            "apiVersion": "discovery.k8s.io/v1",
            "kind": "EndpointSlice",
            "metadata": {**metadata, "labels": {"kubernetes.io/service-name": name}},
            "addressType": "IPv4",
            "ports": [port],
            "endpoints": [{"addresses": [address]}],
        }
    yield {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {"name": "compose-stores", "namespace": NAMESPACE},
        "spec": {
            "podSelector": {"matchLabels": {"app.kubernetes.io/component": "training"}},
            "policyTypes": ["Egress"],
            "egress": [
                {
                    "to": [{"ipBlock": {"cidr": f"{address}/32"}}],
                    "ports": [{"protocol": "TCP", "port": STORES[name]}],
                }
                for name, address in addresses.items()
            ],
        },
    }


def training_secret(environment: Mapping[str, str]) -> dict[str, Any]:
    """Return the secret whose entries a training gets as its environment."""
    names = [name for name in environment if name.startswith(("AWS_", "FEAST_", "MLFLOW_"))]
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": "training-stores", "namespace": NAMESPACE},
        "type": "Opaque",
        "stringData": {name: environment[name] for name in sorted(names)},
    }


def account_objects() -> Iterator[dict[str, Any]]:
    """Yield the service account that Airflow has here, with a token that lasts."""
    yield {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": ACCOUNT_NAMESPACE}}
    metadata = {"name": ACCOUNT, "namespace": ACCOUNT_NAMESPACE}
    yield {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": metadata}
    yield {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {**metadata, "annotations": {"kubernetes.io/service-account.name": ACCOUNT}},
        "type": "kubernetes.io/service-account-token",
    }


def kubeconfig(certificate: str, token: str) -> dict[str, Any]:
    """Return Airflow's way to the cluster."""
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [
            {"name": "k3s", "cluster": {"server": SERVER, "certificate-authority-data": certificate}}
        ],
        "users": [{"name": ACCOUNT, "user": {"token": token}}],
        "contexts": [{"name": "k3s", "context": {"cluster": "k3s", "user": ACCOUNT}}],
        "current-context": "k3s",
    }


def manifests(folder: Path) -> Iterator[dict[str, Any]]:
    """Yield the objects of a kustomization's files, in its order."""
    for name in yaml.safe_load((folder / "kustomization.yaml").read_text())["resources"]:
        yield from yaml.safe_load_all((folder / name).read_text())


def main() -> None:
    """Apply everything and write the kubeconfig."""
    from kubernetes import client, config
    from kubernetes.dynamic import DynamicClient

    admin = yaml.safe_load(ADMIN.read_text())
    admin["clusters"][0]["cluster"]["server"] = SERVER
    api = config.new_client_from_config_dict(admin)
    dynamic = DynamicClient(api)
    addresses = {name: socket.gethostbyname(name) for name in STORES}
    objects = [
        *account_objects(),
        *manifests(MANIFESTS),
        training_secret(os.environ),
        *store_objects(addresses),
    ]
    for one in objects:
        dynamic.resources.get(api_version=one["apiVersion"], kind=one["kind"]).server_side_apply(
            body=one,
            name=one["metadata"]["name"],
            namespace=one["metadata"].get("namespace"),
            field_manager="compose",
        )
    token = _token(client.CoreV1Api(api))
    certificate = admin["clusters"][0]["cluster"]["certificate-authority-data"]
    written = FOR_AIRFLOW.with_suffix(".new")
    written.write_text(json.dumps(kubeconfig(certificate, token)))
    written.chmod(0o644)
    written.replace(FOR_AIRFLOW)
    print(f"The cluster is prepared: {len(objects)} objects in {NAMESPACE} and {ACCOUNT_NAMESPACE}")


def _token(api: Any) -> str:
    """Return the account's token, which the cluster fills in a moment after its secret was made."""
    limit = time.monotonic() + SECONDS
    while True:
        data = api.read_namespaced_secret(ACCOUNT, ACCOUNT_NAMESPACE).data or {}
        if data.get("token"):
            return base64.b64decode(data["token"]).decode()
        if time.monotonic() > limit:
            raise TimeoutError(f"the cluster gave {ACCOUNT} no token within {SECONDS} s")
        time.sleep(1)


if __name__ == "__main__":
    main()
