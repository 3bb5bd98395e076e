"""A task that waits for a commit that changes watched paths."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from airflow.sdk import BaseSensorOperator, Context, PokeReturnValue, conf
from airflow.sdk.exceptions import AirflowFailException

from feature_ops.exceptions import BadInputError
from feature_ops.git.heads import WatchedRepository
from feature_ops.git.path_watch import NO_COMMIT, PathWatch, Verdict
from feature_ops.git.trigger import GitPathOnceTrigger, change_event, describe


class GitPathSensor(BaseSensorOperator):
    """
    Waits until a commit changes watched paths of a branch or tag; its XCom is the event.

    The event is that of :class:`~feature_ops.git.trigger.GitPathTrigger`. For DAGs that run on a
    schedule; to start a DAG by a commit use the trigger in an ``AssetWatcher``.

    :param paths: patterns as in a ``.gitignore``, see
        :class:`~feature_ops.git.path_watch.PathWatch`. (templated)
    :param ref: a branch or tag. (templated)
    :param since: the commit to compare with, as a full or short hash, a branch or a tag; empty: the
        ref's commit when the task first looks. Kept when the task is tried again or cleared. (templated)
    :param git_conn_id: an Airflow connection of type ``git``.
    :param repo_url: another repository on the connection's server. (templated)
    :param deferrable: whether to wait in the triggerer, sharing its requests to the server with all
        that watch the same repository at the same ``poke_interval``, and not in a worker.
    """

    template_fields: Sequence[str] = ("paths", "ref", "since", "repo_url")

    def __init__(
        self,
        *,
        paths: Sequence[str],
        ref: str = "main",
        since: str = "",
        git_conn_id: str = "git_default",
        repo_url: str | None = None,
        deferrable: bool = conf.getboolean("operators", "default_deferrable", fallback=False),
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.paths = paths
        self.ref = ref
        self.since = since
        self.git_conn_id = git_conn_id
        self.repo_url = repo_url
        self.deferrable = deferrable
        self._repository: WatchedRepository | None = None

    def execute(self, context: Context) -> Any:
        """Look once, then wait in the way that was chosen."""
        try:
            if not self.deferrable:
                return super().execute(context)
            event = self._look(context)
        except BadInputError as error:
            raise AirflowFailException(str(error)) from None
        finally:
            if self._repository:
                self._repository.close()
        if event is None:
            self.defer(
                trigger=GitPathOnceTrigger(
                    paths=list(self.paths),
                    ref=self.ref,
                    since=self._kept_since(context),
                    git_conn_id=self.git_conn_id,
                    repo_url=self.repo_url,
                    interval=self.poke_interval,
                ),
                method_name="execute_complete",
                timeout=timedelta(seconds=self.timeout),
            )
        return event

    def execute_complete(self, context: Context, event: dict[str, Any]) -> dict[str, Any]:
        """Return what the trigger saw."""
        self._summarize(context, event)
        return event

    def poke(self, context: Context) -> bool | PokeReturnValue:
        """Look once."""
        event = self._look(context)
        return PokeReturnValue(is_done=True, xcom_value=event) if event else False

    def _look(self, context: Context) -> dict[str, Any] | None:
        watch = self._watch()
        if self._repository is None:
            self._repository = WatchedRepository(self.git_conn_id, self.repo_url)
        head = watch.head(self._repository.heads())
        since = self._kept_since(context)
        if since is None:
            since = self._repository.resolve(self.since) if self.since else head or NO_COMMIT
            context["task_state_store"].set("since", since)
            self.log.info(
                "Waiting for a change of %s on %s since %s", ", ".join(self.paths), self.ref, since[:8]
            )
        if head is None or watch.decide(since, head) is Verdict.UNMOVED:
            return None
        change = self._repository.change(since, head)
        if watch.decide(since, head, change.paths) is not Verdict.CHANGED:
            return None
        event = change_event(change, watch)
        self._summarize(context, event)
        return event

    def _summarize(self, context: Context, event: dict[str, Any]) -> None:
        from airflow.sdk.execution_time.context import NEVER_EXPIRE

        context["task_state_store"].set("summary", describe(event), retention=NEVER_EXPIRE)
        self.log.info("%s", describe(event))

    def _kept_since(self, context: Context) -> Any:
        return context["task_state_store"].get("since")

    def _watch(self) -> PathWatch:
        try:
            return PathWatch(self.ref, tuple(self.paths))
        except ValueError as error:
            raise BadInputError(str(error)) from None
