"""The steps that put accepted files on git and the DVC remote, and then into the history."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from functools import cache, partial
from pathlib import Path
from typing import Any, ClassVar

from airflow.sdk import Context

from feature_ops.commit_points import CommitPoint, passing
from feature_ops.datasets.acceptance import Acceptance
from feature_ops.datasets.dataset import Dataset
from feature_ops.dvc.copies import Copies, data_files, read_copies
from feature_ops.dvc.data_files import download, verified_sha256
from feature_ops.dvc.pointers import SUFFIX, pointed_files
from feature_ops.dvc.repair import Repair
from feature_ops.dvc.versioning import Version, VersionedFolder, check_remote
from feature_ops.dvc.workspace import DvcWorkspace, initial_files, remote_options
from feature_ops.exceptions import BadInputError
from feature_ops.git.hook import GitRepositoryHook
from feature_ops.git.links import GitCommitLink
from feature_ops.git.repository import Author, Repository
from feature_ops.object_store import ObjectStore, StoredObject
from feature_ops.operator import Outcome, ReconcilingOperator
from feature_ops.settings import get_settings
from feature_ops.ui.links import DvcVersionLink
from feature_ops.upstream import Needs
from feature_ops.work_folder import work_folder

_SHOWN = 3


class DvcOperator(ReconcilingOperator):
    """
    A step between object storage and the pointers in git.

    :param dataset: whose files it is about.
    :param repo_url: another repository than the git connection's, on the same server. (templated)
    """

    template_fields: Sequence[str] = ("repo_url",)

    def __init__(self, *, dataset: Dataset, repo_url: str = "", **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.dataset = dataset
        self.repo_url = repo_url
        # What a user must fix, one line per file.
        self._problems: list[str] = []

    def reconcile(self, context: Context) -> Outcome:
        """Open both sides and close the difference between them."""
        settings = get_settings()
        store = ObjectStore.from_connection(settings.aws_conn_id)
        hook = GitRepositoryHook(settings.git_conn_id, self.repo_url)
        with ExitStack() as stack:
            folder = stack.enter_context(work_folder(self.task_id))
            repository = stack.enter_context(hook.repository(folder / "git"))
            repository.fetch()
            return self.close_difference(store, repository, folder)

    @abstractmethod
    def close_difference(self, store: ObjectStore, repository: Repository, folder: Path) -> Outcome:
        """
        Bring what is there up to what is wanted.

        :param repository: with its newest commit fetched.
        :param folder: an empty folder for scratch files; ``git`` in it is taken.
        """

    def log_foreign_pointers(self, repository: Repository) -> set[str]:
        """Return the names of the data files that git points to, and log what else it points to."""
        files, foreign = pointed_files(repository.names(self.dataset.pointer_folder))
        if foreign:
            self.log.warning(
                "Left alone: pointers in %s to files that are not named by their content: %s",
                self.dataset.pointer_folder,
                ", ".join(foreign),
            )
        return files

    def without_pointer(
        self, store: ObjectStore, repository: Repository, files: Mapping[str, StoredObject]
    ) -> list[StoredObject]:
        """
        Return the files of the history whose pointer git has lost.

        That is: a step wrote the file, as its metadata says, and no commit deleted the pointer.

        :param files: files of the history that git does not point to, by name.
        """
        return [
            file
            for name, file in files.items()
            if (store.metadata(file.uri) or {}).get("run-id")
            and repository.last_change(f"{self.dataset.pointer_folder}/{name}{SUFFIX}", "D") is None
        ]

    def version(
        self, store: ObjectStore, repository: Repository, files: Sequence[StoredObject], folder: Path
    ) -> tuple[str | None, list[str]]:
        """Put content on the DVC remote, then pointers in git; returns git's head and the names added."""
        settings = get_settings()
        remote_uri = settings.dvc_remote_uri
        check_remote(repository, settings.dvc_remote_name, remote_uri)
        versions = self._send_content(store, files, folder / "dvc")
        if not versions:
            return repository.head, []
        pointers = VersionedFolder(
            repository,
            self.dataset.pointer_folder,
            Author(settings.git_author_name, settings.git_author_email, settings.git_signing_key),
            cache(partial(initial_files, folder / "init", settings.dvc_remote_name, remote_uri)),
        )
        committed: list[str] = []
        commit = repository.publish(lambda: committed.extend(pointers.commit_missing(versions)))
        return commit, [version.name for version in versions if version.name in committed]

    def _send_content(self, store: ObjectStore, files: Sequence[StoredObject], folder: Path) -> list[Version]:
        workspace = DvcWorkspace(folder, remote_options(get_settings().dvc_remote_uri, store))
        versions = []
        for file in files:
            local = folder / self.dataset.pointer_folder / file.name
            origin = store.metadata(file.uri)
            if origin is None or not download(store, file.uri, local):
                self.log.info("%s is gone: another run completed it", file.uri)
                continue
            try:
                sha256 = verified_sha256(local, file.uri, file.name)
            except BadInputError as problem:
                self.log.error("%s", problem)
                self._problems.append(str(problem))
                continue
            with passing(CommitPoint.CONTENT_ON_DVC_REMOTE):
                pointer = workspace.push(local)
            versions.append(Version(file.name, pointer, sha256, origin))
            self.log.info("%s is on the DVC remote", file.name)
        return versions

    def with_problems(self, *lines: str) -> str:
        """Return a summary with the first problems after it."""
        rest = len(self._problems) - _SHOWN
        more = [f"and {rest:,} more problems, see the log"] if rest > 0 else []
        return "; ".join([*lines, *self._problems[:_SHOWN], *more])

    def copies_status(self) -> Mapping[str, Any]:
        """Return what the page in Airflow shows of a step that compares the copies."""
        return {"dataset": self.dataset.name, "copies": {"problems": self._problems}}


