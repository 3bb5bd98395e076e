"""A training set: labels, and beside them what each feature view knew at their times."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from feature_ops.feast.engine.bounded_duckdb import Limits
from feature_ops.feast.engine.rows import NO_ENTITY
from feature_ops.feast.engine.source_files import open_source, why_not_readable
from feature_ops.feast.offline.label_keys import why_not_comparable
from feature_ops.feast.offline.moments import Moments
from feature_ops.feast.offline.point_in_time import History, PointInTimeJoin

if TYPE_CHECKING:
    from pathlib import Path

    import pandas as pd
    from feast import FeatureView


@dataclass(frozen=True)
class HistoricalFeatures:
    """
    What is asked for.

    :param labels: the entity rows.
    :param event_time: their column of times; without a zone they are in UTC.
    :param views: the features that are wanted, by view; in the answer in this order.
    :param repo_path: what paths of sources begin at.
    :param full_names: whether features are named after their views.
    :param once_created: whether a row counts only from its created time on.
    """

    labels: pd.DataFrame
    event_time: str
    views: Mapping[FeatureView, Sequence[str]]
    repo_path: Path | None
    full_names: bool = False
    once_created: bool = False
    limits: Limits = field(default_factory=Limits)

    def table(self) -> pa.Table | str:
        """Return the labels with the features beside them, or why stock Feast has to join them."""
        labels = self._label_table()
        joins = []
        taken = set(labels.column_names)
        for view, features in self.views.items():
            join = self._join_of(view, self._names(view, features, taken), labels)
            if isinstance(join, str):
                return f"{view.projection.name_to_use()}: {join}"
            joins.append(join)
        for join in joins:
            found = join.features()
            for name in found.column_names:
                labels = labels.append_column(name, found.column(name))
        return labels

    def _label_table(self) -> pa.Table:
        import pandas as pd

        times = pd.to_datetime(self.labels[self.event_time], utc=True)
        return pa.Table.from_pandas(self.labels.assign(**{self.event_time: times}), preserve_index=False)

    def _names(self, view: FeatureView, features: Sequence[str], taken: set[str]) -> dict[str, str]:
        """Return the features by their names in the answer; what the labels have already gets a suffix."""
        prefix = f"{view.projection.name_to_use()}__" if self.full_names else ""
        names = {}
        for feature in features:
            name = f"{prefix}{feature}"
            while name in taken:
                name += "__"
            taken.add(name)
            names[name] = feature
        return names

    def _join_of(
        self, view: FeatureView, names: Mapping[str, str], labels: pa.Table
    ) -> PointInTimeJoin | str:
        from feast import FileSource

        source: Any = view.batch_source

        if type(source) is not FileSource:
            return f"its source is a {type(source).__name__}"
        reason = why_not_readable(source)
        if reason:
            return reason
        try:
            dataset = open_source(source, self.repo_path)
        except FileNotFoundError as error:
            return str(error)
        columns = {name: column for column, name in (source.field_mapping or {}).items()}

        def column_of(name: str) -> str:
            return str(columns.get(name, name))

        keys = {
            view.projection.join_key_map.get(key.name, key.name): column_of(key.name)
            for key in view.entity_columns
            if key.name != NO_ENTITY
        }
        created = source.created_timestamp_column
        history = History(
            dataset=dataset,
            keys=list(keys.values()),
            features={name: column_of(feature) for name, feature in names.items()},
            event_time=column_of(source.timestamp_field),
            created_time=column_of(created) if created else None,
            ttl=view.ttl or None,
            once_created=bool(self.once_created and created),
        )
        reason = _why_not_joinable(history, keys, labels)
        return reason or PointInTimeJoin(
            history=history,
            keys=[_array(labels, key) for key in keys],
            moments=Moments.of(_array(labels, self.event_time)),
            limits=self.limits,
        )


def _why_not_joinable(history: History, keys: Mapping[str, str], labels: pa.Table) -> str | None:
    times = [time for time in (history.event_time, history.created_time) if time]
    for column in (*history.keys, *history.features.values(), *times):
        if column not in history.dataset.schema.names:
            return f"its source has no column {column}"
    for time in times:
        if not pa.types.is_timestamp(history.kind(time)):
            return f"the column {time} is no timestamp"
    if history.once_created and len({history.kind(time).unit for time in times}) > 1:
        return "its event times and created times have different units"
    for key, column in keys.items():
        if key not in labels.column_names:
            return f"the labels have no column {key}"
        reason = why_not_comparable(labels.schema.field(key).type, history.kind(column))
        if reason:
            return f"the join key {key} is {reason}"
    return None


def _array(labels: pa.Table, name: str) -> pa.Array:
    column = labels.column(name).combine_chunks()
    return column.chunk(0) if isinstance(column, pa.ChunkedArray) else column
