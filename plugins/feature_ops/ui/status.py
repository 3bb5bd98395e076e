"""
The status store: one JSON object per task on object storage, for the *Feature store* page.

``<storage_uri>/_status/<dag_id>/<task_id>.json`` holds the last endings of the task, its last success, and a
ring buffer of points for charts and lists. Best effort: a failed write never fails the task.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from feature_ops.commit_points import CommitPoint, passing
from feature_ops.settings import get_settings

if TYPE_CHECKING:
    from airflow.sdk import BaseOperator, Context

    from feature_ops.object_store import ObjectStore

log = logging.getLogger(__name__)

State = Literal["success", "skipped", "failed"]

# Key under which a step's facts carry its point; points live longer than endings.
POINT = "point"
# Facts that describe the current state: only their newest value is of use.
_CURRENT = frozenset({"online", "services", "on_demand_views", "aliases"})
_RUNS_KEPT = 10
# A mapped task has an ending per map index.
_ENDINGS_KEPT = 60
_POINTS_KEPT = 50
# Attempts of a compare-and-swap: two runs may report the same task at the same time.
_TRIES = 5
_TIMEOUT_SECONDS = 5.0


@dataclass(frozen=True)
class Ending:
    """
    How a task of one run ended.

    :param summary: its line in the log and in the task's state store.
    :param facts: what the page shows of it, plain JSON.
    :param ended_at: ISO time in UTC.
    :param run_after: ISO time in UTC of the run: a cleared run keeps it. Empty in older releases' endings.
    :param map_index: of a mapped task; -1 otherwise.
    :param refused: the input is wrong, so the task is not retried.
    """

    run_id: str
    state: State
    summary: str
    facts: Mapping[str, Any] = field(default_factory=dict)
    ended_at: str = ""
    run_after: str = ""
    map_index: int = -1
    refused: bool = False

    @property
    def key(self) -> tuple[str, int]:
        """Identify what retries and reruns replace."""
        return self.run_id, self.map_index


@dataclass(frozen=True)
class Point:
    """
    What charts and lists keep of one ending.

    :param at: when the task ended, ISO time in UTC.
    """

    run_id: str
    state: State
    at: str
    values: Mapping[str, Any] = field(default_factory=dict)
    map_index: int = -1

    @property
    def key(self) -> tuple[str, int]:
        """Identify what retries and reruns replace."""
        return self.run_id, self.map_index


@dataclass(frozen=True)
class TaskStatus:
    """
    What is kept of one task.

    :param endings: of its last runs, the newest first; one per run and map index, that of its last try.
    :param success: the newest success; None if there was none yet.
    :param points: the newest first; at most 50.
    """

    dag_id: str
    task_id: str
    endings: tuple[Ending, ...] = ()
    success: Ending | None = None
    points: tuple[Point, ...] = ()

    def ended(self, ending: Ending) -> TaskStatus:
        """Return the status with one more ending, which replaces that of an earlier try of the same run."""
        values = ending.facts.get(POINT)
        ending = replace(ending, facts={name: fact for name, fact in ending.facts.items() if name != POINT})
        others = [kept for kept in self.endings if kept.key != ending.key]
        return replace(
            self,
            endings=_kept([ending, *others]),
            success=ending if ending.state == "success" else self.success,
            points=self.points if values is None else self._with_point(ending, values),
        )

    def _with_point(self, ending: Ending, values: Mapping[str, Any]) -> tuple[Point, ...]:
        point = Point(ending.run_id, ending.state, ending.ended_at, values, ending.map_index)
        earlier = next((kept for kept in self.points if kept.key == point.key), None)
        if earlier and earlier.state == "success" and point.state == "skipped":
            # A rerun that finds the work done does not undo it.
            return self.points
        return (point, *(kept for kept in self.points if kept.key != point.key))[:_POINTS_KEPT]

    def to_json(self) -> bytes:
        """Serialize for storage."""
        return json.dumps(asdict(self), ensure_ascii=False, default=str).encode()

    @classmethod
    def from_json(cls, content: bytes) -> TaskStatus:
        """
        Read the output of :meth:`to_json`, also of older and newer releases.

        :raises ValueError: the content is something else.
        """
        try:
            # What is not a number in JSON, such as the loss of a failed training, is unknown.
            kept = json.loads(content, parse_constant=lambda _: None)
            return cls(
                str(kept["dag_id"]),
                str(kept["task_id"]),
                tuple(_read(Ending, ending) for ending in kept["endings"]),
                _read(Ending, kept["success"]) if kept["success"] else None,
                tuple(_read(Point, point) for point in kept.get("points", ())),
            )
        except (KeyError, TypeError, AttributeError) as error:
            raise ValueError(f"not the status of a task: {error}") from None


_Kind = TypeVar("_Kind", Ending, Point)


def _read(kind: type[_Kind], kept: Mapping[str, Any]) -> _Kind:
    known = {one.name for one in fields(kind)}
    return kind(**{name: value for name, value in kept.items() if name in known})


def _kept(endings: Iterable[Ending]) -> tuple[Ending, ...]:
    """Return the endings of the last runs; older ones without facts that a newer one replaces."""
    kept: list[Ending] = []
    runs: dict[str, None] = {}
    replaced: set[str] = set()
    for ending in endings:
        runs[ending.run_id] = None
        if len(runs) > _RUNS_KEPT or len(kept) == _ENDINGS_KEPT:
            break
        kept.append(replace(ending, facts={n: fact for n, fact in ending.facts.items() if n not in replaced}))
        replaced |= _CURRENT & ending.facts.keys()
    return tuple(kept)


def status_prefix() -> str:
    """Return the prefix of all tasks' status objects."""
    return f"{get_settings().storage_uri}/_status/"


