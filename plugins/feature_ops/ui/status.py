"""
What steps tell the page in Airflow: one JSON object per task on object storage.

``<storage_uri>/_status/<dag_id>/<task_id>.json`` holds how the task's last runs ended, the newest first, and
the last success, however long ago it was. A step whose word does not arrive goes on: it is only for people.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Literal

from feature_ops.commit_points import CommitPoint, passing
from feature_ops.settings import get_settings

if TYPE_CHECKING:
    from airflow.sdk import BaseOperator, Context

    from feature_ops.object_store import ObjectStore

log = logging.getLogger(__name__)

State = Literal["success", "skipped", "failed"]

# Endings of one task that are kept.
_KEPT = 10
# Two runs may tell of the same task at once.
_TRIES = 5
# Nobody waits long for what is only shown.
_SECONDS = 5.0


@dataclass(frozen=True)
class Ending:
    """
    How a task of one run ended.

    :param summary: its line for people.
    :param facts: what the page shows of it, plain JSON.
    :param ended_at: ISO time in UTC.
    """

    run_id: str
    state: State
    summary: str
    facts: Mapping[str, Any] = field(default_factory=dict)
    ended_at: str = ""


@dataclass(frozen=True)
class TaskStatus:
    """
    What is kept of one task.

    :param endings: of its last runs, the newest first; one per run, that of its last try.
    :param success: the newest success; None if there was none yet.
    """

    dag_id: str
    task_id: str
    endings: tuple[Ending, ...] = ()
    success: Ending | None = None

    def ended(self, ending: Ending) -> TaskStatus:
        """Return it with one more ending, which replaces that of an earlier try of the same run."""
        others = [kept for kept in self.endings if kept.run_id != ending.run_id]
        success = ending if ending.state == "success" else self.success
        return replace(self, endings=(ending, *others)[:_KEPT], success=success)

    def to_json(self) -> bytes:
        """Return it as it is stored."""
        return json.dumps(asdict(self), ensure_ascii=False).encode()

    @classmethod
    def from_json(cls, content: bytes) -> TaskStatus:
        """Read what :meth:`to_json` gave; raises ``ValueError`` for anything else."""
        try:
            kept = json.loads(content)
            success = Ending(**kept["success"]) if kept["success"] else None
            endings = tuple(Ending(**ending) for ending in kept["endings"])
            return cls(str(kept["dag_id"]), str(kept["task_id"]), endings, success)
        except (KeyError, TypeError, AttributeError) as error:
            raise ValueError(f"not the status of a task: {error}") from None


def status_prefix() -> str:
    """Return where the status of every task is."""
    return f"{get_settings().storage_uri}/_status/"


def tell(operator: BaseOperator, context: Context, state: State, line: str, facts: Mapping[str, Any]) -> None:
    """Put the ending of a task to those that are kept; what goes wrong is logged and goes no further."""
    try:
        ending = Ending(
            run_id=str(context["dag_run"].run_id),
            state=state,
            summary=line,
            facts=facts,
            ended_at=datetime.now(UTC).isoformat(timespec="milliseconds"),
        )
        with passing(CommitPoint.STATUS_TOLD):
            _put(_store(), TaskStatus(operator.dag_id, operator.task_id), ending)
    except Exception as error:
        log.warning("The page in Airflow is not told of this: %s (%s)", error, type(error).__name__)


def _store() -> ObjectStore:
    from feature_ops.object_store import ObjectStore

    return replace(ObjectStore.from_connection(get_settings().aws_conn_id), timeout=_SECONDS)


def _put(store: ObjectStore, unknown: TaskStatus, ending: Ending) -> None:
    uri = f"{status_prefix()}{unknown.dag_id}/{unknown.task_id}.json"
    for _ in range(_TRIES):
        found = store.get_bytes(uri)
        content = _known(found, unknown).ended(ending).to_json()
        if store.replace_bytes(content, uri, found[1] if found else None):
            return
    log.warning("The page in Airflow is not told of this: %s is written by others all the time", uri)


def _known(found: tuple[bytes, str] | None, unknown: TaskStatus) -> TaskStatus:
    if found is None:
        return unknown
    try:
        return TaskStatus.from_json(found[0])
    except ValueError:
        return unknown
