"""Three views, two services, one on-demand view."""

from __future__ import annotations

from datetime import timedelta

import pandas as pd
from feast import (
    Entity,
    FeatureService,
    FeatureView,
    Field,
    FileSource,
    PushSource,
    RequestSource,
    ValueType,
)
from feast.data_format import ParquetFormat
from feast.on_demand_feature_view import on_demand_feature_view
from feast.types import Float32, Int32, Int64, Map, String

shop = Entity(name="shop", join_keys=["shop_id"], value_type=ValueType.STRING)
item = Entity(name="item", join_keys=["Item"], value_type=ValueType.INT32)

stock_source = FileSource(
    name="stock_source",
    path="STORAGE/stock_levels",
    file_format=ParquetFormat(),
    timestamp_field="counted_at",
    created_timestamp_column="stored_at",
)
ratings_source = FileSource(
    name="ratings_source",
    path="STORAGE/shop_ratings/",
    file_format=ParquetFormat(),
    # The source's own words on the left, those of the views on the right.
    field_mapping={"code": "shop_id", "stars": "rating", "day": "rated_at", "ingested_at": "known_at"},
    timestamp_field="rated_at",
    created_timestamp_column="known_at",
)

stock = FeatureView(
    name="stock",
    entities=[shop, item],
    ttl=timedelta(days=1),
    schema=[
        Field(name="shop_id", dtype=String),
        Field(name="Item", dtype=Int32),
        Field(name="left", dtype=Int64),
        # more features
    ],
    source=stock_source,
)
prices = FeatureView(
    name="prices",
    entities=[shop, item],
    schema=[
        Field(name="shop_id", dtype=String),
        Field(name="Item", dtype=Int32),
        Field(name="price", dtype=Float32),
    ],
    source=PushSource(name="prices_push", batch_source=stock_source),
)
ratings = FeatureView(
    name="ratings",
    entities=[shop],
    schema=[
        Field(name="shop_id", dtype=String),
        Field(name="rating", dtype=Float32),
        Field(name="place", dtype=Map),
    ],
    source=ratings_source,
)
order = RequestSource(name="order", schema=[Field(name="wanted", dtype=Int64)])


@on_demand_feature_view(sources=[stock, order], schema=[Field(name="left_after", dtype=Int64)])
def after_order(inputs: pd.DataFrame) -> pd.DataFrame:
    """Tell what would be left."""
    return pd.DataFrame({"left_after": inputs["left"] - inputs["wanted"]})


shelf_v1 = FeatureService(name="shelf_v1", features=[stock, after_order])
shop_v1 = FeatureService(name="shop_v1", features=[ratings, prices.with_name("tags")])
