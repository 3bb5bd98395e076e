"""The git trigger: events for commits that change watched paths."""

from __future__ import annotations

import asyncio
import hashlib
import logging
import re
from collections.abc import AsyncGenerator, AsyncIterator, Hashable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import replace
from functools import partial
from importlib import import_module
from typing import Any

from airflow.triggers.base import BaseEventTrigger, TriggerEvent

from feature_ops.git.commit_info import one_line
from feature_ops.git.consumer import Consumer, Progress
from feature_ops.git.heads import Change
from feature_ops.git.heads_stream import PATIENCE, HeadsStream, Look, NotYetError
from feature_ops.git.outage import Outage, backoff
from feature_ops.git.path_watch import NO_COMMIT, PathWatch, Verdict
from feature_ops.git.watch_state import Pending, WatchState

log = logging.getLogger(__name__)

_PATHS_TOLD = 50
_PATH_LENGTH = 1000
# Seconds; Airflow's scheduler needs a few of them to make a run of an event.
_LEAST_REPETITION = 10.0


def change_event(change: Change, watch: PathWatch) -> dict[str, Any]:
    """Return what is told of a change: small, plain JSON."""
    paths = watch.matching(change.paths or ())
    shown = [path[:_PATH_LENGTH] for path in paths[:_PATHS_TOLD]]
    return {
        "repository": change.repository,
        "branch": watch.ref.removeprefix("refs/heads/").removeprefix("refs/tags/"),
        "path": shown[0] if shown else "",
        "paths": shown,
        "changed": len(paths),
        "old": change.old,
        "new": change.new.sha,
        "author": change.new.author,
        "subject": change.new.subject,
        "committed_at": change.new.committed_at,
    }


def describe(event: Mapping[str, Any]) -> str:
    """Return the event in one line for users."""
    more = f" and {event['changed'] - 1} more" if event["changed"] > 1 else ""
    what = (
        f"{event['path']}{more}"
        if event["path"]
        else "unknown: the server lost the old commit, or it is too much"
    )
    return one_line(
        f"{event['branch']} of {event['repository']} went from {_short(event['old'])} to "
        f"{_short(event['new'])} ({event['author']}: {event['subject']}); changed: {what}"
    )


