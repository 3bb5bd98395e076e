"""
What a dataset's declaration tells about the views that read it: whether their rows can be loaded.

Source of the conversions: ``feast.type_map`` of Feast 0.67, of which :data:`_CONVERTED` leaves out what
raises an error or stores null in place of a value.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any

from feature_ops.datasets.column import Column, ColumnType
from feature_ops.exceptions import BadInputError
from feature_ops.feast.diff.kinds import FEATURE_VIEW, STREAM_FEATURE_VIEW, Data
from feature_ops.feast.without_functions import function_left_out

if TYPE_CHECKING:
    from feast import FeatureView

    from feature_ops.datasets.dataset import Dataset
    from feature_ops.feast.diff.definitions import Definitions

# A view with one of these has other columns than its source.
_COMPUTED = ("feature_transformation", "aggregations", "source_views", "udf")
_TEXTS = frozenset({"String", "Json", "Map", "Struct", "Uuid", "TimeUuid", "Decimal"})
_WHOLE_LISTS = frozenset({"Int32", "Int64", "UnixTimestamp"})
#: Feast's types that the values of a column are converted into.
_CONVERTED: Mapping[ColumnType, frozenset[str]] = {
    ColumnType.STRING: _TEXTS,
    ColumnType.JSON: _TEXTS,
    ColumnType.MAP: _TEXTS,
    ColumnType.BOOL: frozenset({"Bool", "Int32", "Int64", "Float32", "String", "UnixTimestamp"}),
    ColumnType.INT32: frozenset({"Int32", "Int64", "Float32", "String", "UnixTimestamp"}),
    ColumnType.INT64: frozenset({"Int32", "Int64", "Float32", "Float64", "Bool", "String", "UnixTimestamp"}),
    ColumnType.FLOAT: frozenset({"Float32", "Int32", "Int64", "String", "UnixTimestamp"}),
    ColumnType.DOUBLE: frozenset({"Float32", "Float64", "Int32", "Int64", "String", "UnixTimestamp"}),
    ColumnType.TIMESTAMP: frozenset({"UnixTimestamp", "String"}),
    ColumnType.BYTES: frozenset({"Bytes", "PdfBytes", "ImageBytes", "String"}),
    ColumnType.STRUCT: frozenset({"Struct", "Map", "Json"}),
}
#: Feast's types of the elements that the elements of a list are converted into.
_CONVERTED_ELEMENTS: Mapping[ColumnType, frozenset[str]] = {
    ColumnType.STRING: frozenset({"String", "Uuid", "TimeUuid", "Decimal"}),
    ColumnType.BOOL: frozenset({"Bool"}),
    ColumnType.INT32: _WHOLE_LISTS,
    ColumnType.INT64: _WHOLE_LISTS,
    ColumnType.FLOAT: frozenset({"Float32", "Float64"}),
    ColumnType.DOUBLE: frozenset({"Float32", "Float64"}),
    ColumnType.TIMESTAMP: frozenset({"UnixTimestamp"}),
    ColumnType.BYTES: frozenset({"Bytes"}),
}
_LISTS = frozenset({"Array", "Set"})
# Source: feast.infra.key_encoding_utils.
_KEY_TYPES = frozenset({"String", "Bytes", "Int32", "Int64", "UnixTimestamp"})
_SCALARS: frozenset[str] = frozenset({"ZonedTimestamp"}).union(*_CONVERTED.values())


@dataclass(frozen=True)
class ReadColumns:
    """
    The columns of a source that a view reads.

    :param keys: source column and Feast type by the name of the join key.
    :param features: source column and Feast type by the name of the feature.
    :param times: source columns of the event time and, if the source names one, of the ingestion time.
    :param is_online: whether the rows are loaded into the online store.
    """

    view: str
    keys: Mapping[str, tuple[str, str]]
    features: Mapping[str, tuple[str, str]]
    times: tuple[str, ...]
    is_online: bool = True

    @classmethod
    def of_definition(cls, name: str, data: Data) -> ReadColumns:
        """Read the canonical data of a view."""
        source = data.get("batch_source", {})
        columns = {renamed: column for column, renamed in source.get("field_mapping", {}).items()}
        times = (source.get("timestamp_field"), source.get("created_timestamp_column"))
        features = {feature: spec["type"] for feature, spec in data.get("features", {}).items()}
        return cls(
            name,
            _with_columns(data.get("join_keys", {}), columns),
            _with_columns(features, columns),
            tuple(columns.get(time, time) for time in times if time),
            bool(data.get("online")) and not data.get("disabled"),
        )

    @classmethod
    def of_view(cls, view: FeatureView) -> ReadColumns:
        """Read a view of the registry."""
        from feature_ops.feast.view_definition import key_columns, source_columns, time_columns

        columns, keys = source_columns(view), key_columns(view)
        types = {column.name: str(column.dtype) for column in view.entity_columns if column.name in keys}
        features = {str(feature.name): str(feature.dtype) for feature in view.features}
        times = tuple(time for time in time_columns(view) if time)
        return cls(str(view.name), _with_columns(types, columns), _with_columns(features, columns), times)


def _with_columns(types: Mapping[str, str], columns: Mapping[str, str]) -> dict[str, tuple[str, str]]:
    return {name: (columns.get(name, name), kind) for name, kind in types.items()}


def is_computed(view: Any) -> bool:
    """
    Whether a view's columns are not those of its source.

    :param view: its canonical data, or the view itself.
    """
    if isinstance(view, Mapping):
        return any(view.get(name) for name in _COMPUTED)
    return function_left_out(view) or any(getattr(view, name, None) for name in _COMPUTED)


def refuse_unloadable(
    wanted: Definitions, before: Definitions, datasets: Iterable[Dataset], commit: str
) -> list[str]:
    """
    Refuse a commit with a view that the declaration of its dataset shows to be impossible to load.

    :param before: the applied definitions. What cannot be loaded there either does not hold up a commit.
    :returns: problems that the applied definitions have, too.
    :raises BadInputError: the commit adds a problem.
    """
    datasets = list(datasets)
    known = {problem for dataset in datasets for problem in _problems(before, dataset)}
    found = [problem for dataset in datasets for problem in _problems(wanted, dataset)]
    new = [problem for problem in found if problem not in known]
    if new:
        raise BadInputError(f"commit {commit[:10]} cannot be loaded: {'; '.join(new)}. Nothing was applied")
    return found


def _problems(definitions: Definitions, dataset: Dataset) -> Iterator[str]:
    for kind, name, data in definitions.views():
        if kind in (FEATURE_VIEW, STREAM_FEATURE_VIEW) and _reads(data, dataset) and not is_computed(data):
            read = ReadColumns.of_definition(name, data)
            yield from conversion_problems(read, dataset)
            yield from _nullable_keys(read, dataset)


def _reads(data: Data, dataset: Dataset) -> bool:
    path = str(data.get("batch_source", {}).get("file_options", {}).get("uri", ""))
    return path.rstrip("/") == dataset.uri.rstrip("/")


def conversion_problems(read: ReadColumns, dataset: Dataset) -> Iterator[str]:
    """Yield what keeps a view from being loaded whatever the rows are: missing columns and other types."""
    declared = {column.name: column for column in _columns(dataset)}
    for time in read.times:
        if time not in declared:
            yield _missing(f"{read.view}: its source's timestamp", time, declared, dataset)
        elif declared[time].type is not ColumnType.TIMESTAMP:
            yield (
                f"{read.view}: its source's timestamp is the column {time} of {dataset.name}, which is of "
                f"{declared[time].described}: name the column {dataset.timestamp_field} in the source"
            )
    for what, columns in (("join key", read.keys), ("feature", read.features)):
        for name, (column, feast_type) in columns.items():
            label = f"{read.view}: the {what} {name}"
            if column not in declared:
                yield _missing(label, column, declared, dataset)
            elif what == "join key" and feast_type in _SCALARS - _KEY_TYPES:
                yield (
                    f"{label} is of {feast_type}, but Feast's join keys are of "
                    f"{', '.join(sorted(_KEY_TYPES))}: declare it as one of them"
                )
            elif not _is_converted(declared[column], feast_type):
                yield (
                    f"{label} is of {feast_type}, but the column {column} of {dataset.name} is of "
                    f"{declared[column].described}, which Feast does not convert: give the field a fitting "
                    "type, or read another column"
                )


def _nullable_keys(read: ReadColumns, dataset: Dataset) -> Iterator[str]:
    nullable = {column.name for column in dataset.columns if column.nullable}
    for name, (column, _) in read.keys.items():
        if read.is_online and column in nullable:
            yield (
                f"{read.view}: the join key {name} is read from the column {column} of {dataset.name}, which "
                f"is declared nullable, and a row without a key cannot be loaded: remove nullable from the "
                f"declaration of {column}, take the entity out of the view, or set online=False"
            )


def _columns(dataset: Dataset) -> tuple[Column, ...]:
    ingested = Column(name=dataset.created_timestamp_column, type=ColumnType.TIMESTAMP)
    return (*dataset.read_columns, ingested)


def _missing(label: str, column: str, declared: Iterable[str], dataset: Dataset) -> str:
    near = get_close_matches(column, list(declared), 1)
    hint = f" (the nearest is {near[0]})" if near else ""
    return (
        f"{label} is read from the column {column}, which {dataset.name} does not have{hint}: declare the "
        "column in the dataset, or correct the name or the source's field_mapping"
    )


def _is_converted(column: Column, feast_type: str) -> bool:
    """Whether Feast converts a column's values; types that are not listed count as converted."""
    outer, _, inner = feast_type.partition("(")
    if outer in _LISTS:
        if column.type is not ColumnType.LIST:
            return False
        element = inner.removesuffix(")")
        return element not in _SCALARS or element in _CONVERTED_ELEMENTS[column.of or ColumnType.STRING]
    if column.type is ColumnType.LIST:
        # Feast stores null for a list in a scalar feature.
        return False
    return outer not in _SCALARS or outer in _CONVERTED[column.type]
