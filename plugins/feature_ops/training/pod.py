"""
A place to train: a pod on Kubernetes.

Imported only where pods are chosen: the provider takes seconds to import.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

from airflow.providers.cncf.kubernetes.operators.pod import FoundMoreThanOnePodFailure, KubernetesPodOperator
from airflow.sdk import Context
from airflow.sdk.exceptions import AirflowException, AirflowNotFoundException

from feature_ops.exceptions import BadInputError, FeatureOpsError
from feature_ops.settings import Settings
from feature_ops.training.pod_end import PodEnd, failure
from feature_ops.training.pod_manifest import PLAN_LABEL

# Seconds that a cluster may take besides: the pod's own deadline comes first.
_SLACK = 300.0


class ClusterAwayError(FeatureOpsError):
    """The Kubernetes API does not answer; the pod may well go on."""


class TrainingPod(KubernetesPodOperator):  # type: ignore[misc]
    """
    The provider's operator as a part of another task: it runs the training.

    It waits in the triggerer. Whichever try comes next finds the pod of the one before it, as long as it
    has the same plan.

    :param manifest: the pod.
    """

    def __init__(self, *, settings: Settings, manifest: dict[str, Any], **kwargs: Any) -> None:
        self._settings = settings
        super().__init__(
            kubernetes_conn_id=settings.kubernetes_conn_id,
            namespace=settings.training_namespace,
            pod_template_dict=manifest,
            labels=manifest["metadata"]["labels"],
            # The provider's own default would win over the manifest.
            termination_message_policy="FallbackToLogsOnError",
            deferrable=True,
            durable=True,
            poll_interval=settings.training_poll_interval,
            logging_interval=settings.training_log_interval,
            schedule_timeout_seconds=settings.training_start_timeout,
            startup_timeout_seconds=settings.training_start_timeout,
            startup_check_interval_seconds=max(1, round(settings.training_poll_interval)),
            execution_timeout=timedelta(
                seconds=2 * settings.training_start_timeout + settings.training_timeout + _SLACK
            ),
            on_finish_action="delete_pod",
            on_kill_action="delete_pod",
            log_events_on_failure=True,
            log_pod_spec_on_failure=False,
            do_xcom_push=False,
            **kwargs,
        )

    def start(self, context: Context) -> None:
        """
        Start the pod, or find it, and wait for its end in the triggerer.

        Returns only if the training has succeeded already.

        :raises FeatureOpsError: Kubernetes does not take it, or it has failed already.
        """
        with self._told_failures(), _api_failures():
            self.pod_request_obj = self.build_pod_request_obj(context)
            self._set_others_aside(context)
            # Not execute(): Airflow warns of an operator within another one.
            self.execute_async(context)

    def finish(self, context: Context, event: Mapping[str, Any]) -> None:
        """
        Take the pod's last words to the log and remove it; returns if the training succeeded.

        Goes back to the triggerer if the pod has not ended, or if nobody can tell.

        :raises FeatureOpsError: with what went wrong.
        """
        try:
            with self._told_failures(str(event.get("message") or "")), _api_failures():
                self.trigger_reentry(context, dict(event))
        except ClusterAwayError as error:
            if event["status"] == "timeout":
                raise
            self.log.warning("The wait goes on: %s", error)
            self._wait_on(context, event)

    @contextmanager
    def _told_failures(self, said: str = "") -> Iterator[None]:
        try:
            yield
        except AirflowException as error:
            self.log.info("%s", error)
            raise failure(self.end, said, self._settings.training_timeout) from None

    @property
    def end(self) -> PodEnd | None:
        """How the pod ended; None if it is not there any more."""
        if self.pod is None:
            return None
        return PodEnd.of(self.client.api_client.sanitize_for_serialization(self.pod))

    def get_or_create_pod(self, pod_request_obj: Any, context: Context) -> Any:
        """Return the pod of an earlier try, or a new one."""
        from kubernetes.client.exceptions import ApiException

        try:
            return super().get_or_create_pod(pod_request_obj, context)
        except ApiException as error:
            if error.status != 409:
                raise
        # Its name is random: a request whose answer was lost has made it.
        found = self.find_pod(pod_request_obj.metadata.namespace, context)
        if found is None:
            raise FeatureOpsError(f"the pod {pod_request_obj.metadata.name} is there and is not ours")
        return found

    def _set_others_aside(self, context: Context) -> None:
        """Remove the task's pods that have another plan; have none be found that is on its way out."""
        request = self.pod_request_obj.metadata
        labels = self._get_ti_pod_labels(context, include_try_number=False)
        selector = ",".join(f"{name}={value}" for name, value in sorted(labels.items()))
        for pod in self.client.list_namespaced_pod(request.namespace, label_selector=selector).items:
            ours = pod.metadata.labels.get(PLAN_LABEL) == request.labels[PLAN_LABEL]
            if not ours or pod.metadata.deletion_timestamp:
                self.patch_already_checked(pod)
            if not ours:
                self.process_pod_deletion(pod)

    def _wait_on(self, context: Context, event: Mapping[str, Any]) -> None:
        from kubernetes.client import V1ObjectMeta, V1Pod

        self.pod = V1Pod(metadata=V1ObjectMeta(name=event["name"], namespace=event["namespace"]))
        self.invoke_defer_method(event.get("last_log_time"), context)


@contextmanager
def _api_failures() -> Iterator[None]:
    """Tell what the API refuses, with the remedy."""
    from airflow.providers.cncf.kubernetes.kubernetes_helper_functions import KubernetesApiException
    from kubernetes.client.exceptions import ApiException
    from kubernetes.config import ConfigException
    from urllib3.exceptions import HTTPError

    try:
        yield
    except ConfigException as error:
        raise BadInputError(
            f"no cluster is configured ({error}): give the connection of FEATURE_OPS_KUBERNETES_CONN_ID a "
            "kubeconfig"
        ) from None
    except AirflowNotFoundException as error:
        raise BadInputError(f"{error}: make it, or correct FEATURE_OPS_KUBERNETES_CONN_ID") from None
    except FoundMoreThanOnePodFailure as error:
        raise FeatureOpsError(f"{error}: remove all but one") from None
    except ApiException as error:
        raise _refusal(error.status, error.body, error.reason) from None
    except (HTTPError, KubernetesApiException) as error:
        raise ClusterAwayError(f"the Kubernetes API does not answer ({type(error).__name__})") from error


def _refusal(status: int, body: str | bytes | None, reason: str) -> FeatureOpsError:
    try:
        told = str(json.loads(body or "")["message"])
    except (ValueError, KeyError, TypeError):
        told = str(reason)
    if status >= 500 or status == 429:
        return ClusterAwayError(f"the Kubernetes API does not do it now ({status}: {told})")
    if status in (401, 403) and "exceeded quota" not in told:
        return BadInputError(
            f"Kubernetes does not let Airflow do it ({status}: {told}): give its service account the role of "
            "deploy/kubernetes"
        )
    if status in (400, 404, 422):
        return BadInputError(
            f"Kubernetes does not take the pod of the training ({status}: {told}): correct the "
            "FEATURE_OPS_TRAINING_… settings"
        )
    return FeatureOpsError(f"Kubernetes does not take the pod of the training now ({status}: {told})")
