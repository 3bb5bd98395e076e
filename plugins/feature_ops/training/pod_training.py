"""A training in a pod, from its plan to its end, over the tries of a task."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from airflow.sdk import Context

from feature_ops.exceptions import BadInputError, FeatureOpsError
from feature_ops.operator import summarize
from feature_ops.settings import get_settings
from feature_ops.training.declaration import Model
from feature_ops.training.plan import TrainingPlan
from feature_ops.training.pod_manifest import manifest

if TYPE_CHECKING:
    from feature_ops.feast.hook import FeastHook
    from feature_ops.training.pod import TrainingPod

_PLAN, _MEMORY = "training_plan", "training_memory"


class PodTraining:
    """
    What a task keeps over its tries: which plan is being trained, and how much memory that takes.

    :param state: the task's state store.
    """

    def __init__(self, model: Model, task_id: str, state: Any) -> None:
        self._model, self._task_id, self._state = model, task_id, state
        self._pod: TrainingPod | None = None

    def start(self, context: Context, hook: FeastHook, plan: TrainingPlan) -> None:
        """
        Start the pod, or find that of an earlier try, and wait in the triggerer.

        Returns only if the training has succeeded already.

        :raises FeatureOpsError: with what went wrong.
        """
        from feature_ops.feast.configuration import configuration_file

        # All that Feast needs: definitions are in its registry, and secrets are no part of the file.
        repo = f"{plan.result_uri.rsplit('/', 1)[0]}/feature_store.yaml"
        hook.object_store.put_bytes(configuration_file(hook.feature_repo).read_bytes(), repo)
        self._state.set(_PLAN, plan.to_json())
        self._pod = self._of(plan, repo)
        summarize(
            context, f"training {plan.commit[:10]} ({plan.why}) in a pod with {_told(self._memory)} of memory"
        )
        with self._more_memory_next_time(self._pod):
            self._pod.start(context)

    def finish(self, context: Context, event: Mapping[str, Any]) -> TrainingPlan:
        """
        Return the plan whose training has succeeded.

        :raises FeatureOpsError: with what went wrong; after too little memory the next try asks for more.
        """
        plan = TrainingPlan.from_json(self._state.get(_PLAN))
        self._pod = self._of(plan, "")
        with self._more_memory_next_time(self._pod):
            self._pod.finish(context, event)
        return plan

    def kill(self) -> None:
        """Remove the pod."""
        if self._pod:
            self._pod.on_kill()

    @contextmanager
    def _more_memory_next_time(self, pod: TrainingPod) -> Iterator[None]:
        try:
            yield
        except FeatureOpsError:
            end = pod.end
            if end is None or not end.out_of_memory:
                raise
            raise self._ask_for_more(end.memory) from None

    @property
    def _memory(self) -> int:
        return int(self._state.get(_MEMORY) or get_settings().training_memory)

    def _of(self, plan: TrainingPlan, feature_repo: str) -> TrainingPod:
        from feature_ops.training.pod import TrainingPod

        settings = get_settings()
        command = plan.command(self._model, feature_repo)
        pod = manifest(settings, self._model, plan, command, self._memory)
        return TrainingPod(task_id=self._task_id, settings=settings, manifest=pod)

    def _ask_for_more(self, had: int) -> FeatureOpsError:
        most = int(get_settings().training_memory_max)
        if had >= most:
            return BadInputError(
                f"the training ran out of memory with {_told(had)}, the most that is allowed: raise "
                "FEATURE_OPS_TRAINING_MEMORY_MAX"
            )
        more = min(2 * had, most)
        self._state.set(_MEMORY, more)
        return FeatureOpsError(
            f"the training ran out of memory with {_told(had)}: the next try asks for {_told(more)}"
        )


def _told(size: int) -> str:
    return f"{size / 1024**3:.3g} GiB"
