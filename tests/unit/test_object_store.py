"""S3 as the package reaches it."""

from __future__ import annotations

import pytest

from feature_ops.object_store import ObjectStore, split_uri


@pytest.mark.parametrize(
    ("uri", "parts"),
    [
        ("s3://data/song_properties/a.parquet", ("data", "song_properties/a.parquet")),
        ("s3://data", ("data", "")),
        ("s3://data/", ("data", "")),
        ("s3://data/what?is#this", ("data", "what?is#this")),
    ],
)
def test_a_uri_has_a_bucket_and_a_key(uri: str, parts: tuple[str, str]) -> None:
    assert split_uri(uri) == parts


@pytest.mark.parametrize("uri", ["https://data/a", "s3:///a", "data/a"])
def test_what_is_no_s3_uri_is_refused(uri: str) -> None:
    with pytest.raises(ValueError, match="not an s3:// URI"):
        split_uri(uri)


def test_d12_a_store_without_region_is_reached_all_the_same() -> None:
    assert ObjectStore(access_key="a", secret_key="b").client.meta.region_name == "us-east-1"


def test_the_environment_says_all_and_is_read_back() -> None:
    store = ObjectStore("key", "secret", "token", "eu-west-1", "http://127.0.0.1:1")
    assert ObjectStore.from_environment(store.environment()) == store


def test_no_secret_shows_when_a_store_is_printed() -> None:
    assert "hunter2" not in repr(ObjectStore("key", "hunter2", "hunter2"))
