"""What is read: a column for each join key and each feature."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import IntEnum
from typing import Any

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_SECOND = timedelta(seconds=1)


class Status(IntEnum):
    """What Feast says of a value; numbers are those of ``feast.protos.feast.serving.FieldStatus``."""

    INVALID = 0
    PRESENT = 1
    NULL_VALUE = 2
    NOT_FOUND = 3
    OUTSIDE_MAX_AGE = 4


class Times:
    """Event times of the rows of one view, decoded when somebody asks for them."""

    __slots__ = ("_decode", "_decoded", "_raw")

    def __init__(self, raw: Sequence[Any], decode: Callable[[Any], datetime | None]) -> None:
        self._raw, self._decode = raw, decode
        self._decoded: list[datetime | None] | None = None

    @property
    def datetimes(self) -> list[datetime | None]:
        """In UTC; None where Feast has no time, which is 1970 for it."""
        if self._decoded is None:
            times = map(self._decode, self._raw)
            self._decoded = [None if time == _EPOCH else time for time in times]
        return self._decoded


class Column:
    """
    The values of one feature or join key, one for each row that was asked for.

    :param values: what ``to_dict`` of Feast's answer holds.
    :param raw: what was stored for each row, if None among it means that nothing was found.
    """

    __slots__ = ("_raw", "_times", "values")

    def __init__(
        self, values: list[Any], times: Times | None = None, raw: Sequence[bytes | None] | None = None
    ) -> None:
        self.values = values
        self._times, self._raw = times, raw

    @property
    def statuses(self) -> list[Status]:
        """What Feast says of each value."""
        if self._raw is None:
            return [Status.PRESENT] * len(self.values)
        return [Status.NOT_FOUND if value is None else Status.PRESENT for value in self._raw]

    @property
    def event_timestamps(self) -> list[datetime | None]:
        """When each value was true, in UTC; None where Feast has no time, as for join keys."""
        return self._times.datetimes if self._times else [None] * len(self.values)


class GivenColumn(Column):
    """A column of an answer that Feast gave."""

    __slots__ = ("_given",)

    def __init__(self, values: list[Any], times: Times, statuses: Sequence[int]) -> None:
        super().__init__(values, times)
        self._given = statuses

    @property
    def statuses(self) -> list[Status]:
        """What Feast says of each value."""
        return [Status(status) for status in self._given]


@dataclass(frozen=True, slots=True)
class Answer:
    """
    What was read.

    :param columns: by name, as Feast names them: join keys as they were asked for, then features.
    """

    columns: dict[str, Column]

    def to_dict(self, include_event_timestamps: bool = False) -> dict[str, list[Any]]:
        """Return the values by name, as ``OnlineResponse.to_dict`` does; times are seconds since 1970."""
        if not include_event_timestamps:
            return {name: column.values for name, column in self.columns.items()}
        found: dict[str, list[Any]] = {}
        for name, column in self.columns.items():
            found[name] = column.values
            found[f"{name}__ts"] = [_seconds(time) for time in column.event_timestamps]
        return found


def answer_of(response: Any) -> Answer:
    """Return Feast's own answer as one of ours."""
    values = response.to_dict()
    return Answer(
        {
            name: GivenColumn(values[name], Times(vector.event_timestamps, _moment), vector.statuses)
            for name, vector in zip(
                response.proto.metadata.feature_names.val, response.proto.results, strict=True
            )
        }
    )


def _moment(message: Any) -> datetime:
    moment: datetime = message.ToDatetime(tzinfo=UTC)
    return moment


def _seconds(time: datetime | None) -> int:
    return 0 if time is None else (time - _EPOCH) // _SECOND
