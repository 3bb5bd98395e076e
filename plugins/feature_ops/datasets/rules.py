"""The rules for single rows, made from the dataset's declared columns and checked on whole Arrow columns."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from feature_ops.datasets.column import FLOATING, Column, ColumnType
from feature_ops.datasets.dataset import Dataset
from feature_ops.datasets.shown_scalars import shown_scalar
from feature_ops.datasets.violations import ROWS_SHOWN, Violations
from feature_ops.keys import MAX_KEY_BYTES, invalid_key_reason

if TYPE_CHECKING:
    import pyarrow as pa

_EARLIEST = datetime(1970, 1, 1, tzinfo=UTC)

# A rule, and for each value whether it breaks the rule; null if the value is null.
_Broken = tuple[str, "pa.Array"]


class RowRules:
    """
    The rules of a dataset.

    :param latest: latest allowed event time: the time of the check, so that the run that brings a row also
        materializes it.
    """

    def __init__(self, dataset: Dataset, latest: datetime) -> None:
        self._dataset, self._latest = dataset, latest

    def check(self, column: Column, array: pa.Array, first_row: int, violations: Violations) -> None:
        """
        Record the rows of a batch whose value in one column breaks a rule.

        :param array: values in the column's type.
        :param first_row: number of the batch's first row in the file.
        """
        is_key = column.name in self._dataset.keys
        if array.null_count and (is_key or not column.nullable):
            _record(column, "must not be null", array, array.is_null(), first_row, violations)
        for rule, broken in self._broken(column, array, is_key):
            _record(column, rule, array, broken, first_row, violations)

    def _broken(self, column: Column, array: pa.Array, is_key: bool) -> Iterator[_Broken]:
        if column.name == self._dataset.timestamp_field:
            yield from _time_rules(array, self._latest)
        elif column.type is ColumnType.STRUCT:
            for (name, kind), values in zip((column.fields or {}).items(), array.flatten(), strict=True):
                for rule, broken in _number_rules(Column(name=name, type=kind), values):
                    yield f"field {name!r} {rule}", broken
        elif column.type is ColumnType.LIST:
            yield from _list_rules(column, array)
        else:
            yield from _number_rules(column, array)
            if is_key:
                yield from _key_rules(array)


def _time_rules(times: pa.Array, latest: datetime) -> Iterator[_Broken]:
    import pyarrow as pa
    import pyarrow.compute as pc

    yield "must not be before 1970", pc.less(times, pa.scalar(_EARLIEST, times.type))
    yield (
        f"must not be in the future, that is after {latest:%Y-%m-%d %H:%M:%S} UTC",
        pc.greater(times, pa.scalar(latest, times.type)),
    )


def _list_rules(column: Column, array: pa.Array) -> Iterator[_Broken]:
    import pyarrow as pa
    import pyarrow.compute as pc

    elements, rows = pc.list_flatten(array), pc.list_parent_indices(array)
    of = Column(name=column.name, type=column.of or ColumnType.STRING, ge=column.ge, le=column.le)
    for rule, broken in (("must have no null in it", elements.is_null()), *_number_rules(of, elements)):
        in_rows = pc.unique(rows.filter(broken))
        yield rule, pc.is_in(pa.array(range(len(array)), pa.int64()), in_rows.cast("int64"))


def _number_rules(column: Column, values: pa.Array) -> Iterator[_Broken]:
    import pyarrow.compute as pc

    if column.type in FLOATING:
        yield "must be a finite number", pc.invert(pc.is_finite(values))
    # NaN is neither less nor greater, so that it breaks one rule only.
    if column.ge is not None:
        yield f"must be at least {column.ge:.15g}", pc.less(values, _bound(column.ge, values.type, math.ceil))
    if column.le is not None:
        yield (
            f"must be at most {column.le:.15g}",
            pc.greater(values, _bound(column.le, values.type, math.floor)),
        )


def _bound(bound: float, type_: pa.DataType, whole: Callable[[float], int]) -> float | pa.Scalar:
    """Return a bound to compare with; integers as such, since Arrow compares large ones with no float."""
    import pyarrow as pa

    if not pa.types.is_integer(type_):
        return bound
    most = 2 ** (type_.bit_width - 1)
    return pa.scalar(min(max(whole(bound), -most), most - 1), type_)


def _key_rules(array: pa.Array) -> Iterator[_Broken]:
    import pyarrow as pa
    import pyarrow.types as t

    reason: Callable[[Any], str | None]
    if t.is_string(array.type):
        reason = invalid_key_reason
    elif t.is_binary(array.type):
        reason = _invalid_bytes_reason
    else:
        return
    reasons = [None if key is None else reason(key) for key in array.to_pylist()]
    for rule in sorted(set(filter(None, reasons))):
        yield rule, pa.array([found == rule for found in reasons])


def _invalid_bytes_reason(key: bytes) -> str | None:
    if not key:
        return "must not be empty"
    return f"must not be longer than {MAX_KEY_BYTES:,} bytes" if len(key) > MAX_KEY_BYTES else None


def _record(
    column: Column, rule: str, array: pa.Array, broken: pa.Array, first_row: int, violations: Violations
) -> None:
    import pyarrow.compute as pc

    positions = pc.indices_nonzero(pc.fill_null(broken, False)).to_pylist()
    if positions:
        rows = [(first_row + position, shown_scalar(array[position])) for position in positions[:ROWS_SHOWN]]
        violations.add(column.name, rule, rows, len(positions))
