"""
Every point at which a step changes something outside its process: the list, written once.

A task may be killed before and after each of them. The tests walk this list, kill a worker at each
point, and compare what the next try or the next run makes of it with an undisturbed run.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from enum import StrEnum


class CommitPoint(StrEnum):
    """One external effect of a step, named by what is true after it."""

    # ingest
    UPLOAD_BEGUN = "upload begun"
    PART_SENT = "part sent"
    SOURCE_STAGED = "source staged"
    STAGING_SWEPT = "staging swept"
    # validate
    SOURCE_QUARANTINED = "source quarantined"
    REFUSAL_REPORTED = "refusal reported"
    REPORT_WRITTEN = "report written"
    FILE_PROPOSED = "file proposed"
    FILE_ACCEPTED = "file accepted"
    ACCEPTED_FILE_MOVED = "accepted file moved"
    PROPOSAL_REMOVED = "proposal removed"
    # version
    CONTENT_ON_DVC_REMOTE = "content on the DVC remote"
    POINTERS_PUSHED = "pointers pushed"
    # upload
    FILE_IN_HISTORY = "file in the history"
    ACCEPTED_FILE_REMOVED = "accepted file removed"
    # materialize
    LEDGER_FORGOTTEN = "ledger forgotten"
    DEFINITION_NARROWED = "definition narrowed"
    BACKFILL_BEGUN = "backfill begun"
    ROWS_ONLINE = "rows online"
    BACKFILL_ADVANCED = "backfill advanced"
    VIEW_MATERIALIZED = "view materialized"
    RESULT_KEPT = "result kept"
    LEDGER_RECORDED = "ledger recorded"
    BACKFILL_FINISHED = "backfill finished"
    EVENT_ANNOUNCED = "event announced"
    # apply
    REGISTRY_DUMPED = "registry dumped"
    APPLY_BEGUN = "apply begun"
    DEFINITIONS_APPLIED = "definitions applied"
    COMMIT_NOTED = "commit noted"
    # every step
    SUMMARY_TOLD = "summary told"
    STATUS_TOLD = "status told"


# Passed only where definitions change; every other point is passed by the ETL, too.
DEFINITION_POINTS = frozenset(
    {
        CommitPoint.DEFINITION_NARROWED,
        CommitPoint.REGISTRY_DUMPED,
        CommitPoint.APPLY_BEGUN,
        CommitPoint.DEFINITIONS_APPLIED,
        CommitPoint.COMMIT_NOTED,
    }
)

BEFORE, AFTER = "before", "after"

Observer = Callable[[CommitPoint, str], None]

_observers: list[Observer] = []


@contextmanager
def passing(point: CommitPoint) -> Iterator[None]:
    """Mark the block that has the effect; nobody watches it outside of tests."""
    _tell(point, BEFORE)
    yield
    _tell(point, AFTER)


@contextmanager
def observed_by(observer: Observer) -> Iterator[None]:
    """Call the observer with each point and ``before`` or ``after`` while the block runs."""
    _observers.append(observer)
    try:
        yield
    finally:
        _observers.remove(observer)


def _tell(point: CommitPoint, phase: str) -> None:
    for observer in _observers:
        observer(point, phase)
