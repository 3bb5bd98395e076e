"""
The support matrix: what feature-ops does with every kind of Feast object at each step.

``docs/feast-objects.md`` shows it, and tests check each cell against Feast and against the code that does
the step. Why something is refused is in :mod:`feature_ops.feast.diff.unsupported`.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import astuple, dataclass, fields
from enum import StrEnum


class Classified(StrEnum):
    """What ``diff_feature_service`` does with a commit that defines the object."""

    ACCEPTED = "accepted"
    NOT_TRAINED = "refused in a model's service"
    REFUSED = "refused"


class Applied(StrEnum):
    """What ``apply`` does."""

    REGISTERED = "registered"
    NEVER = "–"


class Loaded(StrEnum):
    """What ``backfill`` and ``materialize_incremental`` do."""

    ARROW = "Arrow engine"
    FEAST = "Feast's engine"
    INPUTS = "its inputs"
    NOT_LOADED = "not loaded"
    NEVER = "–"


class Trained(StrEnum):
    """What a training set holds."""

    HISTORY = "point-in-time values"
    UNEXPIRED = "point-in-time values, null if older than ttl"
    COMPUTED = "computed from its inputs"
    FAILS = "fails in Feast"
    NEVER = "–"


class Verified(StrEnum):
    """What ``verify_online`` does."""

    COMPARED = "compared"
    INPUTS = "inputs compared, itself in `unchecked`"
    UNCHECKED = "in `unchecked`"
    NEVER = "–"


class Served(StrEnum):
    """What reads a row of it."""

    READER = "`OnlineReader`"
    EXPIRED = "`OnlineReader`, whatever its ttl"
    FEAST = "Feast"
    SHORT_NAMES = "Feast, not with `full_feature_names`"
    NULL = "null until it is pushed"
    NOT_ONLINE = "null or an error of the store"
    FAILS = "fails in Feast"
    NEVER = "–"


@dataclass(frozen=True)
class Support:
    """One row: an object of Feast, and what each step does with it."""

    object: str
    classification: Classified
    apply: Applied
    load: Loaded
    training: Trained
    verification: Verified
    serving: Served


_STEPS = Applied.REGISTERED, Loaded.ARROW, Trained.HISTORY, Verified.COMPARED, Served.READER
_BY_FEAST = Applied.REGISTERED, Loaded.FEAST, Trained.HISTORY, Verified.COMPARED, Served.READER
_NOT_LOADED = Applied.REGISTERED, Loaded.NOT_LOADED, Trained.HISTORY, Verified.UNCHECKED, Served.NULL
_ON_DEMAND = Applied.REGISTERED, Loaded.INPUTS, Trained.COMPUTED, Verified.INPUTS, Served.FEAST
_NEVER = Applied.NEVER, Loaded.NEVER, Trained.NEVER, Verified.NEVER, Served.NEVER
_ACCEPTED, _NOT_TRAINED, _REFUSED = Classified

#: by a short name, which tests use
SUPPORT: dict[str, Support] = {
    # Feature views.
    "plain": Support("`FeatureView` over a `FileSource`", _ACCEPTED, *_STEPS),
    "composite": Support("`FeatureView` with several entities", _ACCEPTED, *_STEPS),
    "no_entity": Support(
        "`FeatureView` without entities",
        _ACCEPTED,
        *(Applied.REGISTERED, Loaded.ARROW, Trained.HISTORY, Verified.UNCHECKED, Served.READER),
    ),
    "ttl": Support(
        "`FeatureView` with `ttl`",
        _ACCEPTED,
        *(Applied.REGISTERED, Loaded.ARROW, Trained.UNEXPIRED, Verified.COMPARED, Served.EXPIRED),
    ),
    "batch": Support("`BatchFeatureView` without a transformation", _ACCEPTED, *_STEPS),
    "validated": Support("`FeatureView` with `enable_validation=True`", _ACCEPTED, *_BY_FEAST),
    "vector": Support("`FeatureView` with a field of `vector_index=True`", _ACCEPTED, *_BY_FEAST),
    "push": Support("`FeatureView` over a `PushSource`", _ACCEPTED, *_BY_FEAST),
    "kafka": Support("`FeatureView` over a `KafkaSource` or `KinesisSource`", _ACCEPTED, *_BY_FEAST),
    "stream": Support("`StreamFeatureView` without transformation and aggregations", _ACCEPTED, *_BY_FEAST),
    "elsewhere": Support(
        "`FeatureView` over the source of no dataset",
        _NOT_TRAINED,
        *(Applied.REGISTERED, Loaded.NOT_LOADED, Trained.HISTORY, Verified.NEVER, Served.NULL),
    ),
    "stream_computed": Support(
        "`StreamFeatureView` with `udf` or `aggregations`", _NOT_TRAINED, *_NOT_LOADED
    ),
    "offline_only": Support(
        "`FeatureView` with `online=False`",
        _NOT_TRAINED,
        *(Applied.REGISTERED, Loaded.NOT_LOADED, Trained.HISTORY, Verified.UNCHECKED, Served.NOT_ONLINE),
    ),
    "labels": Support("`LabelView`", _NOT_TRAINED, *_NOT_LOADED),
    "no_source": Support(
        "`FeatureView` with `source=None`",
        _NOT_TRAINED,
        *(Applied.REGISTERED, Loaded.NOT_LOADED, Trained.FAILS, Verified.NEVER, Served.NULL),
    ),
    "disabled": Support(
        "any view with `enabled=False`, in no service",
        _ACCEPTED,
        *(Applied.REGISTERED, Loaded.NOT_LOADED, Trained.FAILS, Verified.NEVER, Served.FAILS),
    ),
    "disabled_read": Support("any view with `enabled=False`, in a service", _REFUSED, *_NEVER),
    "transformed": Support("`BatchFeatureView` with `udf` or `feature_transformation`", _REFUSED, *_NEVER),
    "aggregated": Support("`BatchFeatureView` with `aggregations`", _REFUSED, *_NEVER),
    "derived": Support("`FeatureView` over other views (`sink_source`)", _REFUSED, *_NEVER),
    "offline_write": Support("`FeatureView` with `offline=True`", _REFUSED, *_NEVER),
    "pinned_view": Support('any view with `version="v1"`', _REFUSED, *_NEVER),
    # On-demand feature views.
    "on_demand": Support("on-demand view, mode pandas, without `entities`", _ACCEPTED, *_ON_DEMAND),
    "on_demand_python": Support(
        "on-demand view, mode python, without `entities`",
        _NOT_TRAINED,
        *(Applied.REGISTERED, Loaded.INPUTS, Trained.COMPUTED, Verified.INPUTS, Served.SHORT_NAMES),
    ),
    "on_demand_entities": Support("on-demand view with `entities`", _ACCEPTED, *_ON_DEMAND),
    "on_demand_request": Support(
        "on-demand view with a `RequestSource` or `input_schema`",
        _NOT_TRAINED,
        *(Applied.REGISTERED, Loaded.INPUTS, Trained.COMPUTED, Verified.INPUTS, Served.FEAST),
    ),
    "on_demand_write": Support("on-demand view with `write_to_online_store=True`", _REFUSED, *_NEVER),
    "on_demand_singleton": Support("on-demand view with `singleton=True`", _REFUSED, *_NEVER),
    "on_demand_substrait": Support("on-demand view, mode substrait", _REFUSED, *_NEVER),
    "on_demand_aggregated": Support("on-demand view with `aggregations`", _REFUSED, *_NEVER),
    "on_demand_renamed": Support(
        "on-demand view over a view with another name (`with_name`)", _REFUSED, *_NEVER
    ),
    "on_demand_pinned": Support("on-demand view over a pinned version of a view", _REFUSED, *_NEVER),
    # Feature services.
    "service": Support("`FeatureService` of views or of references as text", _ACCEPTED, *_STEPS),
    "logged": Support("`FeatureService` with `logging_config`", _ACCEPTED, *_STEPS),
    "renamed": Support("`FeatureService` with `with_name` or `with_join_key_map`", _NOT_TRAINED, *_STEPS),
    "collision": Support("`FeatureService` of two views with a feature of one name", _ACCEPTED, *_STEPS),
    "repeated": Support("`FeatureService` that lists a feature twice", _REFUSED, *_NEVER),
    "ambiguous": Support(
        "`FeatureService` that lists a view twice with different join keys", _REFUSED, *_NEVER
    ),
    "precomputed": Support("`FeatureService` with `precompute_online=True`", _REFUSED, *_NEVER),
    "pinned_service": Support("`FeatureService` of a pinned version (`view@v1`)", _REFUSED, *_NEVER),
}


def as_markdown(rows: Iterable[Support] = SUPPORT.values()) -> str:
    """Return the matrix as the table of the documentation."""
    titles = [field.name for field in fields(Support)]
    lines = [f"| {' | '.join(title.capitalize() for title in titles)} |", "|---" * len(titles) + "|"]
    lines += [f"| {' | '.join(map(str, astuple(row)))} |" for row in rows]
    return "\n".join(lines)
