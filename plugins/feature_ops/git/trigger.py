"""The git trigger: events for commits that change watched paths."""

from __future__ import annotations

import asyncio
import hashlib
import logging
import re
from collections.abc import AsyncGenerator, AsyncIterator, Hashable, Mapping, Sequence
from contextlib import aclosing
from functools import partial
from importlib import import_module
from typing import Any

from airflow.triggers.base import BaseEventTrigger, TriggerEvent

from feature_ops.git.heads import Change
from feature_ops.git.heads_stream import PATIENCE, HeadsStream, Look, NotYetError
from feature_ops.git.outage import Outage
from feature_ops.git.path_watch import NO_COMMIT, PathWatch, Verdict

log = logging.getLogger(__name__)

_PATHS_TOLD = 50


def change_event(change: Change, watch: PathWatch) -> dict[str, Any]:
    """Return what is told of a change: small, plain JSON."""
    paths = watch.matching(change.paths or ())
    return {
        "repository": change.repository,
        "branch": watch.ref.removeprefix("refs/heads/").removeprefix("refs/tags/"),
        "path": paths[0] if paths else "",
        "paths": paths[:_PATHS_TOLD],
        "changed": len(paths),
        "old": change.old,
        "new": change.new.sha,
        "author": change.new.author,
        "subject": change.new.subject,
        "committed_at": change.new.committed_at,
    }


def describe(event: Mapping[str, Any]) -> str:
    """Return the event in one line for people."""
    more = f" and {event['changed'] - 1} more" if event["changed"] > 1 else ""
    what = f"{event['path']}{more}" if event["path"] else "unknown, the server lost the old commit"
    return (
        f"{event['branch']} of {event['repository']} went from {_short(event['old'])} to "
        f"{_short(event['new'])} ({event['author']}: {event['subject']}); changed: {what}"
    )


class GitPathTrigger(BaseEventTrigger):
    """
    Fires when a commit changes watched paths of a branch or tag.

    For an ``AssetWatcher``. All triggers with one connection, repository and interval share one
    request to the server per interval; only after a head moved is more asked for. The commit that was
    handled last is kept in the asset's state store, noted only when its event is in Airflow's
    database: an event may come twice, none is lost.

    :param paths: patterns as in a ``.gitignore``, see
        :class:`~feature_ops.git.path_watch.PathWatch`.
    :param ref: a branch or tag.
    :param git_conn_id: an Airflow connection of type ``git``.
    :param repo_url: another repository on the connection's server.
    :param interval: seconds between two looks.
    :param baseline: ``package.module:function`` that returns the commit to compare with when none was
        handled yet, or None for the ref's present commit. While the function fails there are no
        events, since guessing could lose a change.
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
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        # TypeError only: it is all that Airflow's triggerer survives when it makes a trigger.
        if isinstance(paths, str):
            raise TypeError(f"paths must be a list of patterns, such as [{paths!r}]")
        if not interval > 0:
            raise TypeError(f"interval must be more than 0 seconds, not {interval}")
        if baseline is not None and not re.fullmatch(r"[\w.]+:\w+", baseline):
            raise TypeError(f"baseline must look like package.module:function, not {baseline!r}")
        try:
            self.watch = PathWatch(ref, tuple(paths))
        except ValueError as error:
            raise TypeError(str(error)) from None
        self.git_conn_id = git_conn_id
        self.repo_url = repo_url
        self.interval = float(interval)
        self.baseline = baseline
        # None as long as nobody knows.
        self._handled: str | None = None
        self._noted: str | None = None
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
                log.info("%s", describe(event))
                yield TriggerEvent(event)  # type: ignore[no-untyped-call]
            if self._handled is not None and self._handled != self._noted:
                look.when_persisted(partial(self._note, self._handled))

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

    async def first_handled(self, head: str | None) -> str:
        """Return the commit to start from: the one handled last, the applied one, or the head."""
        name = f"{self.watch.ref} for {', '.join(self.watch.patterns)}"
        noted = await self._read_note()
        if noted is not None:
            log.info("The watch of %s goes on from %s, handled last", name, _short(noted))
            self._noted = noted
            return noted
        applied = await self._applied_commit() if self.baseline else None
        if applied is not None:
            log.info("The watch of %s starts from %s, the applied commit", name, _short(applied))
            return applied
        log.info("The watch of %s starts from %s, today's commit", name, _short(head or NO_COMMIT))
        return head or NO_COMMIT

    async def _try_event(self, look: Look) -> dict[str, Any] | None:
        """Return the event to fire for a look, if any; what fails is tried again at a later look."""
        now = asyncio.get_running_loop().time()
        if now < self._retry_at:
            return None
        try:
            head = self.watch.head(look.heads)
            if self._handled is None:
                self._handled = await self.first_handled(head)
        except NotYetError:
            return None
        except Exception as error:
            self._retry_at = now + self._outage.failed(error)
            return None
        self._outage.over()
        self._tell_gone(head)
        try:
            return await self._event(look, self._handled, head)
        except Exception as error:
            # Of git: the stream tells of it and waits.
            log.debug("No answer for %s yet: %s", self.watch.ref, error)
            return None

    async def _event(self, look: Look, handled: str, head: str | None) -> dict[str, Any] | None:
        if head is None or self.watch.decide(handled, head) is Verdict.UNMOVED:
            return None
        change = await look.change(handled, head)
        self._handled = head
        if self.watch.decide(handled, head, change.paths) is Verdict.CHANGED:
            return change_event(change, self.watch)
        log.debug("%s went to %s, and no watched path changed", self.watch.ref, _short(head))
        return None

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
    def _note_key(self) -> str:
        """Name of the note; another one for other paths, which may have changed unseen."""
        watched = "\n".join([self.repo_url or "", self.git_conn_id, self.watch.ref, *self.watch.patterns])
        return f"git {hashlib.sha256(watched.encode()).hexdigest()[:16]}"

    def _stores(self) -> list[Any]:
        if self.asset_state_store is None:
            return []
        # Assets with equal watchers share one trigger; then only this private mapping names them all.
        return list(getattr(self.asset_state_store, "_by_name", {}).values()) or [self.asset_state_store]

    async def _read_note(self) -> str | None:
        for store in self._stores():
            note = await store.aget(self._note_key)
            if isinstance(note, dict) and isinstance(note.get("commit"), str):
                return str(note["commit"])
        return None

    async def _note(self, commit: str) -> None:
        about = {"commit": commit, "branch": self.watch.ref, "paths": list(self.watch.patterns)}
        for store in self._stores():
            await store.aset(self._note_key, about)
        self._noted = commit


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

    async def first_handled(self, head: str | None) -> str:
        """Return the commit that the task compares with."""
        return self.since

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