class VersionWithDvcOperator(DvcOperator):
    """
    Version every accepted file: its content on the DVC remote, then its pointer in git.

    Content goes first, so whatever a commit points to can be pulled. The push of the commit is the
    point from which on the file belongs to the dataset. An accepted file that does not hold what its name
    says is reported and stops no other.

    :param validated: result of the :class:`~feature_ops.datasets.operators.ValidateOperator`. (templated)
    """

    template_fields: Sequence[str] = (*DvcOperator.template_fields, "validated")
    needs: ClassVar[Mapping[str, Needs]] = {"validated": Needs(optional=True)}
    operator_extra_links = (GitCommitLink(), DvcVersionLink())

    def __init__(self, *, validated: Any = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.validated: Mapping[str, Any] | None = validated

    def close_difference(self, store: ObjectStore, repository: Repository, folder: Path) -> Outcome:
        """Version the accepted files, and the files of the history, that git does not point to yet."""
        # What a killed validation accepted may still have to be moved there.
        Acceptance(self.dataset, store).latest()
        there = self.log_foreign_pointers(repository)
        accepted, history = data_files(store, self.dataset.accepted_uri), data_files(store, self.dataset.uri)
        missing = [file for name, file in accepted.items() if name not in there]
        lost = {name: file for name, file in history.items() if name not in there | accepted.keys()}
        missing += self.without_pointer(store, repository, lost)
        if not missing:
            return self._outcome(repository.head, [], f"nothing to version: {_pointing(len(there))}")
        commit, added = self.version(store, repository, missing, folder)
        if not added:
            nothing = _pointing(len(there)) if self._problems else "another run was faster"
            return self._outcome(commit, [], f"nothing to version: {nothing}")
        assert commit
        return self._outcome(commit, added, f"{_files(len(added))} versioned in commit {commit[:8]}")

    def _outcome(self, commit: str | None, added: list[str], summary: str) -> Outcome:
        template = get_settings().git_commit_url
        url = template.replace("{commit}", commit) if template and commit else None
        pointers = [f"{self.dataset.pointer_folder}/{name}{SUFFIX}" for name in added]
        facts = {"commit": commit, "added": added, "pointers": pointers, "commit_url": url}
        return Outcome(self.with_problems(summary), facts)


class UploadToS3Operator(DvcOperator):
    """
    Put every file that git points to under the dataset's prefix, which Feast reads.

    Nothing is ever replaced or removed there. Accepted files go once they are in both places. What the DVC
    remote lacks is restored from the history. A file that no place holds is reported and stops nothing.

    :param versioned: result of the :class:`VersionWithDvcOperator`. (templated)
    """

    template_fields: Sequence[str] = (*DvcOperator.template_fields, "versioned")
    needs: ClassVar[Mapping[str, Needs]] = {"versioned": Needs(nullable=("commit",), optional=True)}

    def __init__(self, *, versioned: Any = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.versioned: Mapping[str, Any] | None = versioned

    def close_difference(self, store: ObjectStore, repository: Repository, folder: Path) -> Outcome:
        """Upload the files of the newest commit that the prefix lacks."""
        self.log_foreign_pointers(repository)
        copies = read_copies(self.dataset, repository, store, get_settings().dvc_remote_uri)
        repair = Repair(store, self.dataset, folder, self._problems)
        uploaded = repair.restore_history(copies)
        restored = repair.restore_remote(copies)
        repair.report(copies, repository)
        for file in copies.files.values():
            if file.accepted and (file.is_in_history or file.name in repair.in_history):
                with passing(CommitPoint.ACCEPTED_FILE_REMOVED):
                    store.delete(file.accepted.uri)
        summary = self._summary(uploaded, restored, copies)
        return Outcome(summary, {"uploaded": uploaded, "commit": repository.head})

    def status(self, outcome: Outcome | None) -> Mapping[str, Any]:
        """What a user must fix."""
        return self.copies_status()

    def _summary(self, uploaded: list[str], restored: list[str], copies: Copies) -> str:
        line = f"{_files(len(uploaded))} uploaded to the history"
        if not uploaded:
            line = f"nothing to upload: the history already holds {_files(len(copies.history))}"
        if restored:
            line += f"; {_files(len(restored))} restored on the DVC remote"
        if copies.unversioned:
            names = ", ".join(sorted(copies.unversioned)[:5])
            line += f"; left alone, as git does not point to them: {names}"
        return self.with_problems(line)


class CheckCopiesOperator(DvcOperator):
    """
    Compare git, the DVC remote and the history by listings, and restore what one of them lacks.

    Fails without a retry if a file is in none of them, and names it with the commit that added it.
    """

    def close_difference(self, store: ObjectStore, repository: Repository, folder: Path) -> Outcome:
        """Restore what can be restored, then report the rest."""
        copies = read_copies(self.dataset, repository, store, get_settings().dvc_remote_uri)
        repair = Repair(store, self.dataset, folder, self._problems)
        in_history, on_remote = repair.restore_history(copies), repair.restore_remote(copies)
        repair.report(copies, repository)
        lost = self.without_pointer(store, repository, copies.unversioned)
        commit, in_git = self.version(store, repository, lost, folder) if lost else (repository.head, [])
        if self._problems:
            raise BadInputError(self.with_problems())
        line = f"git, the DVC remote and the history agree on {_files(len(copies.files))}"
        restored = sorted({*in_history, *on_remote, *in_git})
        if restored:
            line = (
                f"restored {_files(len(in_history))} in the history, {len(on_remote):,} on the DVC remote, "
                f"{len(in_git):,} in git: {', '.join(restored[:5])}"
            )
        return Outcome(line, {"restored": restored, "commit": commit})

    def status(self, outcome: Outcome | None) -> Mapping[str, Any]:
        """What a user must fix."""
        return self.copies_status()


def _files(count: int) -> str:
    return f"{count:,} file{'' if count == 1 else 's'}"


def _pointing(count: int) -> str:
    return f"git already points to {_files(count)}" if count else "no file is accepted yet"
