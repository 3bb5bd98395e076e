"""The DAG that evaluates what a watcher reports, as the triggerer sees it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from feature_ops.exceptions import FeatureOpsError
from feature_ops.git.acknowledgement import Acknowledgements, store_key

_ACTIVE = ("queued", "running")


@dataclass(frozen=True)
class Progress:
    """
    How far a DAG is.

    :param is_running: whether a run is queued or running.
    :param acknowledged: the commits that it has evaluated.
    """

    is_running: bool
    acknowledged: Acknowledgements


class Consumer:
    """
    A DAG that acknowledges the commits it has evaluated.

    :param stores: returns the state stores of the watched assets.
    """

    def __init__(self, dag_id: str, stores: Callable[[], Iterable[Any]]) -> None:
        self.dag_id = dag_id
        self._stores = stores

    async def progress(self) -> Progress:
        """
        Return how far the DAG is.

        The runs are counted first: a run that has ended by then has written its acknowledgement.
        """
        is_running = await self._is_running()
        return Progress(is_running, await self._acknowledged())

    async def _acknowledged(self) -> Acknowledgements:
        for store in self._stores():
            value = await store.aget(store_key(self.dag_id))
            if value is not None:
                return Acknowledgements.from_json(value)
        return Acknowledgements()

    async def _is_running(self) -> bool:
        from airflow.sdk.execution_time.comms import DRCount, GetDRCount
        from airflow.sdk.execution_time.task_runner import SUPERVISOR_COMMS

        answer: Any = await SUPERVISOR_COMMS.asend(GetDRCount(dag_id=self.dag_id, states=list(_ACTIVE)))
        if not isinstance(answer, DRCount):
            raise FeatureOpsError(f"Airflow did not count the active runs of {self.dag_id}: {answer}")
        return answer.count > 0
