"""What of a feature view decides the values that are online, and whether those still fit it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    from feast import FeatureView


@dataclass(frozen=True)
class ViewDefinition:
    """
    The part of a feature view that its online values are made by.

    :param keys: type of each join key, by name.
    :param features: type and source column of each feature, by name.
    :param source: path of the source.
    :param times: the source's columns of event time and of ingestion; "" if it names none.
    """

    keys: Mapping[str, str]
    features: Mapping[str, tuple[str, str]]
    source: str
    times: tuple[str, str]

    @classmethod
    def of(cls, view: FeatureView) -> Self:
        """Read a view as it stands in the registry."""
        source = view.batch_source
        assert source is not None
        columns = source_columns(view)
        return cls(
            keys={
                column.name: _read_from(column.name, str(column.dtype), columns)
                for column in view.entity_columns
            },
            features={
                feature.name: (str(feature.dtype), columns.get(feature.name, feature.name))
                for feature in view.features
            },
            source=str(getattr(source, "path", None) or source.name),
            times=time_columns(view),
        )

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Read what :meth:`to_json` wrote."""
        read: dict[str, Any] = json.loads(text)
        features = {name: (kind, column) for name, (kind, column) in read["features"].items()}
        event_time, created = read["times"]
        return cls(read["keys"], features, read["source"], (event_time, created))

    def to_json(self) -> str:
        """Return the definition as text; equal ones give equal texts."""
        return json.dumps(
            {"keys": self.keys, "features": self.features, "source": self.source, "times": self.times},
            sort_keys=True,
        )

    def lacking_in(self, written: ViewDefinition) -> str | None:
        """
        Return in words why values written under another definition do not do; None if they do.

        A feature that is no longer there lacks nothing: what is online of it is not asked for.
        """
        if self.keys != written.keys:
            return f"its join keys are now {', '.join(self.keys)}"
        if self.source != written.source:
            return f"its source is now {self.source}"
        if self.times != written.times:
            return "its source has other time columns"
        new = sorted(set(self.features) - set(written.features))
        if new:
            return f"new feature{'' if len(new) == 1 else 's'}: {', '.join(new)}"
        other = sorted(name for name, read in self.features.items() if read != written.features[name])
        if other:
            return f"another type or column: {', '.join(other)}"
        return None


def _read_from(name: str, kind: str, columns: Mapping[str, str]) -> str:
    # As it was written before keys could have other columns, where they have none.
    return f"{kind} from {columns[name]}" if name in columns else kind


def key_columns(view: Any) -> dict[str, str]:
    """Return the source's column of each join key, by its name; nothing for a view without an entity."""
    from feast.feature_view import DUMMY_ENTITY_ID

    renamed = source_columns(view)
    names = [column.name for column in view.entity_columns if column.name != DUMMY_ENTITY_ID]
    return {name: renamed.get(name, name) for name in names}


def time_columns(view: Any) -> tuple[str, str]:
    """
    Return the source's columns of event time and of ingestion; "" where it names none.

    With a field mapping, Feast takes a source's own words for its times to be the mapped names.
    """
    renamed, source = source_columns(view), view.batch_source
    names = (source.timestamp_field or "", source.created_timestamp_column or "")
    return renamed.get(names[0], names[0]), renamed.get(names[1], names[1])


def source_columns(view: Any) -> dict[str, str]:
    """Return the source's column by the name that the view gives it, where the two differ."""
    return {name: column for column, name in (view.batch_source.field_mapping or {}).items()}
