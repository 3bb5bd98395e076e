"""What is looked up in a store, and what comes back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol


@dataclass(frozen=True)
class Wanted:
    """
    What is looked up of one view.

    :param view: the view's name in the store, with its version if it has one.
    :param features: the features' names in the store.
    :param group: which of the lists of keys it is looked up by.
    """

    view: str
    features: tuple[str, ...]
    group: int


class Rows(NamedTuple):
    """
    What a store holds of one view, in the order of the keys.

    :param columns: a stored value for each key, for each feature; None if there is none.
    :param times: an event time for each key, as the store keeps it.
    """

    columns: Sequence[Sequence[bytes | None]]
    times: Sequence[Any]


class Row(NamedTuple):
    """
    What a store holds of one view for one key.

    :param values: a stored value for each feature; None if there is none.
    :param time: the event time, as the store keeps it.
    """

    values: Sequence[bytes | None]
    time: Any


class RowReader(Protocol):
    """Looks up what was planned for one store."""

    # Whether a value that is not there is told as not found; the Redis store of Feast tells null.
    tells_missing: bool

    def read(self, keys: Sequence[Sequence[bytes]]) -> list[Rows] | None:
        """Return the rows of each view that is wanted; None if Feast has to ask again."""
        ...

    def read_one(self, keys: Sequence[bytes]) -> list[Row] | None:
        """Return the row of each view that is wanted, for one key of each group."""
        ...

    def decode_time(self, time: Any) -> Any:
        """Return a time of the rows as a datetime in UTC, or None."""
        ...
