"""The rules for lists and structs, which pandas has no words for."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from feature_ops.datasets.column import FLOATING, Column, ColumnType
from feature_ops.datasets.violations import ROWS_SHOWN, Violations

if TYPE_CHECKING:
    import pyarrow as pa

#: A rule, and for each of the values whether it breaks the rule.
_Broken = tuple[str, "pa.Array"]


def check_nested(column: Column, array: pa.Array, first_row: int, violations: Violations) -> None:
    """
    Note the rows of a batch whose list or struct breaks a rule.

    :param first_row: number of the batch's first row in the file.
    """
    if not column.nullable and array.null_count:
        _note(column, "must not be null", array, array.is_null(), first_row, violations)
    if column.type is ColumnType.STRUCT:
        for name, kind in (column.fields or {}).items():
            for rule, broken in _broken(Column(name=name, type=kind), array.flatten()[_place(array, name)]):
                _note(column, f"field {name!r} {rule}", array, broken, first_row, violations)
        return
    import pyarrow.compute as pc

    elements, rows = pc.list_flatten(array), pc.list_parent_indices(array)
    of = Column(name=column.name, type=column.of or ColumnType.STRING, ge=column.ge, le=column.le)
    for rule, broken in (("must have no null in it", elements.is_null()), *_broken(of, elements)):
        in_rows = pc.unique(rows.filter(broken))
        mask = pc.is_in(_numbers(len(array)), in_rows.cast("int64"))
        _note(column, rule, array, mask, first_row, violations)


def _broken(column: Column, values: pa.Array) -> Iterator[_Broken]:
    import pyarrow.compute as pc

    if column.type in FLOATING:
        yield "must have finite numbers only", pc.invert(pc.is_finite(values))
    if column.ge is not None:
        yield f"must be at least {column.ge:g}", pc.less(values, column.ge)
    if column.le is not None:
        yield f"must be at most {column.le:g}", pc.greater(values, column.le)


def _note(
    column: Column, rule: str, array: pa.Array, broken: pa.Array, first_row: int, violations: Violations
) -> None:
    import pyarrow.compute as pc

    places = pc.indices_nonzero(pc.fill_null(broken, False)).to_pylist()
    if places:
        rows = [(first_row + place, array[place].as_py()) for place in places[:ROWS_SHOWN]]
        violations.add(column.name, rule, rows, len(places))


def _place(array: pa.Array, name: str) -> int:
    return int(array.type.get_field_index(name))


def _numbers(count: int) -> pa.Array:
    import pyarrow as pa

    return pa.array(range(count), pa.int64())
