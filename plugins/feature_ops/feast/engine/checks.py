"""Find the rows of a load that cannot be encoded, before the first row is written."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.dataset as pads

from feature_ops.feast.engine.features import encode_values
from feature_ops.feast.engine.latest import Found, LatestRows
from feature_ops.feast.engine.numbered import POSITION
from feature_ops.feast.engine.source_files import bounded_scanner

_SHOWN = 3
_SMALL_INTEGERS = frozenset({"int8", "int16", "int32", "uint8", "uint16"})
_RANGES = {"INT32": (-(2**31), 2**31 - 1), "INT64": (-(2**63), 2**63 - 1)}


class UnloadableRowsError(ValueError):
    """Rows cannot be encoded; the message names the columns, how many rows, and the first of them."""


def check_keys(rows: LatestRows, types: Mapping[str, str], batch_rows: int) -> None:
    """
    Raise an error if a row of the load has a join key that cannot be encoded.

    Reads no more than the files' footers where their statistics rule it out.

    :param types: name of Feast's value type by the join key's name.
    :raises UnloadableRowsError: a key is null, or does not fit into its type.
    """
    schema, window = rows.dataset.schema, rows.window()
    faults = [
        (f"the join key {name} (column {column}) {words}", window & bad, column)
        for name, column in rows.keys.items()
        for words, bad in _faults(column, schema.field(column).type, types[name])
    ]
    any_fault: pads.Expression | None = None
    for _, bad, _ in faults:
        any_fault = bad if any_fault is None else any_fault | bad
    if any_fault is None or not _count(rows.dataset, any_fault, batch_rows):
        return
    found = [
        f"{words} in {_rows(count)} ({', '.join(_first_rows(rows, bad, column, batch_rows))})"
        for words, bad, column in faults
        if (count := _count(rows.dataset, bad, batch_rows))
    ]
    raise UnloadableRowsError("; ".join(found))


def check_values(rows: LatestRows, found: Found, types: Mapping[str, str]) -> None:
    """
    Raise an error if one of the latest rows has a feature that cannot be encoded.

    Reads only the columns whose types make that possible.

    :param types: name of Feast's value type by the feature's name.
    :raises UnloadableRowsError: a value does not fit into its type.
    """
    schema = rows.dataset.schema
    risky = {
        name: column
        for name, column in rows.features.items()
        if _may_not_fit(schema.field(column).type, types[name])
    }
    if not risky:
        return
    counts: Counter[str] = Counter()
    keys: dict[str, list[str]] = {name: [] for name in risky}
    for batch, _ in replace(rows, features=risky).batches(found):
        for name in risky:
            for place in _not_encoded(batch.column(name), types[name]):
                counts[name] += 1
                if len(keys[name]) < _SHOWN:
                    keys[name].append(_key(batch, place, rows.keys))
    if counts:
        raise UnloadableRowsError(
            "; ".join(
                f"the feature {name} (column {risky[name]}) does not fit into {types[name]} in "
                f"{_rows(count)} ({', '.join(keys[name])})"
                for name, count in counts.items()
            )
        )


def _faults(column: str, kind: pa.DataType, feast_type: str) -> Iterator[tuple[str, pads.Expression]]:
    field = pads.field(column)
    if feast_type != "UNIX_TIMESTAMP":
        yield "is null", field.is_null()
    if _may_not_fit(kind, feast_type):
        smallest, largest = _RANGES[feast_type]
        too_large = field > pa.scalar(largest).cast(kind)
        if pa.types.is_unsigned_integer(kind):
            yield f"does not fit into {feast_type}", too_large
        else:
            yield f"does not fit into {feast_type}", too_large | (field < pa.scalar(smallest))


def _may_not_fit(kind: pa.DataType, feast_type: str) -> bool:
    if feast_type == "UNIX_TIMESTAMP_LIST":
        return True
    element = kind.value_type if feast_type.endswith("_LIST") else kind
    if feast_type in ("INT32", "INT32_LIST"):
        return bool(pa.types.is_integer(element)) and str(element) not in _SMALL_INTEGERS
    return feast_type in ("INT64", "INT64_LIST") and bool(pa.types.is_uint64(element))


def _count(dataset: pads.Dataset, where: pads.Expression, batch_rows: int) -> int:
    scanner = bounded_scanner(dataset, {}, where, batch_rows=batch_rows, files_at_once=1)
    return int(scanner.count_rows())


def _first_rows(rows: LatestRows, bad: pads.Expression, column: str, batch_rows: int) -> list[str]:
    """Return file and number, from 1, of the first rows that a condition finds."""
    found: list[str] = []
    before: Counter[str] = Counter()
    for fragment in rows.dataset.get_fragments():
        path = str(getattr(fragment, "path", ""))
        scanner = fragment.scanner(
            schema=rows.dataset.schema,
            columns=list(dict.fromkeys([column, rows.event_time])),
            batch_size=batch_rows,
            use_threads=False,
        )
        for batch in scanner.to_batches():
            numbers = pa.array(np.arange(batch.num_rows) + before[path] + 1)
            before[path] += batch.num_rows
            table = pa.Table.from_batches([batch]).append_column(POSITION, numbers)
            for number in table.filter(bad).column(POSITION).to_pylist():
                found.append(f"{path.rsplit('/', 1)[-1]} row {number:,}".strip())
                if len(found) == _SHOWN:
                    return found
    return found


def _not_encoded(column: pa.Array, feast_type: str) -> Iterator[int]:
    if _is_encoded(column, feast_type):
        return
    for place in range(len(column)):
        if not _is_encoded(column.slice(place, 1), feast_type):
            yield place


def _is_encoded(column: pa.Array, feast_type: str) -> bool:
    try:
        encode_values(column, feast_type)
    except (pa.ArrowInvalid, ValueError):
        return False
    return True


def _key(batch: pa.RecordBatch, place: int, keys: Mapping[str, str]) -> str:
    return "/".join(f"{name} {batch.column(name)[place].as_py()!s:.80}" for name in keys) or "the only row"


def _rows(count: int) -> str:
    return f"{count:,} row{'' if count == 1 else 's'}"
