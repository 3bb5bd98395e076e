"""
Compare the three copies of a dataset's files: pointer in git, object on the DVC remote, file of the history.

By listings alone: git's folder of pointers, and the names and sizes of objects. No content is read.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from feature_ops.datasets.dataset import Dataset
from feature_ops.dvc.pointers import DATA_FILE, SUFFIX, Pointer, parse_pointer, pointed_files
from feature_ops.exceptions import BadInputError
from feature_ops.git.repository import Repository
from feature_ops.object_store import ObjectStore, StoredObject


@dataclass(frozen=True)
class FileCopies:
    """
    The copies of one file that git points to.

    :param remote_uri: its place on the DVC remote; None if that is not on object storage.
    :param history: its object in the history, whatever it holds; None if there is none.
    :param remote: the same on the DVC remote.
    :param accepted: the same among the accepted files, which are not yet everywhere.
    """

    pointer: Pointer
    history_uri: str
    remote_uri: str | None
    history: StoredObject | None = None
    remote: StoredObject | None = None
    accepted: StoredObject | None = None

    @property
    def name(self) -> str:
        """The file's name."""
        return self.pointer.name

    @property
    def sources(self) -> list[str]:
        """The copies that have the size that the pointer names."""
        return [
            copy.uri for copy in (self.accepted, self.remote, self.history) if copy and self._is_whole(copy)
        ]

    @property
    def damaged(self) -> list[StoredObject]:
        """The copies that have another size."""
        return [copy for copy in (self.history, self.remote) if copy and not self._is_whole(copy)]

    @property
    def is_lost(self) -> bool:
        """Whether no copy holds the content."""
        return not self.sources

    @property
    def is_in_history(self) -> bool:
        """Whether the history holds the content."""
        return self._is_whole(self.history)

    @property
    def lacking(self) -> list[str]:
        """Where a copy is missing that another one can replace."""
        if self.is_lost:
            return []
        missing = [self.history_uri] if self.history is None else []
        return [*missing, self.remote_uri] if self.remote_uri and self.remote is None else missing

    def _is_whole(self, copy: StoredObject | None) -> bool:
        return copy is not None and copy.size == self.pointer.size


@dataclass(frozen=True)
class Copies:
    """
    All copies of a dataset's files.

    :param commit: the branch's newest commit; None if it has none.
    :param files: the files that git points to, by name.
    :param broken: why a pointer in git cannot be followed, by the file's name.
    :param history: all data files of the history, by name.
    """

    commit: str | None
    files: Mapping[str, FileCopies]
    broken: Mapping[str, str] = field(default_factory=dict)
    history: Mapping[str, StoredObject] = field(default_factory=dict)

    @property
    def unversioned(self) -> dict[str, StoredObject]:
        """Files of the history that git does not point to, by name."""
        pointed = self.files.keys() | self.broken.keys()
        return {name: file for name, file in self.history.items() if name not in pointed}

    @property
    def lost(self) -> list[FileCopies]:
        """Files that git points to and no place holds."""
        return [file for file in self.files.values() if file.is_lost]

    @property
    def missing_in_history(self) -> list[str]:
        """Names of the files that git points to and the history does not hold."""
        missing = [name for name, file in self.files.items() if not file.is_in_history]
        return sorted([*missing, *(self.broken.keys() - self.history.keys())])


def read_copies(
    dataset: Dataset, repository: Repository, store: ObjectStore, remote_uri: str | None
) -> Copies:
    """
    List all copies.

    :param repository: with its newest commit fetched.
    :param remote_uri: address of the DVC remote; the remote is not compared if None.
    """
    folder = dataset.pointer_folder
    contents = repository.read_folder(folder)
    names, _ = pointed_files(list(contents))
    history, accepted = data_files(store, dataset.uri), data_files(store, dataset.accepted_uri)
    pointers, broken = _parsed(folder, {name: contents[f"{name}{SUFFIX}"] for name in names})
    on_s3 = remote_uri if remote_uri and remote_uri.startswith("s3://") else None
    remote = {item.uri: item for item in store.list(f"{on_s3}/")} if on_s3 and pointers else {}
    files = {}
    for name, pointer in sorted(pointers.items()):
        uri = pointer.data_uri(on_s3) if on_s3 else None
        files[name] = FileCopies(
            pointer,
            f"{dataset.uri}{name}",
            uri,
            history=history.get(name),
            remote=remote.get(uri) if uri else None,
            accepted=accepted.get(name),
        )
    return Copies(repository.head, files, broken, history)


def _parsed(folder: str, contents: Mapping[str, bytes]) -> tuple[dict[str, Pointer], dict[str, str]]:
    pointers, broken = {}, {}
    for name, content in contents.items():
        try:
            pointers[name] = parse_pointer(f"{folder}/{name}{SUFFIX}", content)
        except BadInputError as error:
            broken[name] = str(error)
    return pointers, broken


def data_files(store: ObjectStore, prefix_uri: str) -> dict[str, StoredObject]:
    """Return the data files under a prefix by name, in the order in which they came."""
    files = sorted(store.list(prefix_uri), key=lambda file: (file.modified, file.name))
    # By the whole path: a folder below the prefix is not the prefix.
    return {
        file.name: file for file in files if file.uri == prefix_uri + file.name and DATA_FILE.match(file.name)
    }


def problems(copies: Copies, dataset: Dataset, added_by: Mapping[str, str]) -> Iterator[str]:
    """
    Yield what a user must fix, one line per file, with the remedy.

    :param added_by: the commit that added the pointer of a lost file, as shown to users, by the file's name.
    """
    yield from copies.broken.values()
    for file in copies.files.values():
        pointer = f"{dataset.pointer_folder}/{file.name}{SUFFIX}"
        if file.is_lost:
            place = f" on the DVC remote ({file.remote_uri})" if file.remote_uri else " anywhere"
            commit = added_by.get(file.name) or f"commit {(copies.commit or '')[:10]}"
            yield (
                f"git points to {file.name} ({commit}), whose content is not{place}, nor in the history: "
                f"`dvc push` it from a clone that has it, or remove its pointer {pointer} and ingest its "
                "source again"
            )
        for copy in file.damaged:
            yield (
                f"{copy.uri} has {copy.size:,} bytes, but its pointer in git says "
                f"{file.pointer.size:,}: remove it"
                + ("" if file.is_lost else " and run the DAG again, which puts it back from another copy")
            )
