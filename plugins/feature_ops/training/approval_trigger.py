"""Ends the wait for a person's approval when a newer candidate takes over, or when time is up."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from airflow.sdk.exceptions import AirflowRuntimeError
from airflow.sdk.execution_time.hitl import get_hitl_detail_content_detail, update_hitl_detail_response
from airflow.triggers.base import BaseTrigger, TriggerEvent
from asgiref.sync import sync_to_async

log = logging.getLogger(__name__)
# Seconds between two looks once time is up, while the question can't be closed.
_SOON = 1.0
# Seconds before the first look. Airflow's scheduler notices a task's pause after some seconds only; what
# resumes the task before that makes it believe that the task was lost.
_UNNOTICED = 10.0


class ApprovalTrigger(BaseTrigger):
    """
    Watches what a person does not: a person's answer itself resumes the task.

    Only a triggerer may close Airflow's question, so that is done here, too.

    :param question: id of the task instance that asks.
    :param answer: option and form with which the question is closed: what nobody's answer means.
    :param model: the model's name in MLflow's registry.
    :param tracking_uri: address of the MLflow server.
    :param in_test: the version that had the alias ``test`` when the person was asked.
    :param deadline: when the wait ends, ISO 8601.
    :param interval: seconds between two looks.
    """

    def __init__(
        self,
        *,
        question: str,
        answer: tuple[str, dict[str, Any]],
        model: str,
        tracking_uri: str,
        in_test: str | None,
        deadline: str,
        interval: float,
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.question, self.answer = question, answer
        self.model, self.tracking_uri, self.in_test = model, tracking_uri, in_test
        self.deadline, self.interval = deadline, interval

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Return the class and all arguments, plain JSON."""
        arguments = {
            "question": self.question,
            "answer": list(self.answer),
            "model": self.model,
            "tracking_uri": self.tracking_uri,
            "in_test": self.in_test,
            "deadline": self.deadline,
            "interval": self.interval,
        }
        return f"{type(self).__module__}.{type(self).__qualname__}", arguments

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Fire once: with ``superseded_by``, or with ``timed_out``."""
        deadline = datetime.fromisoformat(self.deadline)
        await asyncio.sleep(_UNNOTICED)
        while True:
            ended = await self._ended(deadline)
            if ended and await self._closed():
                yield TriggerEvent(ended)  # type: ignore[no-untyped-call]
                return
            left = (deadline - datetime.now(UTC)).total_seconds()
            await asyncio.sleep(min(self.interval, max(left, _SOON)))

    async def _ended(self, deadline: datetime) -> dict[str, Any] | None:
        newer = await self._newer()
        if newer:
            return {"superseded_by": newer}
        return {"timed_out": True} if datetime.now(UTC) >= deadline else None

    async def _closed(self) -> bool:
        """Take the question from the list of what waits for a person; False if a person was faster."""
        question = UUID(self.question)
        try:
            # As Airflow's own triggers do it: their talk with the supervisor belongs to one event loop.
            found = await sync_to_async(get_hitl_detail_content_detail)(ti_id=question)
            if found.response_received:
                # Nobody's answer is this trigger's own, in a triggerer that has died since.
                return found.responded_by_user is None
            option, form = self.answer
            await sync_to_async(update_hitl_detail_response)(
                ti_id=question, chosen_options=[option], params_input=form
            )
        except AirflowRuntimeError as error:
            log.warning("The question can't be closed yet: %s", error)
            return False
        return True

    async def _newer(self) -> str | None:
        """Return the version that is in test by now, None if it is the same or nobody can tell."""
        from feature_ops.exceptions import FeatureOpsError
        from feature_ops.training.model_registry import TEST, ModelRegistry

        try:
            now = await asyncio.to_thread(ModelRegistry(self.tracking_uri, self.model).by_alias, TEST)
        except FeatureOpsError as error:
            log.warning("The wait goes on: %s", error)
            return None
        return now.version if now is not None and now.version != self.in_test else None
