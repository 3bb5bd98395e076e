"""What is read: a column for each join key and each feature."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from enum import IntEnum
from typing import Any, NamedTuple

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_SECOND = timedelta(seconds=1)


class Status(IntEnum):
    """What Feast says of a value; numbers are those of ``feast.protos.feast.serving.FieldStatus``."""

    INVALID = 0
    PRESENT = 1
    NULL_VALUE = 2
    NOT_FOUND = 3
    OUTSIDE_MAX_AGE = 4


class Column(NamedTuple):
    """
    One feature or join key, with an item for each row that was asked for.

    :param values: what ``to_dict`` of Feast's answer holds.
    :param statuses: what Feast says of each value.
    :param event_timestamps: when each value was true, in UTC; None where Feast has no time, as for join
        keys; that is 1970 for it.
    """

    values: list[Any]
    statuses: list[Status]
    event_timestamps: list[datetime | None]


class Part(NamedTuple):
    """
    What was read of one view, as it is stored.

    :param names: of the features, as Feast names them.
    :param raw: the stored values of each feature, if None among them tells that nothing was found.
    :param times: an event time for each row.
    """

    names: Sequence[str]
    raw: Sequence[Sequence[bytes | None]] | None
    times: Sequence[Any]


class Answer:
    """
    What was read.

    :param values: by name, as Feast names them: join keys as they were asked for, then features.
    :param parts: of which the rest is made when somebody asks for it.
    :param decode_time: turns a time of the parts into a datetime in UTC.
    """

    __slots__ = ("_columns", "_decode_time", "_parts", "_values")

    def __init__(
        self,
        values: dict[str, list[Any]],
        parts: Sequence[Part],
        decode_time: Callable[[Any], datetime | None],
    ) -> None:
        self._values, self._parts, self._decode_time = values, parts, decode_time
        self._columns: dict[str, Column] | None = None

    @property
    def columns(self) -> Mapping[str, Column]:
        """The columns by name; features of one view share a list of times."""
        if self._columns is None:
            self._columns = {name: _known(values) for name, values in self._values.items()}
            for part in self._parts:
                times = [_stated(self._decode_time(time)) for time in part.times]
                for place, name in enumerate(part.names):
                    values = self._values[name]
                    statuses = _found(part.raw[place]) if part.raw else [Status.PRESENT] * len(values)
                    self._columns[name] = Column(values, statuses, times)
        return self._columns

    def to_dict(self, include_event_timestamps: bool = False) -> dict[str, list[Any]]:
        """Return the values by name, as ``OnlineResponse.to_dict`` does; times are seconds since 1970."""
        if not include_event_timestamps:
            return dict(self._values)
        found: dict[str, list[Any]] = {}
        for name, column in self.columns.items():
            found[name] = column.values
            found[f"{name}__ts"] = [_seconds(time) for time in column.event_timestamps]
        return found


class GivenAnswer(Answer):
    """
    Feast's own answer as one of ours.

    :param response: a ``feast.online_response.OnlineResponse``.
    """

    __slots__ = ()

    def __init__(self, response: Any) -> None:
        super().__init__(response.to_dict(), (), _moment)
        self._columns = {
            name: Column(
                self._values[name],
                [Status(status) for status in vector.statuses],
                [_stated(_moment(time)) for time in vector.event_timestamps],
            )
            for name, vector in zip(
                response.proto.metadata.feature_names.val, response.proto.results, strict=True
            )
        }


def _known(values: list[Any]) -> Column:
    return Column(values, [Status.PRESENT] * len(values), [None] * len(values))


def _found(raw: Sequence[bytes | None]) -> list[Status]:
    return [Status.NOT_FOUND if value is None else Status.PRESENT for value in raw]


def _moment(message: Any) -> datetime:
    moment: datetime = message.ToDatetime(tzinfo=UTC)
    return moment


def _stated(time: datetime | None) -> datetime | None:
    return None if time == _EPOCH else time


def _seconds(time: datetime | None) -> int:
    return 0 if time is None else (time - _EPOCH) // _SECOND
