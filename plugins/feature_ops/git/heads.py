"""A remote repository that is looked at again and again: its heads, and what changed between two."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from time import monotonic

from feature_ops.git.commit_info import CommitInfo
from feature_ops.git.commits import Commits
from feature_ops.git.errors import TooManyPathsError, UnknownRevisionError
from feature_ops.git.path_watch import NO_COMMIT
from feature_ops.work_folder import work_folder


@dataclass(frozen=True)
class Change:
    """
    From one commit to another.

    :param repository: address without user name and password.
    :param paths: what differs, None if the server does not give out the old commit any more, or if there are
        too many paths to list.
    :param new: the commit it leads to.
    """

    repository: str
    old: str
    new: CommitInfo
    paths: tuple[str, ...] | None


class WatchedRepository:
    """
    The repository of a git connection, for whoever looks at it for days.

    Blocks while git works, and is to be used by one thread at a time. After any failure, and now and
    then, it reads the connection again and starts over in an empty scratch folder: so new credentials
    are found, and what an interrupted fetch left behind harms nobody.

    :param git_conn_id: an Airflow connection of type ``git``.
    :param repo_url: another repository on the connection's server.
    :param renewal: seconds after which to start over.
    """

    def __init__(self, git_conn_id: str, repo_url: str | None = None, renewal: float = 600.0) -> None:
        self._git_conn_id = git_conn_id
        self._repo_url = repo_url
        self._renewal = renewal
        self._open = ExitStack()
        self._commits: Commits | None = None
        self._opened_at = 0.0

    @property
    def name(self) -> str:
        """What to call the repository in messages."""
        if self._commits:
            return self._commits.remote.url
        return self._repo_url or f"the repository of the connection {self._git_conn_id}"

    def heads(self) -> dict[str, str]:
        """Return the commit of every branch and tag: one request to the server."""
        if monotonic() - self._opened_at > self._renewal:
            self.close()
        with self._repository() as commits:
            return commits.heads()

    def resolve(self, revision: str) -> str:
        """Return the full hash of a commit, branch or tag, see :meth:`Commits.resolve`."""
        with self._repository() as commits:
            return commits.resolve(revision)

    def change(self, old: str, new: str) -> Change:
        """
        Return what changed between two commits.

        :param old: a commit, or :data:`~feature_ops.git.path_watch.NO_COMMIT`.
        """
        with self._repository() as commits:
            info = commits.info(new)
            return Change(commits.remote.url, old, info, _paths(commits, old, new))

    def close(self) -> None:
        """Remove the scratch folder and forget the credentials."""
        self._commits = None
        self._open.close()

    @contextmanager
    def _repository(self) -> Iterator[Commits]:
        try:
            yield self._commits or self._opened()
        except BaseException:
            self.close()
            raise

    def _opened(self) -> Commits:
        # Costs a second, which nobody pays who only declares a watcher.
        from feature_ops.git.hook import GitRepositoryHook

        hook = GitRepositoryHook(self._git_conn_id, self._repo_url)
        folder = self._open.enter_context(work_folder("git-watch"))
        self._commits = self._open.enter_context(hook.commits(folder))
        self._opened_at = monotonic()
        return self._commits


def _paths(commits: Commits, old: str, new: str) -> tuple[str, ...] | None:
    try:
        if old == NO_COMMIT:
            return tuple(commits.paths(new))
        try:
            commits.fetch(old)
        except UnknownRevisionError:
            return None
        return tuple(commits.changed_paths(old, new))
    except TooManyPathsError:
        return None
