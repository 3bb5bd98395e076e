"""After an apply the registry is read back: it holds what was classified, or what it held before."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from feast import FileSource

from feature_ops.exceptions import BadInputError
from feature_ops.feast import apply_process, registry_dump
from feature_ops.feast.applied_commit import AppliedCommit, AppliedState
from feature_ops.feast.apply_process import Applied, ApplyRequest, apply
from feature_ops.feast.diff import sandbox
from feature_ops.feast.diff.definitions import Definitions
from feature_ops.feast.diff.foreign import collected
from tests.integration.feast.diff import shop

CONFIGURATION = """\
project: shop
provider: local
registry:
  registry_type: sql
  path: sqlite:///{folder}/registry.db
  cache_ttl_seconds: 0
offline_store:
  type: file
online_store:
  type: sqlite
  path: {folder}/online.db
entity_key_serialization_version: 3
"""
A, B, C = "a" * 40, "b" * 40, "c" * 40
# An on-demand view that is made of its text alone.
SHOP = shop.edited("[gross(value) for value", "[value * 1.19 for value")


class KilledError(BaseException):
    """Stands for the end of the process."""


class Bucket(dict[str, bytes]):
    """Object storage."""

    @property
    def client(self) -> Any:
        return self

    def put_bytes(self, content: bytes, uri: str) -> None:
        self[uri] = content

    def get_object(self, Bucket: str, Key: str) -> Any:  # noqa: N803
        import io

        return {"Body": io.BytesIO(self[f"s3://{Bucket}/{Key}"])}


class Shop:
    """A registry in a file, and what is done to it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "feature_store.yaml").write_text(CONFIGURATION.replace("{folder}", str(folder)))
        self.note = AppliedCommit(f"sqlite:///{folder}/registry.db", "shop")

    def request(self, commit: str, definitions: Definitions) -> ApplyRequest:
        return ApplyRequest(commit, definitions, self.folder, {}, "s3://bucket/", 5)

    def apply(self, commit: str, definitions: Definitions) -> Applied:
        return apply(self.request(commit, definitions))

    def registered(self) -> dict[str, Any]:
        from feast import FeatureStore

        from feature_ops.feast.diff.describe import describe_registry

        store = FeatureStore(repo_path=str(self.folder))
        return dict(describe_registry(store.registry, "shop").objects)


@pytest.fixture(scope="module")
def definitions(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Definitions]:
    """What two commits define, as the sandbox returns it."""
    import importlib
    import os
    import sys

    from feast.repo_operations import parse_repo

    found = {}
    home = os.getcwd()
    for commit, code in ((A, SHOP), (B, SHOP.replace('"city", dtype=String', '"town", dtype=String'))):
        folder = tmp_path_factory.mktemp("repo")
        (folder / f"shop_{commit[:3]}.py").write_text(code)
        sys.path.append(str(folder))
        importlib.invalidate_caches()
        os.chdir(folder)
        try:
            reported = collected(parse_repo(folder), folder, "")
        finally:
            os.chdir(home)
            sys.path.remove(str(folder))
        found[commit] = Definitions.from_json(sandbox._definitions(reported, "shop"))
    return found


