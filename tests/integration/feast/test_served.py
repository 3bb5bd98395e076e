"""What of a dataset is read back: all that services ask for, in whatever way they ask."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from feast import (
    Entity,
    FeatureService,
    FeatureStore,
    FeatureView,
    Field,
    FileSource,
    LabelView,
    PushSource,
    RequestSource,
    ValueType,
)
from feast.data_format import ParquetFormat
from feast.on_demand_feature_view import on_demand_feature_view
from feast.types import Float32, Int64, String

from feature_ops.datasets.dataset import Column, ColumnType, Dataset
from feature_ops.exceptions import BadInputError
from feature_ops.feast.ledger import FileSpan, Ledger
from feature_ops.feast.served import ServedFeature, ServedView, served_views
from feature_ops.feast.views import views_of
from feature_ops.ui.views import store_now

PLACE = "s3://somewhere/trips/"
DRIVER = Entity(name="driver", join_keys=["driver_id"], value_type=ValueType.INT64)
SOURCE = FileSource(
    name="trips_source",
    path=PLACE,
    file_format=ParquetFormat(),
    field_mapping={"driver": "driver_id", "km": "distance", "at": "event_timestamp"},
    timestamp_field="event_timestamp",
)
TRIPS = FeatureView(
    name="trips",
    entities=[DRIVER],
    ttl=timedelta(days=1),
    schema=[
        Field(name="driver_id", dtype=Int64),
        Field(name="distance", dtype=Float32),
        Field(name="seats", dtype=Int64),
    ],
    source=PushSource(name="trips_push", batch_source=SOURCE),
)
REQUEST = RequestSource(name="request", schema=[Field(name="price", dtype=Float32)])
DISTANCE = ServedFeature("distance", "km", "Float32")
SEATS = ServedFeature("seats", "seats", "Int64")


@on_demand_feature_view(sources=[TRIPS[["distance"]], REQUEST], schema=[Field(name="per_km", dtype=Float32)])
def per_km(inputs: pd.DataFrame) -> pd.DataFrame:
    return pd.DataFrame({"per_km": (inputs["price"] / inputs["distance"]).astype("float32")})


def dataset(feature_service: str | None = None) -> Dataset:
    columns = (Column(name="driver", type=ColumnType.INT64), Column(name="km", type=ColumnType.DOUBLE))
    return Dataset(name="trips", keys=("driver",), columns=columns, feature_service=feature_service)


@pytest.fixture
def applied(tmp_path: Path) -> Callable[..., FeatureStore]:
    """Apply objects to a feature store in a folder."""
    (tmp_path / "feature_store.yaml").write_text(
        f"project: trips\nprovider: local\n"
        f"registry:\n  registry_type: sql\n  path: sqlite:///{tmp_path}/registry.db\n"
        f"offline_store:\n  type: file\n"
        f"online_store:\n  type: sqlite\n  path: {tmp_path}/online.db\n"
        f"entity_key_serialization_version: 3\n"
    )

    def apply(*objects: Any) -> FeatureStore:
        store = FeatureStore(repo_path=str(tmp_path))
        store.apply([DRIVER, TRIPS, per_km, *objects])
        return store

    return apply


def served(*features: ServedFeature) -> list[ServedView]:
    return [ServedView("trips", {"driver_id": "driver"}, features)]


def test_all_that_any_service_asks_for_is_read_if_the_dataset_names_none(
    applied: Callable[..., FeatureStore],
) -> None:
    first = FeatureService(name="first", features=[TRIPS[["seats"]]])
    second = FeatureService(name="second", features=[TRIPS[["distance"]].with_name("renamed")])
    store = applied(first, second)
    assert served_views(store, dataset(), PLACE) == served(SEATS, DISTANCE)
    assert served_views(store, dataset("second"), PLACE) == served(DISTANCE)


def test_an_on_demand_view_asks_for_what_it_is_made_of_and_a_request_for_nothing(
    applied: Callable[..., FeatureStore],
) -> None:
    store = applied(FeatureService(name="computed", features=[per_km]))
    assert served_views(store, dataset("computed"), PLACE) == served(DISTANCE)


def test_without_any_service_everything_is_read(applied: Callable[..., FeatureStore]) -> None:
    assert served_views(applied(), dataset(), PLACE) == served(DISTANCE, SEATS)


def test_a_service_that_is_named_and_has_nothing_is_an_error(applied: Callable[..., FeatureStore]) -> None:
    store = applied(FeatureService(name="empty", features=[]))
    with pytest.raises(BadInputError, match="'empty' has no feature of trips: add one, or name another"):
        served_views(store, dataset("empty"), PLACE)


def test_a_label_view_is_not_loaded_since_labels_are_pushed(applied: Callable[..., FeatureStore]) -> None:
    labels = LabelView(
        name="labels",
        entities=[DRIVER],
        schema=[
            Field(name="driver_id", dtype=Int64),
            Field(name="good", dtype=Int64),
            Field(name="labeler", dtype=String),
        ],
        source=PushSource(
            name="labels_push",
            batch_source=FileSource(name="labels_batch", path="s3://labels/", timestamp_field="at"),
        ),
        labeler_field="labeler",
    )
    store = applied(labels)
    assert [view.name for view in views_of(store, PLACE)] == ["trips"]
    with pytest.raises(BadInputError, match="labels reads s3://labels/ and is a label view, which is only"):
        views_of(store, "s3://labels/")


def test_the_page_shows_types_and_what_services_and_on_demand_views_read(
    applied: Callable[..., FeatureStore], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Dataset, "uri", PLACE)
    store = applied(FeatureService(name="computed", features=[per_km, TRIPS[["seats"]]]))
    ledger, at = Ledger(f"sqlite:///{tmp_path}/registry.db"), datetime(2026, 1, 1, tzinfo=UTC)
    ledger.record("trips", "trips", [FileSpan("a", 7, at, at), FileSpan("b", 3, None, None)], "run 1")

    shown = store_now(store, ledger, [dataset()])
    (view,) = shown["online"]
    assert (view["keys"], view["rows"], view["files"], view["newest_event"]) == (
        ["driver_id"],
        10,
        2,
        "2026-01-01T00:00:00+00:00",
    )
    assert view["features"] == [{"name": "distance", "type": "Float32"}, {"name": "seats", "type": "Int64"}]
    assert [(one["name"], one["features"]) for one in shown["services"]] == [
        ("computed", ["per_km:per_km", "trips:seats"])
    ]
    assert [(one["name"], one["reads"]) for one in shown["on_demand_views"]] == [
        ("per_km", ["trips:distance"])
    ]
    # It is stored as JSON.
    assert json.loads(json.dumps(shown)) == shown