def report(
    operator: BaseOperator,
    context: Context,
    state: State,
    line: str,
    facts: Mapping[str, Any] | None = None,
    refused: bool = False,
) -> None:
    """
    Write the ending of a task to the status store; a failure is logged and goes no further.

    :param line: the task's summary.
    :param facts: what the page shows beyond it, plain JSON.
    :param refused: the input is wrong, so the task is not retried.
    """
    try:
        ending = Ending(
            run_id=str(context["dag_run"].run_id),
            state=state,
            summary=line,
            facts=facts or {},
            ended_at=datetime.now(UTC).isoformat(timespec="milliseconds"),
            run_after=_run_after(context),
            map_index=_map_index(context),
            refused=refused,
        )
        with passing(CommitPoint.STATUS_TOLD):
            _put(_store(), TaskStatus(operator.dag_id, operator.task_id), ending)
    except Exception as error:
        log.warning("The Feature store page does not show this ending: %s (%s)", error, type(error).__name__)


def _run_after(context: Context) -> str:
    moment = getattr(context["dag_run"], "run_after", None)
    return moment.astimezone(UTC).isoformat(timespec="milliseconds") if moment else ""


def _map_index(context: Context) -> int:
    index = getattr(context.get("ti"), "map_index", None)
    return index if isinstance(index, int) else -1


def _store() -> ObjectStore:
    from feature_ops.object_store import ObjectStore

    return replace(ObjectStore.from_connection(get_settings().aws_conn_id), timeout=_TIMEOUT_SECONDS)


def _put(store: ObjectStore, unknown: TaskStatus, ending: Ending) -> None:
    uri = f"{status_prefix()}{unknown.dag_id}/{unknown.task_id}.json"
    for _ in range(_TRIES):
        found = store.get_bytes(uri)
        content = _known(found, unknown).ended(ending).to_json()
        if store.replace_bytes(content, uri, found[1] if found else None):
            return
    log.warning("The Feature store page does not show this ending: other writers keep replacing %s", uri)


def _known(found: tuple[bytes, str] | None, unknown: TaskStatus) -> TaskStatus:
    if found is None:
        return unknown
    try:
        return TaskStatus.from_json(found[0])
    except ValueError:
        return unknown
