"""The kinds of Feast objects, by the names that Feast itself uses."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

PROJECT = "project"
DATA_SOURCE = "data source"
ENTITY = "entity"
FEATURE_VIEW = "feature view"
ON_DEMAND_FEATURE_VIEW = "on demand feature view"
STREAM_FEATURE_VIEW = "stream feature view"
LABEL_VIEW = "label view"
FEATURE_SERVICE = "feature service"
PERMISSION = "permission"
# These two live in a registry only; no repository defines them.
SAVED_DATASET = "saved dataset"
VALIDATION_REFERENCE = "validation reference"

VIEWS = (FEATURE_VIEW, ON_DEMAND_FEATURE_VIEW, STREAM_FEATURE_VIEW, LABEL_VIEW)
#: All kinds, in the order in which they can be applied.
KINDS = (
    *(PROJECT, DATA_SOURCE, ENTITY),
    *VIEWS,
    *(FEATURE_SERVICE, PERMISSION, SAVED_DATASET, VALIDATION_REFERENCE),
)

#: Parts of an object that say nothing about values.
METADATA = frozenset({"tags", "description", "owner", "org", "track_metrics"})

Data = Mapping[str, Any]
#: kind → name → canonical data
Objects = Mapping[str, Mapping[str, Data]]


def without_metadata(data: Data) -> dict[str, Any]:
    """Return an object's, a source's or a feature's data without tags, description and owner."""
    return {key: value for key, value in data.items() if key not in METADATA}
