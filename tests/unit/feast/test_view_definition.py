"""Values that are online are written again only if the view asks for something that they lack."""

from __future__ import annotations

from dataclasses import replace

import pytest

from feature_ops.feast.view_definition import ViewDefinition

WRITTEN = ViewDefinition(
    keys={"id": "String"},
    features={"energy": ("Float32", "energy"), "plays": ("Int64", "plays")},
    source="s3://data/tracks/",
    times=("event_timestamp", "ingested_at"),
)


def features(**changed: tuple[str, str] | None) -> ViewDefinition:
    both = {**WRITTEN.features, **changed}
    return replace(WRITTEN, features={name: read for name, read in both.items() if read})


@pytest.mark.parametrize(
    ("now", "lacking"),
    [
        (WRITTEN, None),
        (features(plays=None), None),
        (features(live=("Bool", "live")), "new feature: live"),
        (features(live=("Bool", "live"), tempo=("Float32", "bpm")), "new features: live, tempo"),
        (features(plays=("Float32", "plays")), "another type or column: plays"),
        (features(plays=("Int64", "streams")), "another type or column: plays"),
        (replace(WRITTEN, keys={"song": "String"}), "its join keys are now song"),
        (replace(WRITTEN, source="s3://data/songs/"), "its source is now s3://data/songs/"),
        (replace(WRITTEN, times=("event_timestamp", "")), "its source has other time columns"),
    ],
)
def test_what_is_lacking_is_told_in_words(now: ViewDefinition, lacking: str | None) -> None:
    assert now.lacking_in(WRITTEN) == lacking


def test_a_definition_is_read_back_as_it_was_written() -> None:
    assert ViewDefinition.from_json(WRITTEN.to_json()) == WRITTEN
