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
from feature_ops.dvc.data_files import download, verified_sha256
from feature_ops.dvc.pointers import DATA_FILE, SUFFIX, Pointer, parse_pointer, pointed_files
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

    def data_files(self, store: ObjectStore, prefix_uri: str) -> dict[str, StoredObject]:
        """Return the data files under a prefix by name, in the order in which they came."""
        files = sorted(store.list(prefix_uri), key=lambda file: (file.modified, file.name))
        # By the whole path: a folder below the prefix is not the prefix.
        return {
            file.name: file
            for file in files
            if file.uri == prefix_uri + file.name and DATA_FILE.match(file.name)
        }

    def pointed_files(self, repository: Repository) -> set[str]:
        """Return the names of the data files that git points to."""
        files, foreign = pointed_files(repository.names(self.dataset.pointer_folder))
        if foreign:
            self.log.warning(
                "Left alone: pointers in %s to files that are not named by their content: %s",
                self.dataset.pointer_folder,
                ", ".join(foreign),
            )
        return files


class VersionWithDvcOperator(DvcOperator):
    """
    Version every accepted file: its content on the DVC remote, then its pointer in git.

    Content goes first, so whatever a commit points to can be pulled. The push of the commit is the
    point from which on the file belongs to the dataset.

    :param validated: result of the :class:`~feature_ops.datasets.operators.ValidateOperator`. (templated)
    """

    template_fields: Sequence[str] = (*DvcOperator.template_fields, "validated")
    needs: ClassVar[Mapping[str, Needs]] = {"validated": Needs(optional=True)}
    operator_extra_links = (GitCommitLink(), DvcVersionLink())

    def __init__(self, *, validated: Any = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.validated: Mapping[str, Any] | None = validated

    def close_difference(self, store: ObjectStore, repository: Repository, folder: Path) -> Outcome:
        """Version the accepted files that git does not point to yet."""
        # What a killed validation accepted may still have to be moved there.
        Acceptance(self.dataset, store).latest()
        there = self.pointed_files(repository)
        accepted = self.data_files(store, self.dataset.accepted_uri)
        missing = [file for name, file in accepted.items() if name not in there]
        if not missing:
            return self._outcome(repository.head, [], f"nothing to version: {_pointing(len(there))}")
        settings = get_settings()
        remote_uri = settings.dvc_remote_uri
        check_remote(repository, settings.dvc_remote_name, remote_uri)
        versions = self._send_content(store, missing, folder / "dvc")
        pointers = VersionedFolder(
            repository,
            self.dataset.pointer_folder,
            Author(settings.git_author_name, settings.git_author_email),
            cache(partial(initial_files, folder / "init", settings.dvc_remote_name, remote_uri)),
        )
        committed: list[str] = []
        commit = repository.publish(lambda: committed.extend(pointers.commit_missing(versions)))
        added = [version.name for version in versions if version.name in committed]
        if not added:
            return self._outcome(commit, [], "nothing to version: another run was faster")
        assert commit
        return self._outcome(commit, added, f"{_files(len(added))} versioned in commit {commit[:8]}")

    def _send_content(self, store: ObjectStore, files: list[StoredObject], folder: Path) -> list[Version]:
        workspace = DvcWorkspace(folder, remote_options(get_settings().dvc_remote_uri, store))
        versions = []
        for file in files:
            local = folder / self.dataset.pointer_folder / file.name
            origin = store.metadata(file.uri)
            if origin is None or not download(store, file.uri, local):
                self.log.info("%s is gone: another run completed it", file.uri)
                continue
            sha256 = verified_sha256(local, file.uri, file.name)
            with passing(CommitPoint.CONTENT_ON_DVC_REMOTE):
                pointer = workspace.push(local)
            versions.append(Version(file.name, pointer, sha256, origin))
            self.log.info("%s is on the DVC remote", file.name)
        return versions

    def _outcome(self, commit: str | None, added: list[str], summary: str) -> Outcome:
        template = get_settings().git_commit_url
        url = template.replace("{commit}", commit) if template and commit else None
        pointers = [f"{self.dataset.pointer_folder}/{name}{SUFFIX}" for name in added]
        return Outcome(summary, {"commit": commit, "added": added, "pointers": pointers, "commit_url": url})


class UploadToS3Operator(DvcOperator):
    """
    Put every file that git points to under the dataset's prefix, which Feast reads.

    Nothing is ever replaced or removed there. Accepted files go once they are in both places.

    :param versioned: result of the :class:`VersionWithDvcOperator`. (templated)
    """

    template_fields: Sequence[str] = (*DvcOperator.template_fields, "versioned")
    needs: ClassVar[Mapping[str, Needs]] = {"versioned": Needs(nullable=("commit",), optional=True)}

    def __init__(self, *, versioned: Any = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.versioned: Mapping[str, Any] | None = versioned

    def close_difference(self, store: ObjectStore, repository: Repository, folder: Path) -> Outcome:
        """Upload the files of the newest commit that the prefix lacks."""
        wanted = self.pointed_files(repository)
        there = set(self.data_files(store, self.dataset.uri))
        accepted = self.data_files(store, self.dataset.accepted_uri)
        uploaded, problems = [], []
        for name, content in self._pointers(repository, wanted - there).items():
            try:
                pointer = parse_pointer(f"{self.dataset.pointer_folder}/{name}{SUFFIX}", content)
                sources = [accepted[name].uri] if name in accepted else []
                if self._upload(store, pointer, sources, folder):
                    uploaded.append(name)
                there.add(name)
            except BadInputError as problem:
                problems.append(str(problem))
        for name in accepted.keys() & wanted & there:
            with passing(CommitPoint.ACCEPTED_FILE_REMOVED):
                store.delete(accepted[name].uri)
        if problems:
            # Only now, so that one bad pointer does not hold up the other files.
            raise BadInputError("; ".join(problems))
        return Outcome(
            self._summary(uploaded, wanted, there), {"uploaded": uploaded, "commit": repository.head}
        )

    def _pointers(self, repository: Repository, names: set[str]) -> dict[str, bytes]:
        folder = self.dataset.pointer_folder
        contents = repository.read(f"{folder}/{name}{SUFFIX}" for name in sorted(names))
        return {path.rsplit("/", 1)[-1].removesuffix(SUFFIX): content for path, content in contents.items()}

    def _upload(self, store: ObjectStore, pointer: Pointer, sources: list[str], folder: Path) -> bool:
        local = folder / pointer.name
        sources = [*sources, pointer.data_uri(get_settings().dvc_remote_uri)]
        found = next((uri for uri in sources if download(store, uri, local)), None)
        if found is None:
            raise BadInputError(
                f"git points to {pointer.name}, whose content is not on the DVC remote ({sources[-1]}): "
                f"`dvc push` it from a clone that has it, or remove its pointer "
                f"{self.dataset.pointer_folder}/{pointer.name}{SUFFIX} and ingest its source again"
            )
        verified_sha256(local, found, pointer.name, pointer)
        origin = store.metadata(found)
        with passing(CommitPoint.FILE_IN_HISTORY):
            written = store.put_file_once(str(local), f"{self.dataset.uri}{pointer.name}", origin)
        local.unlink()
        self.log.info("%s is in the history, from %s", pointer.name, found)
        return written

    def _summary(self, uploaded: list[str], wanted: set[str], there: set[str]) -> str:
        line = f"{_files(len(uploaded))} uploaded to the history"
        if not uploaded:
            line = f"nothing to upload: the history already holds {_files(len(there))}"
        unversioned = sorted(there - wanted)
        if unversioned:
            line += f"; left alone, as git does not point to them: {', '.join(unversioned[:5])}"
        return line


def _files(count: int) -> str:
    return f"{count:,} file{'' if count == 1 else 's'}"


def _pointing(count: int) -> str:
    return f"git already points to {_files(count)}" if count else "no file is accepted yet"
