"""Restore a missing copy of a data file from another one, after its hash was verified."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from feature_ops.commit_points import CommitPoint, passing
from feature_ops.datasets.dataset import Dataset
from feature_ops.dvc.copies import Copies, FileCopies, problems
from feature_ops.dvc.data_files import download, verified_sha256
from feature_ops.dvc.pointers import SUFFIX
from feature_ops.exceptions import BadInputError, FeatureOpsError
from feature_ops.git.errors import GitError
from feature_ops.git.repository import Repository
from feature_ops.object_store import ObjectStore
from feature_ops.object_store_failures import ObjectStoreError

log = logging.getLogger(__name__)

_HASH_SHOWN = 10


@dataclass
class Repair:
    """
    Restores the copies of a dataset's files, file by file; one that fails does not stop the others.

    :param folder: a scratch folder.
    :param problems: receives what a user must fix, one line per file.
    :param in_history: receives the names of the files that the history holds since.
    """

    store: ObjectStore
    dataset: Dataset
    folder: Path
    problems: list[str] = field(default_factory=list)
    in_history: set[str] = field(default_factory=set)

    def restore_history(self, copies: Copies) -> list[str]:
        """Put the files that git points to into the history; returns the names of those that were put."""
        return [
            file.name
            for file in copies.files.values()
            if file.history_uri in file.lacking
            and self._restore(file, file.history_uri, CommitPoint.FILE_IN_HISTORY, "in the history")
        ]

    def restore_remote(self, copies: Copies) -> list[str]:
        """Put the files that git points to on the DVC remote; returns the names of those that were put."""
        return [
            file.name
            for file in copies.files.values()
            if file.remote_uri in file.lacking
            and self._restore(file, file.remote_uri, CommitPoint.CONTENT_ON_DVC_REMOTE, "on the DVC remote")
        ]

    def report(self, copies: Copies, repository: Repository) -> None:
        """Note the files that no copy can replace, with the commits that added them."""
        added_by = {file.name: _added_by(self.dataset, file.name, repository) for file in copies.lost}
        found = problems(copies, self.dataset, {name: text for name, text in added_by.items() if text})
        self.problems += [problem for problem in found if problem not in self.problems]
        for problem in self.problems:
            log.error("%s", problem)

    def _restore(self, file: FileCopies, target_uri: str | None, point: CommitPoint, where: str) -> bool:
        assert target_uri
        local = self.folder / file.name
        try:
            source = self._fetch(file, [uri for uri in file.sources if uri != target_uri], local)
            origin = self.store.metadata(source)
            with passing(point):
                written = self.store.put_file_once(str(local), target_uri, origin)
        except BadInputError as error:
            if isinstance(error, ObjectStoreError):
                # The account is not allowed to, which concerns all files.
                raise
            self.problems.append(str(error))
            return False
        finally:
            local.unlink(missing_ok=True)
        if point is CommitPoint.FILE_IN_HISTORY:
            self.in_history.add(file.name)
        log.info("%s is %s, from %s", file.name, where, source)
        return written

    def _fetch(self, file: FileCopies, sources: Sequence[str], local: Path) -> str:
        """Download the first copy that holds what the name and the pointer say; returns its URI."""
        wrong: BadInputError | None = None
        for uri in sources:
            if download(self.store, uri, local):
                try:
                    verified_sha256(local, uri, file.name, file.pointer)
                except BadInputError as error:
                    wrong = error
                else:
                    return uri
        raise wrong or FeatureOpsError(f"{', '.join(sources)} was listed and is gone: try again")


def _added_by(dataset: Dataset, name: str, repository: Repository) -> str | None:
    """Return which commit added a pointer and where its rows came from, as words; None if unknown."""
    with suppress(GitError):
        found = repository.last_change(f"{dataset.pointer_folder}/{name}{SUFFIX}", "A")
        if found:
            commit, message = found
            trailers = dict(line.split(": ", 1) for line in message.splitlines() if ": " in line)
            source = f", from {trailers['Source']}" if trailers.get("Source") else ""
            return f"added by commit {commit[:_HASH_SHOWN]}{source}"
    return None
