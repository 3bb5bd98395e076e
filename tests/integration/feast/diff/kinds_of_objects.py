"""A feature repository with every kind of object of the support matrix, one piece of code for each row."""

from __future__ import annotations

BASE = """
from datetime import timedelta

from feast import Aggregation, BatchFeatureView, Entity, FeatureService, FeatureView, Field, FileSource
from feast import KafkaSource, PushSource, RequestSource, StreamFeatureView, ValueType
from feast.data_format import JsonFormat, ParquetFormat
from feast.feature_logging import LoggingConfig
from feast.infra.offline_stores.file_source import FileLoggingDestination
from feast.labeling.label_view import LabelView
from feast.on_demand_feature_view import on_demand_feature_view
from feast.project import Project
from feast.types import Array, Float32, Float64, String

project = Project(name="kinds")
song = Entity(name="song", join_keys=["song_id"], value_type=ValueType.STRING)
artist = Entity(name="artist", join_keys=["artist_id"], value_type=ValueType.STRING)
KEY, ENERGY = Field(name="song_id", dtype=String), Field(name="energy", dtype=Float64)


def files(name, path="HISTORY"):
    times = {"timestamp_field": "event_timestamp", "created_timestamp_column": "ingested_at"}
    return FileSource(name=name, path=path, file_format=ParquetFormat(), **times)


def view(name, kind=FeatureView, **options):
    defaults = {"entities": [song], "schema": [KEY, ENERGY], "source": songs, "ttl": timedelta(0)}
    return kind(name=name, **{**defaults, **options})


songs = files("songs")
plays = KafkaSource(
    name="plays",
    kafka_bootstrap_servers="nowhere.invalid:9092",
    topic="plays",
    timestamp_field="event_timestamp",
    batch_source=songs,
    message_format=JsonFormat(schema_json="song_id string, energy double"),
)
inputs = view("inputs")
"""

#: what is accepted, all of it in one repository
ACCEPTED = {
    "plain": 'plain = view("plain")',
    "composite": """
composite = view(
    "composite", entities=[song, artist], schema=[KEY, Field(name="artist_id", dtype=String), ENERGY]
)
""",
    "no_entity": 'no_entity = view("no_entity", entities=None, schema=[ENERGY])',
    "ttl": 'with_ttl = view("ttl", ttl=timedelta(hours=1))',
    "batch": 'batch = view("batch", kind=BatchFeatureView, online=True)',
    "validated": 'validated = view("validated", enable_validation=True)',
    "vector": """
vector = view("vector", schema=[KEY, ENERGY, Field(name="place", dtype=Array(Float32), vector_index=True)])
""",
    "push": 'push = view("push", source=PushSource(name="pushed", batch_source=songs))',
    "kafka": 'kafka = view("kafka", source=plays)',
    "stream": """
stream = view("stream", kind=StreamFeatureView, source=plays, timestamp_field="event_timestamp")
""",
    "elsewhere": 'elsewhere = view("elsewhere", source=files("elsewhere", "ELSEWHERE"))',
    "stream_computed": """
stream_computed = view(
    "stream_computed",
    kind=StreamFeatureView,
    source=plays,
    timestamp_field="event_timestamp",
    mode="spark",
    aggregations=[Aggregation(column="energy", function="sum", time_window=timedelta(hours=1))],
)
""",
    "offline_only": 'offline_only = view("offline_only", online=False)',
    "labels": """
labels = LabelView(
    name="labels",
    entities=[song],
    schema=[KEY, ENERGY, Field(name="labeler", dtype=String)],
    source=PushSource(name="labelled", batch_source=songs),
)
""",
    "no_source": 'no_source = view("no_source", source=None)',
    "disabled": 'disabled = view("disabled", enabled=False)',
    "on_demand": """
@on_demand_feature_view(sources=[inputs], schema=[Field(name="double", dtype=Float64)])
def on_demand(rows):
    import pandas as pd

    return pd.DataFrame({"double": rows["energy"] * 2})
""",
    "on_demand_python": """
@on_demand_feature_view(sources=[inputs], schema=[Field(name="double", dtype=Float64)], mode="python")
def on_demand_python(rows):
    return {"double": [energy and energy * 2 for energy in rows["energy"]]}
""",
    "on_demand_entities": """
@on_demand_feature_view(sources=[inputs], schema=[Field(name="double", dtype=Float64)], entities=[song])
def on_demand_entities(rows):
    import pandas as pd

    return pd.DataFrame({"double": rows["energy"] * 2})
""",
    "on_demand_request": """
factor = RequestSource(name="factor", schema=[Field(name="factor", dtype=Float64)])


@on_demand_feature_view(sources=[inputs, factor], schema=[Field(name="double", dtype=Float64)])
def on_demand_request(rows):
    import pandas as pd

    return pd.DataFrame({"double": rows["energy"] * rows["factor"]})
""",
    "service": 'of_service = view("service")',
    "logged": 'logged = view("logged")',
    "renamed": 'renamed = view("renamed")',
    "collision": 'collision = view("collision")',
}
#: services that do not list just the view of their row
SERVICES = {
    "no_entity": "[inputs, no_entity]",
    "service": '["service:energy"]',
    "renamed": '[renamed.with_name("seed").with_join_key_map({"song_id": "seed_id"})]',
    "collision": "[collision, inputs]",
    "ttl": "[with_ttl]",
    "labels": '[labels[["energy"]]]',
}
_LOGGING = 'logging_config=LoggingConfig(destination=FileLoggingDestination(path="s3://kinds/logs/"))'


