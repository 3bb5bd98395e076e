"""A training in a pod ends as a process does: with its result, or with a line that says why not."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest
from airflow.sdk.exceptions import AirflowFailException, TaskDeferred

from feature_ops.exceptions import FeatureOpsError
from feature_ops.settings import get_settings
from tests.integration.kubernetes.conftest import (
    COMMIT,
    SECRET,
    as_triggerer_has_it,
    task,
)
from tests.kubernetes.api_server import ApiServer, Fault

# The first test waits for the image to be built.
pytestmark = pytest.mark.timeout(900)

GIVEN = "import sys; given = dict(a.removeprefix('--').split('=', 1) for a in sys.argv[1:])\n"
TRAIN = (
    GIVEN
    + """
import json
from jukebox.files import read_text, write_text
assert "project: " in read_text(given["feature-repo"])
print("learning")
write_text(given["result"], json.dumps({
    "run_id": "r", "artifact_uri": "a", "rows": {"train": 8}, "features": ["tracks:energy"], "metrics": {},
    "git_commit": given["revision"], "dataset_version": given["dataset-version"],
    "definition_hash": given["definition-hash"], "seconds": 1,
}))
"""
)
SLOW = "import time; time.sleep(4)\n" + TRAIN
ENDLESS = "import time; time.sleep(300)"


@pytest.fixture
def configure(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Change settings of pods."""

    def change(**values: str) -> None:
        for name, value in values.items():
            monkeypatch.setenv(f"FEATURE_OPS_TRAINING_{name.upper()}", value)
        get_settings.cache_clear()

    return change


def until(what: Callable[[], Any], limit: float = 60) -> None:
    """Wait for a condition."""
    end = time.monotonic() + limit
    while not what():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.1)


def running(cluster: ApiServer) -> bool:
    return any(pod["status"]["phase"] == "Running" for pod in cluster.pods.values())


def test_a_training_ends_with_its_result_and_leaves_no_pod(
    cluster: ApiServer, capsys: pytest.CaptureFixture[str]
) -> None:
    training = task(TRAIN)

    facts = training.run()

    assert facts["commit"] == COMMIT
    assert training.said == "trained on c0ffeec0ff (forced): 1 features, 8 rows, 1 s"
    assert "learning" in capsys.readouterr().out
    cluster.settle()
    assert cluster.pods == {}