class GitPathTrigger(BaseEventTrigger):
    """
    Fires when a commit changes watched paths of a branch or tag.

    For an ``AssetWatcher``. All triggers with one connection, repository and interval share one
    request to the server per interval; only after a head moved is more requested. The commit that was
    reported last is kept in the asset's state store, written only when its event is in Airflow's
    database.

    Without ``evaluated_by`` each change is reported once. Airflow drops events of a paused DAG, and a run
    may fail: such a commit waits for the next push. With ``evaluated_by`` the event is repeated, with
    exponential backoff of up to five minutes, until the DAG of that name has acknowledged the head; see
    :func:`~feature_ops.git.acknowledgement.acknowledge`. It is not repeated while a run of that DAG is
    queued or running. Name only a DAG that acknowledges every commit that it has decided about, also one
    that it refuses: else the DAG runs again and again.

    :param paths: patterns as in a ``.gitignore``, see
        :class:`~feature_ops.git.path_watch.PathWatch`.
    :param ref: a branch or tag.
    :param git_conn_id: an Airflow connection of type ``git``.
    :param repo_url: another repository on the connection's server.
    :param interval: seconds between two looks.
    :param baseline: ``package.module:function`` that returns the commit to compare with when none was
        handled yet, or None for the ref's present commit. While the function fails there are no
        events, since guessing could lose a change.
    :param evaluated_by: id of the DAG that acknowledges the commits it has evaluated.
    """

    def __init__(
        self,
        *,
        paths: Sequence[str],
        ref: str = "main",
        git_conn_id: str = "git_default",
        repo_url: str | None = None,
        interval: float = 30.0,
        baseline: str | None = None,
        evaluated_by: str | None = None,
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        # TypeError only: it is all that Airflow's triggerer survives when it makes a trigger.
        if isinstance(paths, str):
            raise TypeError(f"paths must be a list of patterns, such as [{paths!r}]")
        if not interval > 0:
            raise TypeError(f"interval must be more than 0 seconds, not {interval}")
        if baseline is not None and not re.fullmatch(r"[\w.]+:\w+", baseline):
            raise TypeError(f"baseline must look like package.module:function, not {baseline!r}")
        if evaluated_by is not None and not (isinstance(evaluated_by, str) and evaluated_by.strip()):
            raise TypeError(f"evaluated_by must be the id of a DAG, not {evaluated_by!r}")
        try:
            self.watch = PathWatch(ref, tuple(paths))
        except ValueError as error:
            raise TypeError(str(error)) from None
        self.git_conn_id = git_conn_id
        self.repo_url = repo_url
        self.interval = float(interval)
        self.baseline = baseline
        self.evaluated_by = evaluated_by
        self._consumer = Consumer(evaluated_by, self._stores) if evaluated_by else None
        # None until it is read.
        self._state: WatchState | None = None
        self._saved: WatchState | None = None
        self._repetitions = 0
        self._repeat_at = 0.0
        self._seen_idle = False
        self._gone = False
        self._applied: asyncio.Future[str | None] | None = None
        self._retry_at = 0.0
        self._outage = Outage(f"The watch of {ref} for {', '.join(paths)}", self.interval)

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Return the class and all arguments, plain JSON."""
        arguments = {
            "paths": list(self.watch.patterns),
            "ref": self.watch.ref,
            "git_conn_id": self.git_conn_id,
            "repo_url": self.repo_url,
            "interval": self.interval,
            "baseline": self.baseline,
            "evaluated_by": self.evaluated_by,
        }
        return f"{type(self).__module__}.{type(self).__qualname__}", arguments

    def shared_stream_key(self) -> Hashable:
        """Return what all triggers have in common that share the looks at the heads."""
        return ("feature_ops.git", self.git_conn_id, self.repo_url, self.interval)

    @classmethod
    def create_shared_stream_producer(cls, kwargs: dict[str, Any]) -> HeadsStream:
        """Return what looks at the heads for all triggers of the key."""
        return HeadsStream(kwargs["git_conn_id"], kwargs["repo_url"], kwargs["interval"])

    async def filter_shared_stream(self, shared_stream: AsyncIterator[Look]) -> AsyncGenerator[TriggerEvent]:
        """Turn looks at the heads into events of the watched paths."""
        async for look in shared_stream:
            event = await self._try_event(look)
            if event is not None:
                yield TriggerEvent(event)  # type: ignore[no-untyped-call]
            if self._state is not None and self._state != self._saved:
                look.when_persisted(partial(self._save, self._state))

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Watch alone, where Airflow shares no stream."""
        stream = self.create_shared_stream_producer(self.serialize()[1])

        async def looks() -> AsyncIterator[Look]:
            async for look, _ in stream.open_stream():
                yield look
                await look.persisted()

        try:
            async for event in self.filter_shared_stream(looks()):
                yield event
        finally:
            await stream.aclose()

    async def first_state(self, head: str | None) -> WatchState:
        """Return where to start from: the saved state, the applied commit, or the head."""
        name = f"{self.watch.ref} for {', '.join(self.watch.patterns)}"
        saved = await self._read_state()
        if saved is not None:
            log.info("The watch of %s goes on from %s, handled last", name, _short(saved.commit))
            self._saved = saved
            # A run of the last event may be about to be made.
            self._wait_before_repetition()
            return saved
        applied = await self._applied_commit() if self.baseline else None
        if applied is not None:
            log.info("The watch of %s starts from %s, the applied commit", name, _short(applied))
            return WatchState(applied)
        log.info("The watch of %s starts from %s, today's commit", name, _short(head or NO_COMMIT))
        return WatchState(head or NO_COMMIT)

    async def _try_event(self, look: Look) -> dict[str, Any] | None:
        """Return the event to fire for a look, if any; what fails is tried again at a later look."""
        now = asyncio.get_running_loop().time()
        if now < self._retry_at:
            return None
        try:
            head = self.watch.head(look.heads)
            if self._state is None:
                self._state = await self.first_state(head)
            progress = await self._progress(self._state, head, now)
        except NotYetError:
            return None
        except Exception as error:
            self._retry_at = now + self._outage.failed(error)
            return None
        self._outage.over()
        self._tell_gone(head)
        try:
            return await self._event(look, self._state, head, progress)
        except Exception as error:
            # Of git: the stream logs it and waits.
            log.debug("No answer for %s yet: %s", self.watch.ref, error)
            return None

    async def _progress(self, state: WatchState, head: str | None, now: float) -> Progress | None:
        """Return how far the consumer is, if that decides about an event now."""
        if self._consumer is None or head is None:
            return None
        is_due = state.pending is not None and now >= self._repeat_at
        return await self._consumer.progress() if is_due or head != state.commit else None

    async def _event(
        self, look: Look, state: WatchState, head: str | None, progress: Progress | None
    ) -> dict[str, Any] | None:
        if head is None:
            return None
        if head == state.commit:
            if state.pending is None or progress is None:
                return None
            return await self._repetition(look, state.pending, head, progress)
        change = await look.change(state.commit, head)
        if self.watch.decide(state.commit, head, change.paths) is not Verdict.CHANGED:
            log.debug("%s went to %s, and no watched path changed", self.watch.ref, _short(head))
            self._state = replace(state, commit=head)
            return None
        return self._first_report(change, progress)

    def _first_report(self, change: Change, progress: Progress | None) -> dict[str, Any] | None:
        head = change.new.sha
        self._repetitions = 0
        self._wait_before_repetition()
        if progress is None:
            self._state = WatchState(head)
        elif progress.acknowledged.latest == head:
            log.info("%s of %s is evaluated already", _short(head), self.watch.ref)
            self._state = WatchState(head)
            return None
        else:
            self._state = WatchState(head, Pending(change.old, progress.acknowledged.count))
        event = change_event(change, self.watch)
        log.info("%s", describe(event))
        return event

    async def _repetition(
        self, look: Look, pending: Pending, head: str, progress: Progress
    ) -> dict[str, Any] | None:
        """Return the event once more if the consumer neither evaluated the head nor is about to."""
        if progress.is_running:
            self._wait_before_repetition()
            return None
        for commit in progress.acknowledged.since(pending.since):
            if await self._is_equal(look, commit, head):
                self._state = WatchState(head)
                return None
        if not self._seen_idle:
            # Between two runs there is a moment without one, though the next is due already.
            self._seen_idle = True
            self._repeat_at = asyncio.get_running_loop().time() + _LEAST_REPETITION
            return None
        change = await look.change(pending.old, head)
        self._repetitions += 1
        wait = self._wait_before_repetition()
        event = change_event(change, self.watch)
        log.warning(
            "%s has not evaluated this yet; reported again (%s), next in %.0f s unless it is evaluated: %s",
            *(self.evaluated_by, self._repetitions, wait, describe(event)),
        )
        return event

    def _wait_before_repetition(self) -> float:
        self._seen_idle = False
        wait = backoff(self._repetitions + 1, max(self.interval, _LEAST_REPETITION))
        self._repeat_at = asyncio.get_running_loop().time() + wait
        return wait

    async def _is_equal(self, look: Look, commit: str, head: str) -> bool:
        """Whether two commits are the same to this watch."""
        if commit == head:
            return True
        change = await look.change(commit, head)
        return self.watch.decide(commit, head, change.paths) is Verdict.ELSEWHERE

    def _tell_gone(self, head: str | None) -> None:
        gone = head is None
        if gone and not self._gone:
            log.warning("There is no branch or tag %s (any more); waiting for it", self.watch.ref)
        self._gone = gone

    async def _applied_commit(self) -> str | None:
        """Ask the function for the applied commit, off the event loop and one call at a time."""
        if self._applied is None:
            self._applied = asyncio.ensure_future(asyncio.to_thread(_call, str(self.baseline)))
        done, _ = await asyncio.wait([self._applied], timeout=PATIENCE)
        if not done:
            raise NotYetError(f"{self.baseline} has not answered yet")
        asked, self._applied = self._applied, None
        return asked.result()

    @property
    def _state_key(self) -> str:
        """Name of the saved state; another one for other paths, which may have changed unseen."""
        watched = "\n".join([self.repo_url or "", self.git_conn_id, self.watch.ref, *self.watch.patterns])
        return f"git {hashlib.sha256(watched.encode()).hexdigest()[:16]}"

    def _stores(self) -> list[Any]:
        if self.asset_state_store is None:
            return []
        # Assets with equal watchers share one trigger; then only this private mapping names them all.
        return list(getattr(self.asset_state_store, "_by_name", {}).values()) or [self.asset_state_store]

    async def _read_state(self) -> WatchState | None:
        for store in self._stores():
            saved = WatchState.from_json(await store.aget(self._state_key))
            if saved is not None:
                return saved
        return None

    async def _save(self, state: WatchState) -> None:
        about = {**state.to_json(), "branch": self.watch.ref, "paths": list(self.watch.patterns)}
        for store in self._stores():
            await store.aset(self._state_key, about)
        self._saved = state


class GitPathOnceTrigger(GitPathTrigger):
    """
    Fires once, for a task that waits: see :class:`~feature_ops.git.sensor.GitPathSensor`.

    :param since: the commit to compare with.
    """

    def __init__(self, *, since: str, **arguments: Any) -> None:
        super().__init__(**arguments)
        self.since = since

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Return the class and all arguments, plain JSON."""
        name, arguments = super().serialize()
        return name, {**arguments, "since": self.since}

    async def first_state(self, head: str | None) -> WatchState:
        """Return the commit that the task compares with."""
        return WatchState(self.since)

    async def filter_shared_stream(self, shared_stream: AsyncIterator[Look]) -> AsyncGenerator[TriggerEvent]:
        """End after the first event."""
        async with aclosing(super().filter_shared_stream(shared_stream)) as events:
            async for event in events:
                yield event
                return


def _call(function: str) -> str | None:
    module, name = function.split(":")
    commit = getattr(import_module(module), name)()
    return None if commit is None else str(commit)


def _short(commit: str) -> str:
    return commit[:8] or "nothing"
