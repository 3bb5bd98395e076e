"""What to load: the history's files that the ledger lacks, and the window of time that covers them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from feature_ops.feast.ledger import FileSpan


@dataclass(frozen=True)
class Pending:
    """
    What a feature view lacks online.

    :param files: files to load now.
    :param early: files with rows whose event time has not come; they are loaded when it has.
    :param start: earliest event time of the files to load; None if they hold no row.
    :param late: files to load with rows that are older than the newest row online.
    """

    files: tuple[FileSpan, ...]
    early: tuple[FileSpan, ...]
    start: datetime | None
    late: tuple[FileSpan, ...]


def plan(missing: Iterable[FileSpan], online: Iterable[FileSpan], now: datetime) -> Pending:
    """
    Decide what to load.

    The window goes from the earliest event time of what is missing to now. So it needs no
    watermark: a late row is in it however old it is, and so is the whole history at the first
    load. And as it ends now, the latest row of a key in it is the latest of all, so nothing that
    is loaded can be older than what is online.

    :param missing: files of the history that the ledger lacks.
    :param online: files that the ledger has.
    :param now: end of the window.
    """
    missing, online = tuple(missing), tuple(online)
    early = tuple(file for file in missing if file.last_event is not None and file.last_event > now)
    files = tuple(file for file in missing if file not in early)
    newest = max((file.last_event for file in online if file.last_event is not None), default=None)
    late = tuple(
        file
        for file in files
        if newest is not None and file.first_event is not None and file.first_event < newest
    )
    start = min((file.first_event for file in files if file.first_event is not None), default=None)
    return Pending(files, early, start, late)
