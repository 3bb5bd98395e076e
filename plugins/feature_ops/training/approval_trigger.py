"""Ends the wait for a person's approval when a newer candidate takes over, or when time is up."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

from airflow.triggers.base import BaseTrigger, TriggerEvent

log = logging.getLogger(__name__)


class ApprovalTrigger(BaseTrigger):
    """
    Watches what a person does not: a person's answer itself resumes the task.

    :param model: the model's name in MLflow's registry.
    :param tracking_uri: address of the MLflow server.
    :param in_test: the version that had the alias ``test`` when the person was asked.
    :param deadline: when the wait ends, ISO 8601.
    :param interval: seconds between two looks.
    """

    def __init__(
        self, *, model: str, tracking_uri: str, in_test: str | None, deadline: str, interval: float
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.model, self.tracking_uri, self.in_test = model, tracking_uri, in_test
        self.deadline, self.interval = deadline, interval

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Return the class and all arguments, plain JSON."""
        arguments = {
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
        while True:
            newer = await self._newer()
            if newer:
                yield TriggerEvent({"superseded_by": newer})  # type: ignore[no-untyped-call]
                return
            left = (deadline - datetime.now(UTC)).total_seconds()
            if left <= 0:
                yield TriggerEvent({"timed_out": True})  # type: ignore[no-untyped-call]
                return
            await asyncio.sleep(min(self.interval, left))

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