def test_no_secret_is_in_the_manifest_and_the_pod_has_no_rights(
    cluster: ApiServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FEATURE_OPS_MLFLOW_TRACKING_URI", "https://ada:hunter2@mlflow.example")
    get_settings.cache_clear()
    check = """
import os
assert os.getuid() == 1001 and os.environ["AWS_SECRET_ACCESS_KEY"]
status = open("/proc/self/status").read()
assert "CapEff:\\t0000000000000000" in status and "NoNewPrivs:\\t1" in status
try:
    open("/opt/jukebox/x", "w")
except OSError:
    pass
else:
    raise SystemExit("the file system can be written to")
assert not os.path.exists("/var/run/secrets/kubernetes.io")
"""
    task(check + TRAIN).run()

    (pod,) = cluster.created
    told = json.dumps(pod)
    assert all(
        secret not in told for secret in ("hunter2", cluster.node.secrets[SECRET]["AWS_SECRET_ACCESS_KEY"])
    )
    assert pod["spec"]["automountServiceAccountToken"] is False


def test_what_fails_says_its_last_line_and_wrong_input_is_not_tried_again(cluster: ApiServer) -> None:
    code = "import sys; print('labels of'); print('error: out of labels', file=sys.stderr); sys.exit({})"

    with pytest.raises(FeatureOpsError, match="the training failed with 3: error: out of labels"):
        task(code.format(3)).run()
    with pytest.raises(AirflowFailException, match="the training can't be done: error: out of labels"):
        task(code.format(65), "another run").run()


def test_an_image_that_is_not_there_is_named(cluster: ApiServer, configure: Callable[..., None]) -> None:
    configure(image="localhost/jukebox:{commit}")

    with pytest.raises(FeatureOpsError, match=f"the image localhost/jukebox:{COMMIT} can't be pulled"):
        task(TRAIN).run()
    configure(pull_policy="Never")
    with pytest.raises(AirflowFailException, match=r"can't be pulled .ErrImageNeverPull"):
        task(TRAIN, "another run").run()


def test_the_next_try_asks_for_more_memory_after_one_that_ran_out_of_it(
    cluster: ApiServer, configure: Callable[..., None]
) -> None:
    configure(memory="192MiB", memory_max="384MiB")
    training = task("x = bytearray(300 << 20); del x\n" + TRAIN)

    with pytest.raises(FeatureOpsError, match=r"out of memory with 0\.188 GiB: the next try asks for 0\.375"):
        training.run()
    training.run()

    assert [memory(pod) for pod in cluster.created] == [192 << 20, 384 << 20]
    hungry = task("x = bytearray(800 << 20)", "another run")
    hungry.state = training.state
    with pytest.raises(AirflowFailException, match=r"with 0\.375 GiB, the most that is allowed"):
        hungry.run()


def memory(pod: dict[str, Any]) -> int:
    return int(pod["spec"]["containers"][0]["resources"]["limits"]["memory"])


def test_a_training_that_takes_too_long_is_ended(cluster: ApiServer, configure: Callable[..., None]) -> None:
    configure(timeout="2")

    with pytest.raises(FeatureOpsError, match="the training did not end within 2 s"):
        task(ENDLESS).run()
    cluster.settle()
    assert cluster.pods == {}


def test_a_pod_that_no_node_takes_is_told_of_and_removed(
    cluster: ApiServer, configure: Callable[..., None]
) -> None:
    configure(node_selector='{"gpu": "true"}', start_timeout="2")

    with pytest.raises(FeatureOpsError, match=r"no node takes the pod of the training .*node affinity"):
        task(TRAIN).run()
    cluster.settle()
    assert cluster.pods == {}


def test_an_api_server_that_restarts_in_the_middle_ends_nothing(cluster: ApiServer) -> None:
    training = task(SLOW)
    deferred = training.start()

    def restart() -> None:
        until(lambda: running(cluster))
        cluster.stop()
        time.sleep(2)
        cluster.start()

    restarting = threading.Thread(target=restart)
    restarting.start()
    training.go_on(deferred)

    restarting.join()
    assert len(cluster.created) == 1


def test_a_long_outage_is_waited_for_as_well(cluster: ApiServer) -> None:
    training = task(SLOW)
    deferred = training.start()
    (name,) = cluster.pods
    away = {"name": name, "namespace": cluster.namespace, "status": "error", "message": "Cannot connect"}
    cluster.stop()

    with pytest.raises(TaskDeferred) as again:
        training.operator().resume_execution(deferred.method_name, {"event": away}, training.context())
    cluster.start()

    training.go_on(again.value)
    assert len(cluster.created) == 1


def test_a_triggerer_that_is_killed_or_restarted_leaves_the_pod_to_the_next_one(cluster: ApiServer) -> None:
    training = task(SLOW)
    deferred = training.start()

    async def die_in_the_middle() -> None:
        trigger = as_triggerer_has_it(deferred.trigger)
        waiting = asyncio.create_task(anext(trigger.run()))
        await asyncio.to_thread(until, lambda: running(cluster))
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        # What an orderly stop does besides.
        await trigger.cleanup()

    asyncio.run(die_in_the_middle())
    training.go_on(deferred)

    assert len(cluster.created) == 1


def test_a_person_who_ends_the_task_ends_the_pod_wherever_the_task_is(cluster: ApiServer) -> None:
    waiting = task(ENDLESS)
    deferred = waiting.start()
    asyncio.run(as_triggerer_has_it(deferred.trigger).on_kill())
    cluster.settle()
    assert cluster.pods == {}

    starting = task(ENDLESS, "another run")
    starting.start()
    starting.task.on_kill()
    cluster.settle()
    assert cluster.pods == {}


def test_a_retry_finds_the_pod_of_the_try_before_it(cluster: ApiServer) -> None:
    training = task(SLOW)
    training.start()

    training.run()

    assert (training.try_number, len(cluster.created)) == (2, 1)


def test_a_retry_does_not_take_a_pod_that_trains_something_else(cluster: ApiServer) -> None:
    first = task(ENDLESS)
    first.start()
    second = task(TRAIN, result="another")
    second.state = first.state

    second.run()

    cluster.settle()
    assert (len(cluster.created), cluster.pods) == (2, {})


def test_a_pod_whose_making_was_not_answered_is_found(cluster: ApiServer) -> None:
    cluster.fail(Fault("create", None))

    task(f"import time; time.sleep(25)\n{TRAIN}").run()

    assert len(cluster.created) == 1


def test_a_pod_that_ended_before_anybody_waits_for_it_is_read_at_once(cluster: ApiServer) -> None:
    cluster.fail(Fault("create", None))
    ended = task("raise SystemExit('error: no labels')")

    # The answer is waited for longer than the training takes.
    with pytest.raises(FeatureOpsError, match="the training failed with 1: error: no labels"):
        ended.start_only()
    cluster.settle()
    assert cluster.pods == {}


@pytest.mark.parametrize("status", [500, 429])
def test_an_api_server_that_stumbles_is_asked_again(cluster: ApiServer, status: int) -> None:
    cluster.fail(Fault("create", status))
    cluster.fail(Fault("get", status, times=2))

    task(TRAIN).run()


def test_events_that_are_no_longer_kept_are_asked_for_anew(cluster: ApiServer) -> None:
    gone = Fault("watch", 410, message="too old resource version", resource="events")
    cluster.fail(gone)

    task(TRAIN).run()

    assert gone.times == 0


@pytest.mark.parametrize("verb", ["create", "get"])
def test_an_api_server_that_says_nothing_is_not_waited_for_without_end(
    cluster: ApiServer, monkeypatch: pytest.MonkeyPatch, verb: str
) -> None:
    # The provider's limit is a minute.
    monkeypatch.setattr("airflow.providers.cncf.kubernetes.kube_client.API_TIMEOUT", 1)
    silent = Fault(verb, None, silent=20)
    cluster.fail(silent)

    task(TRAIN).run()

    assert (silent.times, len(cluster.created)) == (0, 1)


def test_what_kubernetes_refuses_is_told_with_the_remedy(
    cluster: ApiServer, configure: Callable[..., None]
) -> None:
    cluster.fail(Fault("create", 403, message='pods is forbidden: User "airflow" cannot create'))
    with pytest.raises(AirflowFailException, match=r"does not let Airflow do it .403.*the role of deploy"):
        task(TRAIN).start_only()
    cluster.fail(Fault("create", 403, message="exceeded quota: compute"))
    with pytest.raises(FeatureOpsError, match=r"does not take the pod of the training now .403: exceeded"):
        task(TRAIN).start_only()
    cluster.fail(Fault("create", 422, message="spec.tolerations[0].operator: Unsupported value"))
    with pytest.raises(AirflowFailException, match=r"does not take the pod .*422: spec.tol.*correct the"):
        task(TRAIN).start_only()
    configure(namespace="nowhere")
    with pytest.raises(AirflowFailException, match="404: no such path or namespace"):
        task(TRAIN).start_only()


def test_a_pod_that_somebody_removed_is_missed(cluster: ApiServer) -> None:
    training = task(ENDLESS)
    deferred = training.start()
    (name,) = cluster.pods
    until(lambda: running(cluster))
    cluster.delete(name)
    cluster.settle()

    with pytest.raises(FeatureOpsError, match="the pod of the training is gone"):
        training.go_on(deferred)


def test_the_role_of_the_manifests_is_all_that_a_task_needs_and_no_more(cluster: ApiServer) -> None:
    training = task(SLOW)
    training.run()
    failing = task("raise SystemExit(1)", "another run")
    with pytest.raises(FeatureOpsError):
        failing.run()
    cluster.settle()

    granted = {(verb, one) for rule in cluster.rules for one in rule["resources"] for verb in rule["verbs"]}
    assert granted == set(cluster.calls)
