"""How the pod of a training ended, in words."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from feature_ops.exceptions import BadInputError, FeatureOpsError
from feature_ops.training.pod_manifest import CONTAINER
from feature_ops.training.process import DATA_ERROR

# No later look at the registry will find these.
_WRONG_IMAGE = ("InvalidImageName", "ErrImageNeverPull")
_NO_IMAGE = (*_WRONG_IMAGE, "ErrImagePull", "ImagePullBackOff")
_NOT_STARTED = ("CreateContainerConfigError", "CreateContainerError", "RunContainerError", "StartError")
_LENGTH = 400


@dataclass(frozen=True)
class PodEnd:
    """
    The last that is known of a pod.

    :param name: its name.
    :param image: what it ran.
    :param memory: bytes that it had; 0 if unknown.
    :param exit_code: of the training; None if it did not end by itself.
    :param reason: Kubernetes' word for the end: ``OOMKilled``, ``DeadlineExceeded``, ``Evicted``, …
    :param message: what was said at the end, its last line.
    """

    name: str
    image: str
    memory: int
    exit_code: int | None
    reason: str
    message: str

    @classmethod
    def of(cls, pod: Mapping[str, Any]) -> PodEnd:
        """Read it from a pod, as the API gives it."""
        status = pod.get("status") or {}
        (container,) = (one for one in pod["spec"]["containers"] if one["name"] == CONTAINER)
        states = [
            one.get("state") or {}
            for one in status.get("containerStatuses") or ()
            if one["name"] == CONTAINER
        ]
        state = states[0] if states else {}
        ended, waits = state.get("terminated") or {}, state.get("waiting") or {}
        unscheduled = [
            one
            for one in status.get("conditions") or ()
            if one["type"] == "PodScheduled" and one["status"] == "False"
        ]
        # The pod's own reason comes first: a deadline, too, leaves a container that was killed.
        told: Mapping[str, Any] = next(
            (one for one in (status, ended, waits, *unscheduled) if one.get("reason")), {}
        )
        message = str(told.get("message") or ended.get("message") or "")
        return cls(
            name=pod["metadata"]["name"],
            image=container["image"],
            memory=int((container.get("resources") or {}).get("limits", {}).get("memory", 0)),
            exit_code=ended.get("exitCode"),
            reason=str(told.get("reason") or ""),
            message=_last_line(message),
        )

    @property
    def out_of_memory(self) -> bool:
        """Whether the training wanted more memory than it had."""
        return self.reason == "OOMKilled"


def failure(end: PodEnd | None, event: str, deadline: float) -> FeatureOpsError:
    """
    Return what went wrong, and the remedy.

    :param end: None if nobody finds the pod any more.
    :param event: what the triggerer said.
    :param deadline: seconds that the training had.
    """
    if end is None:
        return FeatureOpsError(
            "the pod of the training is gone: somebody removed it, or its node was lost; a retry starts anew"
        )
    said = end.message or "it said nothing"
    if end.reason in _NO_IMAGE:
        kind = BadInputError if end.reason in _WRONG_IMAGE else FeatureOpsError
        return kind(
            f"the image {end.image} can't be pulled ({end.reason}: {said}): push it, or correct "
            "FEATURE_OPS_TRAINING_IMAGE and FEATURE_OPS_TRAINING_PULL_SECRETS"
        )
    if end.reason in _NOT_STARTED:
        return FeatureOpsError(
            f"the training can't start in pod {end.name} ({end.reason}: {said}): look at the secrets and "
            "the image that the settings name"
        )
    if end.reason == "Unschedulable":
        return FeatureOpsError(
            f"no node takes the pod of the training ({said}): add one, or ask for less with "
            "FEATURE_OPS_TRAINING_CPU and FEATURE_OPS_TRAINING_MEMORY"
        )
    if end.reason == "DeadlineExceeded":
        return FeatureOpsError(
            f"the training did not end within {deadline:.0f} s: raise FEATURE_OPS_TRAINING_TIMEOUT"
        )
    if end.exit_code == DATA_ERROR:
        return BadInputError(f"the training can't be done: {said}; see the log above")
    if end.exit_code and end.reason in ("Error", ""):
        return FeatureOpsError(f"the training failed with {end.exit_code}: {said}; see the log above")
    return FeatureOpsError(
        f"the pod {end.name} of the training ended ({end.reason or 'for no known reason'}): "
        f"{end.message or event or 'it said nothing'}"
    )


def _last_line(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1][:_LENGTH] if lines else ""
