"""Whatever copies of a file are missing or cut off: what can be restored is, the rest is named."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import product
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from feature_ops.datasets.dataset import Column, ColumnType, Dataset
from feature_ops.dvc.copies import Copies, problems, read_copies
from feature_ops.dvc.pointers import Pointer
from feature_ops.dvc.repair import Repair
from feature_ops.exceptions import BadInputError
from feature_ops.git.repository import Repository
from feature_ops.object_store import ObjectStore, StoredObject

SONGS = Dataset(name="songs", keys=("id",), columns=(Column(name="id", type=ColumnType.STRING),))
REMOTE = "s3://cache"
NOW = datetime(2026, 1, 1, tzinfo=UTC)


def content(number: int) -> bytes:
    return f"the rows of file {number}".encode()


def name_of(data: bytes) -> str:
    return f"{hashlib.sha256(data).hexdigest()[:20]}.parquet"


def pointer_of(data: bytes) -> Pointer:
    md5 = hashlib.md5(data, usedforsecurity=False).hexdigest()
    return Pointer(name_of(data), md5, len(data))


def pointer_text(data: bytes) -> bytes:
    pointer = pointer_of(data)
    return (
        f"outs:\n- md5: {pointer.md5}\n  size: {pointer.size}\n  hash: md5\n  path: {pointer.name}\n"
    ).encode()


@dataclass
class StoreInMemory:
    """Stands in for object storage; counts what is asked of it."""

    objects: dict[str, bytes] = field(default_factory=dict)
    listings: int = 0
    downloads: list[str] = field(default_factory=list)

    def list(self, prefix: str) -> Iterator[StoredObject]:
        self.listings += 1
        found = sorted(uri for uri in self.objects if uri.startswith(prefix))
        return iter([StoredObject(uri, len(self.objects[uri]), NOW) for uri in found])

    def metadata(self, uri: str) -> dict[str, str] | None:
        return {"run-id": "run"} if uri in self.objects else None

    def put_file_once(self, path: str, uri: str, metadata: Any = None) -> bool:
        if uri in self.objects:
            return False
        self.objects[uri] = Path(path).read_bytes()
        return True

    @property
    def client(self) -> Any:
        return SimpleNamespace(download_file=self._download)

    def _download(self, bucket: str, key: str, target: str) -> None:
        uri = f"s3://{bucket}/{key}"
        self.downloads.append(uri)
        Path(target).write_bytes(self.objects[uri])


@dataclass
class GitInMemory:
    """Stands in for the branch with the pointers."""

    pointers: dict[str, bytes] = field(default_factory=dict)
    head: str | None = "c0ffee1234" * 4

    def read_folder(self, folder: str) -> dict[str, bytes]:
        assert folder == "data/songs"
        return self.pointers

    def last_change(self, path: str, kind: str) -> tuple[str, str] | None:
        return "add1234567" * 4, "data: 7 new rows\n\nRun-Id: run 7\nSource: https://x/file.parquet\n"


PLACES = ("history", "remote", "accepted")
STATES = ("absent", "whole", "cut off", "other bytes")


def uri_of(place: str, data: bytes) -> str:
    pointer = pointer_of(data)
    return {
        "history": f"{SONGS.uri}{pointer.name}",
        "remote": pointer.data_uri(REMOTE),
        "accepted": f"{SONGS.accepted_uri}{pointer.name}",
    }[place]


def put(store: StoreInMemory, data: bytes, **states: str) -> None:
    for place, state in states.items():
        if state != "absent":
            kept = {"whole": data, "cut off": data[:5], "other bytes": b"x" * len(data)}[state]
            store.objects[uri_of(place, data)] = kept


def compared(store: StoreInMemory, git: GitInMemory) -> Copies:
    return read_copies(SONGS, cast("Repository", git), cast("ObjectStore", store), REMOTE)


def repaired(store: StoreInMemory, git: GitInMemory, folder: Path) -> Repair:
    """Compare the copies and restore what can be."""
    copies = compared(store, git)
    repair = Repair(cast("ObjectStore", store), SONGS, folder)
    repair.restore_history(copies)
    repair.restore_remote(copies)
    repair.report(copies, cast("Repository", git))
    return repair


@pytest.mark.parametrize("states", product(STATES, repeat=3), ids=lambda states: "-".join(states))
def test_every_mix_of_copies_ends_as_complete_as_it_can_be(states: tuple[str, ...], tmp_path: Path) -> None:
    """And the file beside it is restored, whatever is wrong with this one."""
    data, other = content(1), content(2)
    before = dict(zip(PLACES, states, strict=True))
    store, git = StoreInMemory(), GitInMemory({f"{name_of(d)}.dvc": pointer_text(d) for d in (data, other)})
    put(store, data, **before)
    put(store, other, remote="whole")

    repair = repaired(store, git, tmp_path)

    assert store.objects[uri_of("history", other)] == other
    has_whole = "whole" in states
    for place in ("history", "remote"):
        there = store.objects.get(uri_of(place, data))
        if before[place] == "absent":
            assert there == (data if has_whole else None), place
        else:
            assert there is not None, "nothing is ever replaced or removed"
    told = "; ".join(repair.problems)
    assert name_of(other) not in told
    for place in ("history", "remote"):
        if before[place] == "cut off":
            assert f"{uri_of(place, data)} has 5 bytes, but its pointer in git says {len(data)}" in told
    if not has_whole and set(states) <= {"absent", "cut off"}:
        assert (
            f"git points to {name_of(data)} (added by commit add1234567, from https://x/file.parquet)" in told
        )
    if set(states) <= {"absent", "whole"} and has_whole:
        assert told == ""
    assert list(tmp_path.iterdir()) == [], "no scratch file is left"


def test_the_comparison_is_made_of_three_listings_and_no_content(tmp_path: Path) -> None:
    store, git = StoreInMemory(), GitInMemory()
    for number in range(50):
        put(store, content(number), history="whole", remote="whole")
        git.pointers[f"{name_of(content(number))}.dvc"] = pointer_text(content(number))
    assert repaired(store, git, tmp_path).problems == []
    assert store.listings == 3
    assert store.downloads == []


def test_a_broken_pointer_is_named_and_stops_no_other_file(tmp_path: Path) -> None:
    data = content(1)
    store = StoreInMemory()
    put(store, data, remote="whole")
    git = GitInMemory(
        {f"{'0' * 20}.parquet.dvc": b"<<<<<<< HEAD", f"{name_of(data)}.dvc": pointer_text(data)}
    )
    repair = repaired(store, git, tmp_path)
    assert repair.in_history == {name_of(data)}
    (problem,) = repair.problems
    assert problem.startswith(f"data/songs/{'0' * 20}.parquet.dvc in git is no pointer")
    assert compared(store, git).missing_in_history == [f"{'0' * 20}.parquet"]


def test_a_file_without_a_pointer_is_unversioned_and_no_problem(tmp_path: Path) -> None:
    store, git = StoreInMemory(), GitInMemory()
    put(store, content(1), history="whole")
    copies = compared(store, git)
    assert list(copies.unversioned) == [name_of(content(1))]
    assert list(problems(copies, SONGS, {})) == []


def test_a_remote_elsewhere_than_on_object_storage_is_not_compared(tmp_path: Path) -> None:
    data = content(1)
    store, git = StoreInMemory(), GitInMemory({f"{name_of(data)}.dvc": pointer_text(data)})
    put(store, data, history="whole")
    copies = read_copies(SONGS, cast("Repository", git), cast("ObjectStore", store), "ssh://host/cache")
    assert list(problems(copies, SONGS, {})) == []
    assert copies.files[name_of(data)].lacking == []


def test_a_copy_that_goes_after_it_was_listed_is_worth_another_try(tmp_path: Path) -> None:
    from botocore.exceptions import ClientError

    from feature_ops.exceptions import FeatureOpsError

    data = content(1)
    store, git = StoreInMemory(), GitInMemory({f"{name_of(data)}.dvc": pointer_text(data)})
    put(store, data, remote="whole")
    copies = compared(store, git)

    def gone(bucket: str, key: str, target: str) -> None:
        raise ClientError({"ResponseMetadata": {"HTTPStatusCode": 404}}, "GetObject")  # type: ignore[typeddict-item]

    store._download = gone  # type: ignore[method-assign]
    with pytest.raises(FeatureOpsError, match="was listed and is gone: try again") as caught:
        Repair(cast("ObjectStore", store), SONGS, tmp_path).restore_history(copies)
    assert not isinstance(caught.value, BadInputError)
