"""
What a dataset is: its columns, keys and rules, and where its history lives.

A dataset's history is a prefix on object storage that holds immutable parquet files in one
declared schema, each named by the hash of its content. Files are only ever added.
"""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Self

from pydantic import BaseModel, ConfigDict, model_validator

from feature_ops.settings import get_settings

if TYPE_CHECKING:
    import pyarrow as pa


class ColumnType(StrEnum):
    """The types a declared column may have."""

    STRING = "string"
    BOOL = "bool"
    INT64 = "int64"
    DOUBLE = "double"


class Column(BaseModel):
    """
    One declared column.

    :param name: lower-case name, as it stands in the history.
    :param type: its type in the history.
    :param nullable: whether a row may lack it.
    :param ge: smallest allowed value.
    :param le: largest allowed value.
    """

    model_config = ConfigDict(frozen=True)

    name: str
    type: ColumnType
    nullable: bool = False
    ge: float | None = None
    le: float | None = None


class Dataset(BaseModel):
    """
    A dataset that is ingested, versioned and materialized.

    :param name: names its prefix, its asset and its folder of pointers in git.
    :param keys: columns that identify an entity.
    :param columns: all columns of the history but the two times, in their order.
    :param feature_service: the Feast service that is read back after materialization.
    :param timestamp_field: column of the event time (UTC, microseconds).
    :param timestamp_aliases: names under which a source may bring the event time.
    :param created_timestamp_column: column of the time a row was ingested (UTC, microseconds).
    """

    model_config = ConfigDict(frozen=True)

    name: str
    keys: tuple[str, ...]
    columns: tuple[Column, ...]
    feature_service: str
    timestamp_field: str = "event_timestamp"
    timestamp_aliases: tuple[str, ...] = ()
    created_timestamp_column: str = "ingested_at"

    @model_validator(mode="after")
    def _keys_are_columns(self) -> Self:
        missing = set(self.keys) - {column.name for column in self.columns}
        if missing or not self.keys:
            raise ValueError(f"dataset {self.name}: keys {sorted(missing)} are not declared columns")
        return self

    @property
    def uri(self) -> str:
        """Prefix of the history that Feast reads, with a slash at its end."""
        return f"{get_settings().storage_uri}/{self.name}/"

    @property
    def accepted_uri(self) -> str:
        """Prefix of files that passed validation and are not yet part of the history everywhere."""
        return f"{get_settings().storage_uri}/_accepted/{self.name}/"

    @property
    def acceptance_uri(self) -> str:
        """Prefix at which writers settle which file is accepted next."""
        return f"{get_settings().storage_uri}/_acceptance/{self.name}/"

    @property
    def staging_uri(self) -> str:
        """Prefix of source files as they were fetched, a folder per run."""
        return f"{get_settings().storage_uri}/_staging/{self.name}/"

    @property
    def quarantine_uri(self) -> str:
        """Prefix of rejected source files, each with its report."""
        return f"{get_settings().storage_uri}/_quarantine/{self.name}/"

    @property
    def pointer_folder(self) -> str:
        """Folder in the git repository that holds one ``.dvc`` pointer per history file."""
        return f"data/{self.name}"

    @property
    def value_columns(self) -> tuple[str, ...]:
        """Names of the columns that are neither key nor time."""
        return tuple(column.name for column in self.columns if column.name not in self.keys)

    def arrow_schema(self) -> pa.Schema:
        """Return the one schema that every file of the history has."""
        import pyarrow as pa

        types = {
            ColumnType.STRING: pa.string(),
            ColumnType.BOOL: pa.bool_(),
            ColumnType.INT64: pa.int64(),
            ColumnType.DOUBLE: pa.float64(),
        }
        instant = pa.timestamp("us", tz="UTC")
        return pa.schema(
            [
                *(pa.field(c.name, types[c.type], nullable=c.nullable) for c in self.columns),
                pa.field(self.timestamp_field, instant, nullable=False),
                pa.field(self.created_timestamp_column, instant, nullable=False),
            ]
        )
