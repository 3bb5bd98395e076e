"""Only a model that never had a champion is a first model, whatever was deleted since."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from feature_ops.training.champion import ChampionRecord
from feature_ops.training.model_registry import ModelVersion
from feature_ops.training.recipe import Recipe


class RegistryStandIn:
    """MLflow's registry of one model: an alias, a tag, and nothing after the model was deleted."""

    def __init__(self) -> None:
        self.exists = True
        self.alias: str | None = None
        self.tag: str | None = None

    def by_alias(self, alias: str) -> ModelVersion | None:
        assert alias == "champion"
        return self.alias and ModelVersion(self.alias, "c", "d", Recipe("d", "c"), (), "", "")  # type: ignore[return-value]

    def last_champion(self) -> str | None:
        return self.tag

    def record_champion(self, version: str) -> None:
        if self.exists:
            self.tag = version

    def delete_alias(self) -> None:
        self.alias = None

    def delete_model(self) -> None:
        self.exists, self.alias, self.tag = False, None, None


class StoreStandIn:
    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}

    def get_bytes(self, uri: str) -> tuple[bytes, str] | None:
        return (self.files[uri], "etag") if uri in self.files else None

    def put_bytes(self, content: bytes, uri: str) -> None:
        self.files[uri] = content


class World:
    def __init__(self) -> None:
        self.registry, self.store = RegistryStandIn(), StoreStandIn()
        registry: Any = self.registry
        store: Any = self.store
        self.record = ChampionRecord(registry, store, "toy")

    def lose_the_tag(self) -> None:
        self.registry.delete_alias()
        self.registry.tag = None

    def lose_the_object(self) -> None:
        self.registry.delete_alias()
        self.store.files.clear()

    def damage_the_object(self) -> None:
        self.registry.delete_model()
        self.store.files = dict.fromkeys(self.store.files, b"{")


def test_a_model_without_champion_and_record_never_had_one() -> None:
    state = World().record.state()
    assert state.never
    assert state.missing is None


DELETIONS: dict[str, Callable[[World], None]] = {
    "alias or version": lambda world: world.registry.delete_alias(),
    "registered model": lambda world: world.registry.delete_model(),
    "alias and tag": World.lose_the_tag,
    "alias and object": World.lose_the_object,
    "registered model, with a damaged object": World.damage_the_object,
}


@pytest.mark.parametrize("appointed_by", ["deployment", "a user in MLflow"])
@pytest.mark.parametrize("deletion", DELETIONS)
def test_a_champion_that_existed_is_known_whatever_is_deleted(deletion: str, appointed_by: str) -> None:
    world = World()
    world.registry.alias = "3"
    if appointed_by == "deployment":
        world.record.record("3")
    assert world.record.state().current is not None

    DELETIONS[deletion](world)

    for _ in range(2):
        state = world.record.state()
        assert not state.never
        assert state.missing is not None
        assert state.missing.startswith("the alias champion is missing in MLflow (version ")


def test_what_one_record_lost_is_restored_from_the_other() -> None:
    world = World()
    world.record.record("3")
    for lose in (World.lose_the_object, World.lose_the_tag, World.lose_the_object):
        lose(world)
        assert world.record.state().last == "3"


def test_the_current_champion_is_the_one_that_is_recorded() -> None:
    world = World()
    world.record.record("3")
    world.registry.alias = "5"
    assert world.record.state().missing is None
    world.registry.delete_alias()
    assert world.record.state().last == "5"
