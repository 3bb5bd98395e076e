"""What a shop counts, and how its customers like it."""

from __future__ import annotations

from feature_ops.datasets.dataset import Column, ColumnType, Dataset

STOCK = Dataset(
    name="stock_levels",
    keys=("shop_id", "Item"),
    columns=(
        Column(name="shop_id", type=ColumnType.STRING),
        Column(name="Item", type=ColumnType.INT32),
        Column(name="left", type=ColumnType.INT64, ge=0),
        Column(name="price", type=ColumnType.DOUBLE, nullable=True),
        Column(name="shelves", type=ColumnType.LIST, of=ColumnType.STRING, nullable=True),
    ),
    timestamp_field="counted_at",
    created_timestamp_column="stored_at",
)
RATINGS = Dataset(
    name="shop_ratings",
    keys=("code",),
    feature_service="shop_v1",
    columns=(
        Column(name="code", type=ColumnType.STRING),
        Column(name="stars", type=ColumnType.FLOAT, ge=0, le=5),
        Column(name="reviews", type=ColumnType.INT32, nullable=True),
        Column(name="place", type=ColumnType.MAP, nullable=True),
    ),
    timestamp_field="day",
)
