"""A repository's heads at every interval, looked up once for all who watch the repository."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

from airflow.triggers.shared_stream import AdvanceItem, SharedStreamProducer

from feature_ops.exceptions import FeatureOpsError
from feature_ops.git.heads import Change, WatchedRepository
from feature_ops.git.outage import Outage

log = logging.getLogger(__name__)

# Airflow stops a trigger that thinks about one look for longer than its ack timeout, 300 s.
PATIENCE = 60.0
_CHANGES_KEPT = 32


class NotYetError(FeatureOpsError):
    """The answer takes longer than one look may; a later look finds it."""


class Look:
    """
    One look at a repository's heads, which all its watchers get.

    :param heads: the commit of every branch and tag.
    """

    def __init__(self, heads: Mapping[str, str], stream: HeadsStream) -> None:
        self.heads = heads
        self._stream = stream
        self._notes: list[Callable[[], Awaitable[None]]] = []

    async def change(self, old: str, new: str) -> Change:
        """Return what changed between two commits; watchers that ask the same share the answer."""
        return await self._stream.change(old, new)

    def when_persisted(self, note: Callable[[], Awaitable[None]]) -> None:
        """Call back once every event that came of this look is in Airflow's database."""
        self._notes.append(note)

    async def persisted(self) -> None:
        """Call back whoever wanted it."""
        for note in self._notes:
            try:
                await note()
            except Exception:
                log.exception("A watcher could not note what it handled, and may handle it again")


class HeadsStream(SharedStreamProducer):
    """
    Looks at a repository's heads at every interval.

    All git work is done by one thread of its own, so a slow server holds up neither the event loop
    nor other repositories. Never raises: while the server is away it looks less and less often.

    :param interval: seconds between two looks.
    """

    def __init__(self, git_conn_id: str, repo_url: str | None, interval: float) -> None:
        self._repository = WatchedRepository(git_conn_id, repo_url)
        self._interval = interval
        self._outage = Outage(f"The watch of {self._repository.name}", interval)
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="git-watch")
        self._changes: dict[tuple[str, str], asyncio.Future[Change]] = {}
        self._trouble: BaseException | None = None

    async def open_stream(self) -> AsyncIterator[tuple[Look, Look]]:
        """Yield a look at every interval, forever."""
        loop = asyncio.get_running_loop()
        while True:
            started = loop.time()
            try:
                look = Look(await self._in_thread(self._repository.heads), self)
            except Exception as error:
                self._trouble = error
            else:
                yield look, look
                await asyncio.sleep(max(0.0, self._interval - (loop.time() - started)))
            await self._pause_after_trouble()

    async def change(self, old: str, new: str) -> Change:
        """Return what changed between two commits; a :class:`NotYetError` if that takes long."""
        key = (old, new)
        if key not in self._changes:
            asked = asyncio.ensure_future(self._in_thread(self._repository.change, old, new))
            self._changes[key] = asked
            asked.add_done_callback(partial(self._keep_success, key))
            while len(self._changes) > _CHANGES_KEPT:
                self._changes.pop(next(iter(self._changes)))
        done, _ = await asyncio.wait([self._changes[key]], timeout=PATIENCE)
        if not done:
            raise NotYetError(f"git still compares {old[:8]} with {new[:8]}")
        return done.pop().result()

    async def advance(self, batch: Sequence[AdvanceItem]) -> None:
        """Let watchers note what they handled, now that its events are in Airflow's database."""
        for item in batch:
            if not item.outcome.failed:
                await item.broker_payload.persisted()

    async def aclose(self) -> None:
        """Clean up after the last watcher; not waiting long for git, which may be waiting for a server."""
        await asyncio.wait([asyncio.ensure_future(self._in_thread(self._repository.close))], timeout=5)
        self._thread.shutdown(wait=False)

    async def _pause_after_trouble(self) -> None:
        trouble, self._trouble = self._trouble, None
        if trouble is not None:
            await asyncio.sleep(self._outage.failed(trouble))
        elif all(asked.done() for asked in self._changes.values()):
            self._outage.over()

    async def _in_thread(self, function: Callable[..., Any], *arguments: Any) -> Any:
        return await asyncio.get_running_loop().run_in_executor(self._thread, function, *arguments)

    def _keep_success(self, key: tuple[str, str], asked: asyncio.Future[Change]) -> None:
        if asked.cancelled():
            self._changes.pop(key, None)
        elif error := asked.exception():
            self._changes.pop(key, None)
            self._trouble = error
