"""The pod of a training, as a manifest."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from typing import Any
from urllib.parse import urlsplit

from feature_ops.exceptions import BadInputError
from feature_ops.settings import Settings
from feature_ops.training.declaration import Model
from feature_ops.training.plan import TrainingPlan

CONTAINER = "base"
# Tells the pods of one plan from those of another one of the same task.
PLAN_LABEL = "feature-ops/plan"


def manifest(
    settings: Settings, model: Model, plan: TrainingPlan, command: Sequence[str], memory: int
) -> dict[str, Any]:
    """
    Return the pod that runs a training: as little as it can do with, and without any secret.

    :param command: what follows the Python interpreter.
    :param memory: bytes that it gets.
    :raises BadInputError: the settings name no image.
    """
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": f"train-{_dns_label(model.name)}",
            "labels": {
                **settings.training_labels,
                "app.kubernetes.io/name": _dns_label(model.name),
                "app.kubernetes.io/component": "training",
                "app.kubernetes.io/managed-by": "feature-ops",
                PLAN_LABEL: plan_label(plan),
            },
            "annotations": {**settings.training_annotations, "feature-ops/commit": plan.commit},
        },
        "spec": _spec(settings, plan, command, memory),
    }


def plan_label(plan: TrainingPlan) -> str:
    """Return what the pods of a plan have as their label."""
    return hashlib.sha256(plan.result_uri.encode()).hexdigest()[:16]


def _spec(settings: Settings, plan: TrainingPlan, command: Sequence[str], memory: int) -> dict[str, Any]:
    spec = {
        "restartPolicy": "Never",
        "activeDeadlineSeconds": round(settings.training_timeout),
        # A training that is told to end has nothing to put away.
        "terminationGracePeriodSeconds": 2,
        # It talks to stores, never to Kubernetes.
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "securityContext": {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}},
        "containers": [_container(settings, plan, command, memory)],
        "volumes": [{"name": "tmp", "emptyDir": {}}],
        "serviceAccountName": settings.training_service_account,
        "nodeSelector": dict(settings.training_node_selector),
        "tolerations": list(settings.training_tolerations),
        "imagePullSecrets": [{"name": name} for name in settings.training_pull_secrets],
    }
    return {name: value for name, value in spec.items() if value not in (None, {}, [])}


def _container(settings: Settings, plan: TrainingPlan, command: Sequence[str], memory: int) -> dict[str, Any]:
    # What a node has no more of than it promised can't be taken away: limit and request are the same.
    fixed = {"memory": str(memory), **settings.training_devices}
    return {
        "name": CONTAINER,
        "image": _image(settings, plan.commit),
        "imagePullPolicy": settings.training_pull_policy,
        "command": ["python", *command],
        "env": [{"name": name, "value": value} for name, value in _environment(settings).items()],
        "envFrom": [{"secretRef": {"name": name}} for name in settings.training_secrets],
        "resources": {"requests": {"cpu": settings.training_cpu, **fixed}, "limits": fixed},
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        },
        "terminationMessagePolicy": "FallbackToLogsOnError",
        "volumeMounts": [{"name": "tmp", "mountPath": "/tmp"}],  # noqa: S108 - the pod's own
    }


def _image(settings: Settings, commit: str) -> str:
    if not settings.training_image:
        raise BadInputError("no image to train with is set: set FEATURE_OPS_TRAINING_IMAGE")
    return settings.training_image.replace("{commit}", commit)


def _environment(settings: Settings) -> dict[str, str]:
    uri = settings.mlflow_tracking_uri
    # One with a password belongs into a secret: whoever may see a pod may see its variables.
    told = {"MLFLOW_TRACKING_URI": uri} if uri and urlsplit(uri).password is None else {}
    values = {**told, **settings.training_environment}
    return {name: value for name, value in values.items() if value}


def _dns_label(name: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")[:40]