@pytest.fixture
def bucket(monkeypatch: pytest.MonkeyPatch) -> Bucket:
    made = Bucket()
    monkeypatch.setattr(registry_dump.ObjectStore, "from_environment", lambda *_: made)
    monkeypatch.setattr(apply_process, "_READERS_CATCH_UP", 0.0)
    # It would look for the files of the shop.
    monkeypatch.setattr(FileSource, "validate", lambda *_, **__: None)
    return made


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the registry with the first commit is kept, for all tests."""
    return tmp_path_factory.mktemp("first")


@pytest.fixture
def applied(first: Path, bucket: Bucket, tmp_path: Path, definitions: dict[str, Definitions]) -> Shop:
    """The registry with the first commit."""
    if not list(first.iterdir()):
        Shop(first).apply(A, definitions[A])
    for name in ("registry.db", "online.db"):
        if (first / name).exists():
            shutil.copy(first / name, tmp_path / name)
    return Shop(tmp_path)


def add_entity(store: Any) -> None:
    from feast import Entity, ValueType

    store.registry.apply_entity(Entity(name="forged", value_type=ValueType.STRING), "shop")


def change_view(store: Any) -> None:
    view = store.registry.get_feature_view("orders", "shop")
    view.tags = {"forged": "yes"}
    store.registry.apply_feature_view(view, "shop")


def remove_service(store: Any) -> None:
    store.registry.delete_feature_service("checkout", "shop")


@contextmanager
def tampering(change: Callable[[Any], None], times: int = 1) -> Iterator[list[str]]:
    """Change the registry right after the next applies, as a hostile definition or another writer would."""
    original, done = apply_process._apply, list[str]()

    def tampered(store: Any, *arguments: Any) -> Any:
        result = original(store, *arguments)
        if len(done) < times:
            change(store)
        done.append("applied")
        return result

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(apply_process, "_apply", tampered)
        yield done


TAMPERED = {
    "an object more": (add_entity, "entity forged was not classified"),
    "another object": (change_view, "feature view orders: tags.forged differs"),
    "an object less": (remove_service, "feature service checkout is missing"),
}


def test_an_honest_commit_is_applied_as_it_was_classified(
    applied: Shop, definitions: dict[str, Definitions]
) -> None:
    assert applied.note.state().applied == A
    done = applied.apply(B, definitions[B])
    assert "feature view orders" in done.updated
    assert set(applied.registered()["feature view"]["orders"]["features"]) == {"amount", "count", "town"}
    assert (applied.note.state().applied, applied.note.state().begun) == (B, None)
    # Twice is once.
    assert applied.apply(B, definitions[B]).deleted == []


@pytest.mark.parametrize("name", TAMPERED)
def test_a_difference_is_undone_and_reported(
    name: str, applied: Shop, definitions: dict[str, Definitions]
) -> None:
    change, words = TAMPERED[name]
    before = applied.registered(), applied.note.state()
    with tampering(change), pytest.raises(BadInputError) as refused:
        applied.apply(B, definitions[B])
    assert str(refused.value).startswith(f"commit {B[:10]} was undone: ")
    assert words in str(refused.value)
    assert (applied.registered(), applied.note.state()) == before
    # The next honest commit works.
    applied.apply(B, definitions[B])
    assert applied.note.state().applied == B


@pytest.mark.parametrize("at", ["before the check", "in the middle of going back", "before it is noted"])
def test_an_undo_that_was_killed_is_completed_by_the_next_apply(
    at: str, applied: Shop, definitions: dict[str, Definitions]
) -> None:
    before = applied.registered(), applied.note.state()

    def kill(*_: Any) -> Any:
        raise KilledError

    with tampering(change_view) as done, pytest.MonkeyPatch.context() as patch:
        if at == "before the check":
            patch.setattr(apply_process, "registry_differences", kill)
        elif at == "in the middle of going back":
            inner = apply_process._apply_all
            patch.setattr(apply_process, "_apply_all", lambda *_: kill() if done else inner(*_))
        else:
            patch.setattr(AppliedCommit, "undone", kill)
        with pytest.raises(KilledError):
            applied.apply(B, definitions[B])
    assert applied.note.state().begun == B
    # The retry meets the same attack, and goes back to what was before the first try.
    with tampering(change_view), pytest.raises(BadInputError, match="was undone"):
        applied.apply(B, definitions[B])
    assert (applied.registered(), applied.note.state()) == before
    # Another commit may come first, too.
    applied.note.begin(C, "s3://bucket/none")
    applied.apply(A, definitions[A])
    assert applied.note.state().begun is None


def test_the_first_apply_of_all_is_undone_to_an_empty_registry(
    tmp_path: Path, bucket: Bucket, definitions: dict[str, Definitions]
) -> None:
    empty = Shop(tmp_path)
    with tampering(add_entity), pytest.raises(BadInputError, match="entity forged was not classified"):
        empty.apply(A, definitions[A])
    left = {kind: set(named) for kind, named in empty.registered().items() if named}
    assert left in ({}, {"project": {"shop"}})
    assert empty.note.state() == AppliedState()


def test_what_feast_would_register_differently_is_refused_before_anything_changes(
    applied: Shop, definitions: dict[str, Definitions], monkeypatch: pytest.MonkeyPatch
) -> None:
    before = applied.registered(), applied.note.state()
    inner = apply_process._made

    def altered(item: Any) -> Any:
        made = inner(item)
        if item.name == "orders":
            made.features = made.features[1:]
        return made

    monkeypatch.setattr(apply_process, "_made", altered)
    with pytest.raises(BadInputError, match="Feast would register something else than what was classified"):
        applied.apply(B, definitions[B])
    assert (applied.registered(), applied.note.state()) == before


def test_messages_that_differ_from_the_classified_objects_are_refused_before_anything_changes(
    applied: Shop, definitions: dict[str, Definitions]
) -> None:
    before = applied.registered(), applied.note.state()
    forged = replace(definitions[A], protos=definitions[B].protos)
    with pytest.raises(BadInputError, match=r"feature view orders: features\.city differs"):
        applied.apply(B, forged)
    assert (applied.registered(), applied.note.state()) == before
