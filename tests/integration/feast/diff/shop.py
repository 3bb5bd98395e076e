"""A small repository with every kind of object that a repository can define."""

from __future__ import annotations

SHOP = """
from datetime import timedelta

from feast import Aggregation, BatchFeatureView, Entity, FeatureService, FeatureView, Field, FileSource
from feast import KafkaSource, PushSource, RequestSource, StreamFeatureView, ValueType
from feast.data_format import JsonFormat, ParquetFormat
from feast.feature_logging import LoggingConfig
from feast.infra.offline_stores.file_source import FileLoggingDestination
from feast.labeling.conflict_policy import ConflictPolicy
from feast.labeling.label_view import LabelView
from feast.on_demand_feature_view import on_demand_feature_view
from feast.permissions.action import AuthzedAction
from feast.permissions.permission import Permission
from feast.permissions.policy import RoleBasedPolicy
from feast.project import Project
from feast.types import Array, Bool, Float32, Float64, Int32, Int64, String

VAT = 1.19

project = Project(name="shop", description="A shop")

customer = Entity(name="customer", join_keys=["customer_id"], value_type=ValueType.INT64, owner="ann")
store = Entity(name="store", join_keys=["store_id"], value_type=ValueType.STRING)

orders_source = FileSource(
    name="orders_source",
    path="s3://shop/orders/",
    timestamp_field="event_timestamp",
    description="All orders",
)
clicks_batch = FileSource(name="clicks_batch", path="s3://shop/clicks/", timestamp_field="event_timestamp")
clicks_stream = KafkaSource(
    name="clicks_stream",
    kafka_bootstrap_servers="broker:9092",
    topic="clicks",
    timestamp_field="event_timestamp",
    batch_source=clicks_batch,
    message_format=JsonFormat(schema_json="customer_id integer, clicks integer"),
    watermark_delay_threshold=timedelta(minutes=5),
)
labels_source = PushSource(name="labels_source", batch_source=clicks_batch)
basket = RequestSource(name="basket", schema=[Field(name="basket_value", dtype=Float64)])

orders = FeatureView(
    name="orders",
    entities=[customer],
    ttl=timedelta(days=2),
    schema=[
        Field(name="customer_id", dtype=Int64),
        Field(name="count", dtype=Int64),
        Field(name="amount", dtype=Float64, description="in euros"),
        Field(name="city", dtype=String),
    ],
    source=orders_source,
    tags={"team": "shop"},
    owner="ann",
)

clicks = StreamFeatureView(
    name="clicks",
    entities=[customer],
    ttl=timedelta(hours=1),
    schema=[Field(name="customer_id", dtype=Int64), Field(name="clicks", dtype=Int64)],
    source=clicks_stream,
    timestamp_field="event_timestamp",
    mode="spark",
    aggregations=[Aggregation(column="clicks", function="sum", time_window=timedelta(hours=1))],
)

labels = LabelView(
    name="labels",
    entities=[customer],
    schema=[
        Field(name="customer_id", dtype=Int64),
        Field(name="fraud", dtype=Bool),
        Field(name="labeler", dtype=String),
    ],
    source=labels_source,
)


def gross(value):
    return value * VAT


@on_demand_feature_view(
    sources=[orders[["count", "amount"]], basket],
    schema=[Field(name="mean_amount", dtype=Float64), Field(name="gross_basket", dtype=Float64)],
    mode="python",
)
def ratios(inputs):
    return {
        "mean_amount": [amount / (count or 1) for amount, count in zip(inputs["amount"], inputs["count"])],
        "gross_basket": [gross(value) for value in inputs["basket_value"]],
    }


checkout = FeatureService(
    name="checkout",
    features=[orders[["count", "amount"]], ratios],
    logging_config=LoggingConfig(destination=FileLoggingDestination(path="s3://shop/logs/")),
)
reporting = FeatureService(name="reporting", features=[orders], tags={"tier": "2"})

readers = Permission(
    name="readers",
    types=[FeatureView],
    name_patterns=["orders.*"],
    actions=[AuthzedAction.READ_ONLINE],
    policy=RoleBasedPolicy(roles=["reader"]),
)
"""


def edited(before: str, after: str, text: str = SHOP) -> str:
    """Return the shop's code with one piece replaced, which must be there exactly once."""
    assert text.count(before) == 1, f"{text.count(before)} times: {before}"
    return text.replace(before, after)
