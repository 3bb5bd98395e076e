"""
What a dataset is: its columns, keys and rules, and where its history lives.

A dataset's history is a prefix on object storage that holds immutable parquet files in one
declared schema, each named by the hash of its content. Files are only ever added.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Self

from pydantic import BaseModel, ConfigDict, model_validator

from feature_ops.datasets.column import KEYS, Column, ColumnType

if TYPE_CHECKING:
    import pyarrow as pa


class Dataset(BaseModel):
    """
    A dataset that is ingested, versioned and materialized.

    :param name: names its prefix, its asset and its folder of pointers in git.
    :param keys: columns that identify an entity.
    :param columns: all columns of the history but the two times, in their order.
    :param feature_service: the Feast service whose features are read back after materialization; if None,
        all that any service has of the dataset.
    :param timestamp_field: column of the event time (UTC, microseconds).
    :param timestamp_aliases: names under which a source may bring the event time.
    :param created_timestamp_column: column of the time a row was ingested (UTC, microseconds).
    """

    model_config = ConfigDict(frozen=True)

    name: str
    keys: tuple[str, ...]
    columns: tuple[Column, ...]
    feature_service: str | None = None
    timestamp_field: str = "event_timestamp"
    timestamp_aliases: tuple[str, ...] = ()
    created_timestamp_column: str = "ingested_at"

    @model_validator(mode="after")
    def _keys_are_columns(self) -> Self:
        missing = set(self.keys) - {column.name for column in self.columns}
        if missing or not self.keys:
            raise ValueError(f"dataset {self.name}: keys {sorted(missing)} are not declared columns")
        for column in self.columns:
            if column.name in self.keys and column.type not in KEYS:
                raise ValueError(
                    f"dataset {self.name}: the key {column.name} is of {column.type}, but Feast's keys are "
                    f"{', '.join(sorted(KEYS))}: declare it as one of them"
                )
        return self

    @model_validator(mode="after")
    def _names_are_distinct(self) -> Self:
        times = (self.timestamp_field, self.created_timestamp_column)
        # Files are read, and DuckDB compares, whatever the case of the names.
        names = Counter(name.lower() for name in (*(column.name for column in self.columns), *times))
        twice = sorted(name for name, count in names.items() if count > 1)
        if twice:
            raise ValueError(
                f"dataset {self.name}: {', '.join(twice)} is declared twice; the two times are no columns "
                "of it, the dataset writes them itself"
            )
        return self

    @property
    def read_columns(self) -> tuple[Column, ...]:
        """All that is read of a source: the columns, and the event time after them."""
        return (*self.columns, Column(name=self.timestamp_field, type=ColumnType.TIMESTAMP))

    @property
    def uri(self) -> str:
        """Prefix of the history that Feast reads, with a slash at its end."""
        return f"{_storage_uri()}/{self.name}/"

    @property
    def accepted_uri(self) -> str:
        """Prefix of files that passed validation and are not yet part of the history everywhere."""
        return f"{_storage_uri()}/_accepted/{self.name}/"

    @property
    def acceptance_uri(self) -> str:
        """Prefix at which writers settle which file is accepted next."""
        return f"{_storage_uri()}/_acceptance/{self.name}/"

    @property
    def staging_uri(self) -> str:
        """Prefix of source files as they were fetched, a folder per run."""
        return f"{_storage_uri()}/_staging/{self.name}/"

    @property
    def quarantine_uri(self) -> str:
        """Prefix of rejected source files, each with its report."""
        return f"{_storage_uri()}/_quarantine/{self.name}/"

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

        columns = (*self.read_columns, Column(name=self.created_timestamp_column, type=ColumnType.TIMESTAMP))
        return pa.schema([pa.field(c.name, c.arrow_type(), nullable=c.nullable) for c in columns])


def _storage_uri() -> str:
    # Not at the top: the process that parses source files has no settings.
    from feature_ops.settings import get_settings

    return get_settings().storage_uri
