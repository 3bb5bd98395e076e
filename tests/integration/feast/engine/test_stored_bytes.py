"""The engine's writers put into each online store the bytes that Feast's own writer puts there."""

from __future__ import annotations

import pyarrow as pa
from feast import Field
from feast.types import Int64
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.integration.feast.engine.any_rows import FEATURES, TIMES, rows_of, view_of
from tests.integration.feast.engine.stores import Held

RARELY_MORE = settings(
    deadline=None, max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture]
)

NOON = pa.array([1_767_268_800_000_000] * 2, TIMES)


@RARELY_MORE
@given(data=st.data(), keys=st.sampled_from([["song"], ["song", "part"], ["part", "song"], []]))
def test_rows_of_all_types_are_stored_byte_for_byte(held: Held, data: st.DataObject, keys: list[str]) -> None:
    features = data.draw(st.lists(st.sampled_from(sorted(FEATURES)), min_size=1, unique=True))
    view = view_of(keys, features)
    rows = data.draw(rows_of(keys, features))
    held.prepare(view)

    held.clear(view)
    held.write_as_feast(view, rows)
    expected = held.content(view)
    held.clear(view)
    written = held.write(view, rows)

    assert held.content(view) == expected
    assert written == rows.num_rows


def test_views_of_very_many_features_are_stored_byte_for_byte(held: Held) -> None:
    view, count = view_of(["song"], []), 450
    names = [f'it\'s "number" {number}' for number in range(count)]
    view.features = [Field(name=name, dtype=Int64) for name in names]
    rows = pa.record_batch(
        {"song": ["a", "b"], **{name: pa.array([1, None]) for name in names}, "happened": NOON, "noted": NOON}
    )
    held.prepare(view)

    held.clear(view)
    held.write_as_feast(view, rows)
    expected = held.content(view)
    held.clear(view)

    assert held.write(view, rows) == 2
    assert held.content(view) == expected
