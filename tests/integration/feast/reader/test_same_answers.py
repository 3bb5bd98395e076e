"""What the reader answers is what Feast's own get_online_features answers, on each online store."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from feast import FeatureService
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.integration.feast.engine.any_rows import FEATURES
from tests.integration.feast.engine.stores import Held
from tests.integration.feast.reader.library import (
    KEYS,
    VIEWS,
    asked,
    feature,
    left_to_feast,
    library,
    read,
    view_of,
)

RARELY_MORE = settings(
    deadline=None,
    max_examples=25,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


def keys_for(draw: Any, names: list[str]) -> dict[str, list[Any]]:
    """As many of each; some twice, some that nobody has stored, in any order."""
    count = draw(st.integers(1, 6))
    return {
        name: draw(st.lists(st.sampled_from(KEYS[name][3]), min_size=count, max_size=count))
        for name in draw(st.permutations(names))
    }


def test_features_of_views_with_the_same_keys_are_those_that_feast_answers_with(
    held: Held, tmp_path: Path
) -> None:
    shop = library(tmp_path, held)

    @RARELY_MORE
    @given(data=st.data())
    def check(data: st.DataObject) -> None:
        views = data.draw(
            st.sampled_from(
                [["facts"], ["facts", "stats"], ["stats", "world"], ["parts"], ["parts", "world"],
                 ["tracks"], ["moments"]]
            )
        )  # fmt: skip
        shop.clear()
        references = []
        for view in views:
            shop.fill(data.draw, view)
            kinds = data.draw(st.lists(st.sampled_from(sorted(FEATURES)), min_size=1, unique=True))
            references += [f"{view}:{feature(view, kind)}" for kind in kinds]
        names = sorted({key for view in views for key in VIEWS[view][0]})
        keys = keys_for(data.draw, names)
        full = data.draw(st.booleans())

        with left_to_feast() as reasons:
            found = read(shop.store, references, keys, full)

        assert found == asked(shop.store, references, keys, full)
        assert reasons == []

    check()


def test_a_service_of_views_under_other_names_and_keys_is_read_as_feast_reads_it(
    held: Held, tmp_path: Path
) -> None:
    facts = view_of("facts")
    service = FeatureService(
        name="journey",
        features=[
            facts[["facts_text", "facts_double", "facts_words"]]
            .with_name("origin")
            .with_join_key_map({"song": "from_song"}),
            facts[["facts_large", "facts_flag"]]
            .with_name("destination")
            .with_join_key_map({"song": "to_song"}),
            view_of("world")[["world_single", "world_small"]],
        ],
    )
    shop = library(tmp_path, held, [service])

    @RARELY_MORE
    @given(data=st.data())
    def check(data: st.DataObject) -> None:
        shop.clear()
        shop.fill(data.draw, "facts")
        shop.fill(data.draw, "world")
        songs = keys_for(data.draw, ["song"])["song"]
        keys = {"from_song": songs, "to_song": songs[::-1]}
        full = data.draw(st.booleans())

        with left_to_feast() as reasons:
            found = read(shop.store, service, keys, full)

        assert found == asked(shop.store, service, keys, full)
        assert reasons == []

    check()
