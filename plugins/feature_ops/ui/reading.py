"""Read the status store for the API server: at most once per interval, bounded in size and time."""

from __future__ import annotations

import asyncio
import json
import logging
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from itertools import islice
from typing import TYPE_CHECKING, TypeVar

from feature_ops.exceptions import FeatureOpsError
from feature_ops.settings import get_settings
from feature_ops.ui.status import TaskStatus, status_prefix

if TYPE_CHECKING:
    from feature_ops.object_store import StoredObject

log = logging.getLogger(__name__)

_REQUEST_SECONDS = 3.0
_THREADS = 8
_MOST_TASKS, _MOST_MODELS = 500, 100


@dataclass(frozen=True)
class Snapshot:
    """
    The content of the status store.

    :param deployed: ``view:feature`` references by the name of each deployed model, such as ``jukebox@test``.
    """

    tasks: tuple[TaskStatus, ...] = ()
    deployed: Mapping[str, Sequence[str]] = field(default_factory=dict)


@dataclass(frozen=True)
class Reading:
    """
    The snapshot that was read last.

    :param read_at: when; None if nothing could be read yet.
    :param problem: why it could not be read again; None if it could.
    """

    snapshot: Snapshot = field(default_factory=Snapshot)
    read_at: datetime | None = None
    problem: str | None = None


class Reader:
    """
    Reads on behalf of all users of the page.

    :param read: reads the snapshot, in a thread.
    :param every: seconds that a reading is reused.
    :param limit: seconds that it may take.
    """

    def __init__(
        self,
        read: Callable[[], Snapshot],
        every: float = 3.0,
        limit: float = 10.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._read, self._every, self._limit, self._clock = read, every, limit, clock
        self._last = Reading()
        self._next = -1.0
        self._lock = asyncio.Lock()

    async def reading(self) -> Reading:
        """Return the current snapshot, or the one before it with the reason if it can't be read now."""
        async with self._lock:
            if self._clock() >= self._next:
                self._last = await self._new()
                self._next = self._clock() + self._every
            return self._last

    async def _new(self) -> Reading:
        try:
            snapshot = await asyncio.wait_for(asyncio.to_thread(self._read), self._limit)
        except TimeoutError:
            problem = f"the object store did not respond within {self._limit:.0f} seconds: check that it runs"
        except FeatureOpsError as error:
            problem = str(error)
        except Exception as error:
            # Not its text, which may hold a secret: only the log masks it.
            log.exception("The status store can't be read")
            problem = f"{type(error).__name__}: see the API server's log"
        else:
            return Reading(snapshot, datetime.now(UTC))
        return replace(self._last, problem=problem)


def read_all() -> Snapshot:
    """
    Return the status of every task and the features of every deployed model; unreadable objects are left out.

    :raises FeatureOpsError: the object store can't be read.
    """
    from feature_ops.object_store import ObjectStore
    from feature_ops.training.live_models import live_models_uri

    connected = ObjectStore.from_connection(get_settings().aws_conn_id)
    store = replace(connected, timeout=_REQUEST_SECONDS)
    found = _contents(store.list(status_prefix()), store.get_bytes, _MOST_TASKS)
    deployed = _contents(store.list(live_models_uri()), store.get_bytes, _MOST_MODELS)
    tasks = [
        status for uri, content in found.items() if (status := _readable(uri, content, TaskStatus.from_json))
    ]
    models = [model for uri, content in deployed.items() if (model := _readable(uri, content, _model))]
    return Snapshot(tuple(tasks), dict(models))


def _contents(
    listing: Iterable[StoredObject], get_bytes: Callable[[str], tuple[bytes, str] | None], most: int
) -> dict[str, bytes]:
    uris = list(islice((item.uri for item in listing if item.name.endswith(".json")), most))
    with ThreadPoolExecutor(_THREADS) as pool:
        contents = list(pool.map(get_bytes, uris))
    return {uri: content[0] for uri, content in zip(uris, contents, strict=True) if content}


_Kind = TypeVar("_Kind")


def _readable(uri: str, content: bytes, read: Callable[[bytes], _Kind]) -> _Kind | None:
    try:
        return read(content)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        log.warning("%s is left out: %s", uri, error)
        return None


def _model(content: bytes) -> tuple[str, tuple[str, ...]]:
    model = json.loads(content)
    return str(model["model"]), tuple(map(str, model["features"]))
