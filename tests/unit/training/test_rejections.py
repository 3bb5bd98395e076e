"""A refusal is remembered for a recipe, and for the data if those count."""

from __future__ import annotations

import io
from types import SimpleNamespace
from typing import Any

import pytest

from feature_ops.training.recipe import Recipe
from feature_ops.training.rejections import Rejections

RECIPE = Recipe("features", "code")


class StoreStandIn:
    """A dictionary in the place of the object store."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.client = SimpleNamespace(
            get_object=lambda Bucket, Key: {"Body": io.BytesIO(self.files[f"s3://{Bucket}/{Key}"])}  # noqa: N803
        )

    def exists(self, uri: str) -> bool:
        return uri in self.files

    def put_bytes(self, body: bytes, uri: str) -> None:
        self.files[uri] = body

    def delete(self, uri: str) -> None:
        del self.files[uri]


@pytest.fixture
def rejections() -> Rejections:
    store: Any = StoreStandIn()
    return Rejections(store, "toy")


def test_a_refused_recipe_is_known_until_it_is_accepted(rejections: Rejections) -> None:
    assert rejections.reason(RECIPE, "data-1") is None
    rejections.remember(RECIPE, "c0ffee", "refused: worse", "data-1")
    assert rejections.reason(RECIPE, "data-1") == "refused: worse"
    assert rejections.reason(RECIPE, "data-2") == "refused: worse"
    rejections.forget(RECIPE)
    assert rejections.reason(RECIPE, "data-1") is None


def test_where_data_count_a_refusal_on_older_ones_does_not(rejections: Rejections) -> None:
    rejections.remember(RECIPE, "c0ffee", "refused: worse", "data-1")
    assert rejections.reason(RECIPE, "data-1", data_count=True) == "refused: worse"
    assert rejections.reason(RECIPE, "data-2", data_count=True) is None


def test_an_accepted_recipe_that_is_refused_on_newer_data_is_not_refused_on_others(
    rejections: Rejections,
) -> None:
    rejections.remember(RECIPE, "c0ffee", "refused: worse", "data-2", accepted_before=True)
    assert rejections.reason(RECIPE, "data-2") == "refused: worse"
    assert rejections.reason(RECIPE, "data-3") is None
