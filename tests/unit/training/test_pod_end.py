"""Each way in which a pod can end is told in words, and tried again only where that can help."""

from __future__ import annotations

from typing import Any

import pytest

from feature_ops.exceptions import BadInputError, FeatureOpsError
from feature_ops.training.pod_end import PodEnd, failure

LIMITS = {"limits": {"memory": "1073741824"}}


def pod(state: dict[str, Any] | None = None, **status: Any) -> dict[str, Any]:
    statuses = [{"name": "base", "state": state}] if state else []
    return {
        "metadata": {"name": "train-toy-1"},
        "spec": {"containers": [{"name": "base", "image": "toy:1", "resources": LIMITS}]},
        "status": {"containerStatuses": statuses, **status},
    }


def ended(code: int, reason: str = "Error", message: str = "loading\nerror: no labels\n") -> dict[str, Any]:
    return {"terminated": {"exitCode": code, "reason": reason, "message": message}}


def waiting(reason: str) -> dict[str, Any]:
    return {"waiting": {"reason": reason, "message": "it says why"}}


UNSCHEDULABLE = [
    {"type": "Ready", "status": "False", "reason": "Other"},
    {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "0/3 nodes"},
]
CASES = [
    (pod(ended(1)), "the training failed with 1: error: no labels; see", False),
    (pod(ended(65)), "the training can't be done: error: no labels; see", True),
    (pod(ended(2, message="")), "the training failed with 2: it said nothing", False),
    (pod(waiting("ErrImagePull")), "the image toy:1 can't be pulled (ErrImagePull: it says why)", False),
    (pod(waiting("ImagePullBackOff")), "the image toy:1 can't be pulled", False),
    (pod(waiting("InvalidImageName")), "the image toy:1 can't be pulled", True),
    (pod(waiting("CreateContainerConfigError")), "the training can't start in pod train-toy-1", False),
    (pod(conditions=UNSCHEDULABLE), "no node takes the pod of the training (0/3 nodes)", False),
    (pod(ended(137), reason="DeadlineExceeded", message="x"), "did not end within 60 s", False),
    (
        pod(ended(137), reason="Evicted", message="The node was low on memory"),
        "the pod train-toy-1 of the training ended (Evicted): The node was low on memory",
        False,
    ),
    (pod(), "the pod train-toy-1 of the training ended (for no known reason): timed out", False),
]


@pytest.mark.parametrize(("found", "says", "for_good"), CASES)
def test_an_end_is_told(found: dict[str, Any], says: str, for_good: bool) -> None:
    error = failure(PodEnd.of(found), "timed out", 60)

    assert says in str(error)
    assert isinstance(error, BadInputError) is for_good


def test_a_pod_that_is_gone_is_told() -> None:
    error = failure(None, "", 60)

    assert type(error) is FeatureOpsError
    assert "is gone" in str(error)


def test_running_out_of_memory_is_known_with_how_much_there_was() -> None:
    end = PodEnd.of(pod(ended(137, "OOMKilled")))

    assert (end.out_of_memory, end.memory) == (True, 1 << 30)
    assert not PodEnd.of(pod(ended(137))).out_of_memory


def test_a_sidecar_says_nothing_of_the_training() -> None:
    found = pod(ended(1))
    found["spec"]["containers"].append({"name": "mesh", "image": "mesh"})
    found["status"]["containerStatuses"].insert(0, {"name": "mesh", "state": ended(0, "Completed", "bye")})

    assert PodEnd.of(found).exit_code == 1