def _service(row: str) -> str:
    more = f", {_LOGGING}" if row == "logged" else ""
    return f'{row}_fs = FeatureService(name="{row}_fs", features={SERVICES.get(row, f"[{row}]")}{more})\n'


REPOSITORY = BASE + "".join(
    f"\n{code}\n" + ("" if row == "disabled" else _service(row)) for row, code in ACCEPTED.items()
)

#: refused on its data, since its function needs packages that are not installed here
REFUSED_DATA = {
    "on_demand_substrait": (
        {
            "on demand feature view": {
                "o": {"features": {}, "feature_transformation": {"substrait_transformation": {"plan": "0"}}}
            }
        },
        "on demand feature view o has mode substrait",
    )
}

#: what is refused: the code, and what the reason says
REFUSED = {
    "disabled_read": (
        'off = view("off", enabled=False)\nfs = FeatureService(name="fs", features=[off])',
        "feature service fs reads off, which is disabled",
    ),
    "transformed": (
        'made = view("made", kind=BatchFeatureView, online=True, mode="pandas", udf=lambda rows: rows)',
        "feature view made has a transformation",
    ),
    "aggregated": (
        """
sums = view(
    "sums", kind=BatchFeatureView, online=True, aggregations=[Aggregation(column="energy", function="sum")]
)
""",
        "feature view sums has aggregations",
    ),
    "derived": (
        'made = view("made", kind=BatchFeatureView, online=True, source=[inputs], sink_source=files("sink"))',
        "feature view made is made from other views",
    ),
    "offline_write": ('both = view("both", offline=True)', "feature view both has offline=True"),
    "pinned_view": (
        'old = view("old", version="v1")',
        "feature view old pins its version: .*enable_online_feature_view_versioning",
    ),
    "on_demand_write": (
        """
@on_demand_feature_view(
    sources=[inputs],
    schema=[Field(name="double", dtype=Float64)],
    entities=[song],
    write_to_online_store=True,
)
def written(rows):
    import pandas as pd

    return pd.DataFrame({"double": rows["energy"] * 2})


fs = FeatureService(name="fs", features=[written])
""",
        "on demand feature view written has write_to_online_store=True",
    ),
    "on_demand_singleton": (
        """
@on_demand_feature_view(
    sources=[inputs], schema=[Field(name="double", dtype=Float64)], mode="python", singleton=True
)
def doubled(row):
    return {"double": row["energy"] * 2}


fs = FeatureService(name="fs", features=[doubled])
""",
        "on demand feature view doubled has singleton=True",
    ),
    "on_demand_aggregated": (
        """
from feast import OnDemandFeatureView

sums = OnDemandFeatureView(
    name="sums",
    sources=[inputs],
    entities=[song],
    schema=[Field(name="sum_energy", dtype=Float64)],
    aggregations=[Aggregation(column="energy", function="sum")],
)
""",
        "on demand feature view sums has aggregations",
    ),
    "on_demand_renamed": (
        """
@on_demand_feature_view(
    sources=[inputs.with_name("other").projection], schema=[Field(name="double", dtype=Float64)]
)
def doubled(rows):
    import pandas as pd

    return pd.DataFrame({"double": rows["energy"] * 2})


fs = FeatureService(name="fs", features=[doubled])
""",
        "on demand feature view doubled reads a view under another name",
    ),
    "on_demand_pinned": (
        """
import copy

old = copy.copy(inputs.projection)
old.version_tag = 1


@on_demand_feature_view(sources=[old], schema=[Field(name="double", dtype=Float64)])
def doubled(rows):
    import pandas as pd

    return pd.DataFrame({"double": rows["energy"] * 2})
""",
        "on demand feature view doubled reads a pinned version of a view: .*feature_view_versioning",
    ),
    "repeated": (
        'fs = FeatureService(name="fs", features=[inputs, inputs[["energy"]]])',
        "feature service fs lists inputs twice with energy",
    ),
    "ambiguous": (
        """
wide = view("wide", schema=[KEY, ENERGY, Field(name="tempo", dtype=Float64)])  # rows are pushed
fs = FeatureService(
    name="fs", features=[wide[["energy"]], wide[["tempo"]].with_join_key_map({"song_id": "seed_id"})]
)
""",
        "feature service fs reads wide twice, from two views or with different join keys",
    ),
    "precomputed": (
        'fs = FeatureService(name="fs", features=[inputs], precompute_online=True)',
        "feature service fs has precompute_online=True",
    ),
    "pinned_service": (
        'fs = FeatureService(name="fs", features=["inputs@v1:energy"])',
        "feature service fs pins inputs@v1:energy: .*enable_online_feature_view_versioning",
    ),
}
