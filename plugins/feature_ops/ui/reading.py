"""What the steps have told, read from object storage by the API server: soon, seldom, and never for long."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from feature_ops.exceptions import FeatureOpsError
from feature_ops.settings import get_settings
from feature_ops.ui.status import TaskStatus, status_prefix

log = logging.getLogger(__name__)

_REQUEST_SECONDS = 3.0
_AT_ONCE = 8


@dataclass(frozen=True)
class Reading:
    """
    What was read last.

    :param read_at: when that was; None if nothing could be read yet.
    :param problem: why it could not be read again, in words; None if it could.
    """

    tasks: tuple[TaskStatus, ...] = ()
    read_at: datetime | None = None
    problem: str | None = None


class Reader:
    """
    Reads for all who look at the page, at most once in a while.

    :param read: reads all there is, in a thread.
    :param every: seconds that a reading does for.
    :param limit: seconds that it may take.
    """

    def __init__(
        self,
        read: Callable[[], Sequence[TaskStatus]],
        every: float = 3.0,
        limit: float = 10.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._read, self._every, self._limit, self._clock = read, every, limit, clock
        self._last = Reading()
        self._next = -1.0
        self._lock = asyncio.Lock()

    async def reading(self) -> Reading:
        """Return what is there; what was read before, with the reason, if it can't be read now."""
        async with self._lock:
            if self._clock() >= self._next:
                self._last = await self._new()
                self._next = self._clock() + self._every
            return self._last

    async def _new(self) -> Reading:
        try:
            tasks = await asyncio.wait_for(asyncio.to_thread(self._read), self._limit)
        except TimeoutError:
            problem = f"the object store did not answer within {self._limit:.0f} seconds: check that it runs"
        except FeatureOpsError as error:
            problem = str(error)
        except Exception as error:
            # Not its text, which may hold a secret: only the log masks it.
            log.exception("The status of the steps can't be read")
            problem = f"{type(error).__name__}: see the API server's log"
        else:
            return Reading(tuple(tasks), datetime.now(UTC))
        return replace(self._last, problem=problem)


def read_all() -> list[TaskStatus]:
    """
    Return the status of every task that has told one; what can't be understood is left out.

    :raises FeatureOpsError: with what is wrong in words.
    """
    from feature_ops.object_store import ObjectStore

    connected = ObjectStore.from_connection(get_settings().aws_conn_id)
    store = replace(connected, timeout=_REQUEST_SECONDS)
    uris = [item.uri for item in store.list(status_prefix()) if item.name.endswith(".json")]
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        contents = list(pool.map(store.get_bytes, uris))
    found = []
    for uri, content in zip(uris, contents, strict=True):
        if content is None:
            continue
        try:
            found.append(TaskStatus.from_json(content[0]))
        except ValueError as error:
            log.warning("%s is left out: %s", uri, error)
    return found
