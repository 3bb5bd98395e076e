"""Which rows a materialization is to load, for a caller that knows it better than a window of time does."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass

import pyarrow.dataset as pads


def _nothing(reached: int) -> None:
    pass


@dataclass(frozen=True)
class Load:
    """
    The rows of some files, in pieces that a killed load does not lose.

    :param files: the files, in an order that does not change between two tries.
    :param rivals: files that are online already. A row of theirs that is newer than one of the same key in
        ``files`` keeps that from being written, also where the online store itself could not tell.
    :param skip: so many rows, in the files' order, are online already.
    :param piece_rows: so many rows at most are written before ``reached`` is told.
    :param reached: is called with the number of rows, in the files' order, that are online now.
    :param around_writing: is entered around each writing, in the thread that writes.
    """

    files: pads.Dataset
    rivals: pads.Dataset | None = None
    skip: int = 0
    piece_rows: int | None = None
    reached: Callable[[int], None] = _nothing
    around_writing: Callable[[], AbstractContextManager[None]] = nullcontext
