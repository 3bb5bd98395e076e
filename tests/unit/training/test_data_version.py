"""A data version changes exactly if a file changes that the model's training reads."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest

from feature_ops.feast.diff.definitions import Definitions
from feature_ops.feast.diff.kinds import (
    DATA_SOURCE,
    FEATURE_SERVICE,
    FEATURE_VIEW,
    LABEL_VIEW,
    ON_DEMAND_FEATURE_VIEW,
    STREAM_FEATURE_VIEW,
)
from feature_ops.object_store import StoredObject
from feature_ops.object_store_failures import ObjectStoreRefusedError
from feature_ops.settings import get_settings
from feature_ops.training.data_version import data_version, files_at
from feature_ops.training.declaration import Model

HISTORY = "35922b4490b3c6d7a1f0.parquet"
MODEL = Model(
    name="toy",
    feature_service="fs",
    command=("-m", "toy"),
    arguments={"labels": "s3://data/labels/labels.csv", "depth": "3"},
)


class StoreStandIn:
    """An object store: URI → ETag."""

    def __init__(self, *uris: str) -> None:
        self.etags = dict.fromkeys(uris, "1")

    def list(self, prefix_uri: str) -> Iterator[StoredObject]:
        for uri, etag in sorted(self.etags.items()):
            if uri.startswith(prefix_uri):
                yield StoredObject(uri, 8, datetime(2026, 1, 1, tzinfo=UTC), etag)


@pytest.fixture(autouse=True)
def storage(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("FEATURE_OPS_STORAGE_URI", "s3://data")
    get_settings.cache_clear()
    yield
    get_settings.cache_clear()


def file_source(uri: str, name: str = "") -> dict[str, Any]:
    return {"name": name or uri, "type": "BATCH_FILE", "file_options": {"uri": uri}}


def view(uri: str, **more: Any) -> dict[str, Any]:
    return {"features": {"a": {"type": "Int64"}}, "batch_source": file_source(uri), **more}


def definitions(read: dict[str, dict[str, Any]], **others: dict[str, dict[str, Any]]) -> Definitions:
    """Define views by kind; the service reads those of ``read``."""
    projections = {name: {"view": name, "features": ["a"]} for views in read.values() for name in views}
    objects: dict[str, Any] = {FEATURE_SERVICE: {"fs": {"features": projections}}}
    for views in (read, {kind.replace("_", " "): found for kind, found in others.items()}):
        for kind, found in views.items():
            objects.setdefault(kind, {}).update(found)
    return Definitions("radio", objects)


TRACKS = definitions(
    {FEATURE_VIEW: {"tracks": view("s3://data/tracks/")}},
    feature_view={"other": view("s3://data/other/")},
)


def version(store: StoreStandIn, defined: Definitions = TRACKS, model: Model = MODEL) -> str:
    stand_in: Any = store
    return data_version(defined, model, stand_in)


def full_store() -> StoreStandIn:
    return StoreStandIn(f"s3://data/tracks/{HISTORY}", "s3://data/labels/labels.csv")


CHANGES = [
    ("s3://data/tracks/00000000000000000000.parquet", True),
    ("s3://data/tracks/deep/any.parquet", True),
    ("s3://data/labels/labels.csv", True),
    ("s3://data/other/00000000000000000000.parquet", False),
    ("s3://data/tracks_of_others/00000000000000000000.parquet", False),
    ("s3://data/labels/labels.csv.old", False),
    ("s3://data/tracks/_SUCCESS", False),
    ("s3://data/_accepted/tracks/00000000000000000000.parquet", False),
    ("s3://elsewhere/tracks/00000000000000000000.parquet", False),
]


@pytest.mark.parametrize(("uri", "counts"), CHANGES)
def test_a_file_counts_only_if_the_training_reads_it(uri: str, counts: bool) -> None:
    store = full_store()
    before = version(store)
    store.etags[uri] = "2"
    assert (version(store) != before) is counts


def test_a_history_file_that_is_restored_is_no_other_data() -> None:
    store = full_store()
    before = version(store)
    store.etags[f"s3://data/tracks/{HISTORY}"] = "of a multipart upload"
    assert version(store) == before
    del store.etags[f"s3://data/tracks/{HISTORY}"]
    assert version(store) != before


def test_the_version_is_that_of_the_service_at_that_commit() -> None:
    store = full_store()
    store.etags["s3://data/other/any.parquet"] = "1"
    both = definitions(
        {FEATURE_VIEW: {"tracks": view("s3://data/tracks/"), "other": view("s3://data/other/")}}
    )
    assert version(store, both) != version(store)
    with pytest.raises(KeyError):
        version(store, model=Model(name="toy", feature_service="gone", command=("-m", "toy")))


SOURCES: dict[str, Definitions] = {
    "a folder without a slash": definitions({FEATURE_VIEW: {"v": view("s3://data/tracks")}}),
    "one file": definitions({FEATURE_VIEW: {"v": view("s3://data/tracks/new.parquet")}}),
    "a pattern": definitions({FEATURE_VIEW: {"v": view("s3://data/tracks/n*.parquet")}}),
    "the whole bucket": definitions({FEATURE_VIEW: {"v": view("s3://data/")}}),
    "a stream's history": definitions(
        {
            STREAM_FEATURE_VIEW: {
                "v": {
                    "features": {"a": {}},
                    "stream_source": {"name": "push", "batch_source": file_source("s3://data/tracks/")},
                }
            }
        }
    ),
    "a label view": definitions(
        {LABEL_VIEW: {"v": {"features": {"a": {}}, "source": file_source("s3://data/tracks/")}}}
    ),
    "below an on-demand view": definitions(
        {
            ON_DEMAND_FEATURE_VIEW: {
                "v": {"features": {"a": {}}, "sources": {"t": {"view": "t", "features": ["a"]}}}
            }
        },
        feature_view={"t": view("s3://data/tracks/")},
    ),
    "below a view that is made from views": definitions(
        {FEATURE_VIEW: {"v": {"features": {"a": {}}, "source_views": {"t": {"features": {"a": {}}}}}}},
        feature_view={"t": view("s3://data/tracks/")},
    ),
}


@pytest.mark.parametrize("kind", SOURCES)
def test_every_kind_of_source_counts(kind: str) -> None:
    store = full_store()
    before = version(store, SOURCES[kind])
    store.etags["s3://data/tracks/new.parquet"] = "1"
    assert version(store, SOURCES[kind]) != before


@pytest.mark.parametrize("kind", SOURCES)
def test_what_the_steps_keep_in_the_bucket_is_no_data(kind: str) -> None:
    store = full_store()
    before = version(store, SOURCES[kind])
    store.etags["s3://data/_training/toy/run/new.parquet"] = "1"
    assert version(store, SOURCES[kind]) == before


class RefusingStore(StoreStandIn):
    """An object store that has only one of the buckets."""

    def list(self, prefix_uri: str) -> Iterator[StoredObject]:
        if not prefix_uri.startswith("s3://labels/"):
            raise ObjectStoreRefusedError("there is no such bucket", "NoSuchBucket")
        return super().list(prefix_uri)


def test_a_bucket_of_another_store_does_not_fail_and_our_own_does() -> None:
    store = RefusingStore("s3://labels/labels.csv")
    labels = Model(
        name="toy",
        feature_service="fs",
        command=("-m", "toy"),
        arguments={"labels": "s3://labels/labels.csv"},
    )
    elsewhere = definitions({FEATURE_VIEW: {"v": view("s3://elsewhere/tracks/")}})
    before = version(store, elsewhere, labels)
    store.etags["s3://labels/labels.csv"] = "2"
    assert version(store, elsewhere, labels) != before
    with pytest.raises(ObjectStoreRefusedError):
        version(store, TRACKS, labels)


@pytest.mark.parametrize("uri", ["data/tracks.parquet", "file:///data/tracks.parquet", "gs://data/tracks/"])
def test_a_source_elsewhere_does_not_fail(uri: str) -> None:
    store: Any = full_store()
    assert files_at(uri, store) == []
    assert version(store, definitions({FEATURE_VIEW: {"v": view(uri)}}))


def test_a_source_that_is_no_file_does_not_fail() -> None:
    table = {"features": {"a": {}}, "batch_source": {"name": "t", "snowflake_options": {"table": "t"}}}
    defined = definitions({FEATURE_VIEW: {"v": table}})
    defined.objects[DATA_SOURCE] = {"t": table["batch_source"]}  # type: ignore[index]
    assert version(full_store(), defined)
