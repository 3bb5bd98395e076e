"""
What a column of a dataset holds.

Declared as Feast declares its own types: a list says what it is ``of``, a struct has ``fields``.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import TYPE_CHECKING, Self

from pydantic import BaseModel, ConfigDict, model_validator

if TYPE_CHECKING:
    import pyarrow as pa


class ColumnType(StrEnum):
    """The types a declared column may have; in brackets what Feast calls them."""

    STRING = "string"  # String
    BOOL = "bool"  # Bool
    INT32 = "int32"  # Int32
    INT64 = "int64"  # Int64
    FLOAT = "float"  # Float32
    DOUBLE = "double"  # Float64
    TIMESTAMP = "timestamp"  # UnixTimestamp; microseconds, UTC
    BYTES = "bytes"  # Bytes
    JSON = "json"  # Json; kept as the text that came
    LIST = "list"  # Array(…), of scalars
    STRUCT = "struct"  # Struct({…}), of scalars
    MAP = "map"  # Map, of texts; kept as a JSON text, since Feast can't load parquet's own maps


NUMBERS = frozenset({ColumnType.INT32, ColumnType.INT64, ColumnType.FLOAT, ColumnType.DOUBLE})
FLOATING = frozenset({ColumnType.FLOAT, ColumnType.DOUBLE})
#: What Feast can write as the key of an entity without losing anything.
KEYS = frozenset({ColumnType.STRING, ColumnType.BYTES, ColumnType.INT32, ColumnType.INT64})

_IN_LISTS = NUMBERS | {ColumnType.STRING, ColumnType.BOOL, ColumnType.TIMESTAMP, ColumnType.BYTES}
# Feast keeps no types of a struct's fields: it serves what Python makes of these.
_IN_STRUCTS = NUMBERS | {ColumnType.STRING, ColumnType.BOOL}


class Column(BaseModel):
    """
    One declared column.

    :param name: as it stands in the history; in a source upper and lower case are one.
    :param type: its type in the history.
    :param of: type of a list's elements, none of which may be null.
    :param fields: type of each field of a struct, by name; each may be null.
    :param nullable: whether a row may lack it.
    :param ge: smallest allowed value of a number, or of each in a list.
    :param le: largest allowed value.
    """

    model_config = ConfigDict(frozen=True)

    name: str
    type: ColumnType
    of: ColumnType | None = None
    fields: Mapping[str, ColumnType] | None = None
    nullable: bool = False
    ge: float | None = None
    le: float | None = None

    @model_validator(mode="after")
    def _is_whole(self) -> Self:
        self._check("of", self.of is not None, ColumnType.LIST, "of=ColumnType.DOUBLE")
        self._check("fields", bool(self.fields), ColumnType.STRUCT, 'fields={"name": ColumnType.STRING}')
        for inner in (self.of, *(self.fields or {}).values()):
            allowed = _IN_LISTS if self.type is ColumnType.LIST else _IN_STRUCTS
            if inner is not None and inner not in allowed:
                raise ValueError(
                    f"column {self.name}: a {self.type} can't hold {inner}, only "
                    f"{', '.join(sorted(allowed))}; declare the whole column as JSON for anything deeper"
                )
        if (self.ge, self.le) != (None, None) and (self.of or self.type) not in NUMBERS:
            raise ValueError(f"column {self.name}: ge and le are bounds of numbers, and it is of {self.type}")
        if self.ge is not None and self.le is not None and self.ge > self.le:
            raise ValueError(f"column {self.name}: no value is at least {self.ge:g} and at most {self.le:g}")
        return self

    def _check(self, name: str, given: bool, wanted_by: ColumnType, example: str) -> None:
        if given and self.type is not wanted_by:
            raise ValueError(f"column {self.name}: only a {wanted_by} has {name}, and it is of {self.type}")
        if not given and self.type is wanted_by:
            raise ValueError(f"column {self.name}: a {wanted_by} needs {name}, such as {example}")

    @property
    def is_nested(self) -> bool:
        """Whether it holds values in values that Arrow and DuckDB know of."""
        return self.type in (ColumnType.LIST, ColumnType.STRUCT)

    @property
    def described(self) -> str:
        """Its type in words, for messages and reports."""
        if self.type is ColumnType.JSON:
            return "JSON text"
        return "map<string, string>" if self.type is ColumnType.MAP else str(self.arrow_type())

    def arrow_type(self) -> pa.DataType:
        """Return its type in the files of the history."""
        import pyarrow as pa

        if self.type is ColumnType.LIST:
            assert self.of is not None
            return pa.list_(_scalar(self.of))
        if self.type is ColumnType.STRUCT:
            return pa.struct([pa.field(name, _scalar(kind)) for name, kind in (self.fields or {}).items()])
        return _scalar(self.type)


def _scalar(kind: ColumnType) -> pa.DataType:
    import pyarrow as pa

    types = {
        ColumnType.BOOL: pa.bool_(),
        ColumnType.INT32: pa.int32(),
        ColumnType.INT64: pa.int64(),
        ColumnType.FLOAT: pa.float32(),
        ColumnType.DOUBLE: pa.float64(),
        ColumnType.TIMESTAMP: pa.timestamp("us", tz="UTC"),
        ColumnType.BYTES: pa.binary(),
    }
    return types.get(kind, pa.string())
