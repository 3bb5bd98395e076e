"""The watched repository, by way of Airflow's git connection."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from airflow.providers.git.hooks.git import GitHook

from feature_ops.exceptions import BadInputError
from feature_ops.git.commits import Commits
from feature_ops.git.remote_url import allowed_url
from feature_ops.git.repository import Remote, Repository
from feature_ops.settings import get_settings

# git runs this as a shell function; the secrets come from its own environment.
_CREDENTIAL_HELPER = (
    '!f() { [ "$1" = get ] || exit 0; '
    'printf "username=%s\\npassword=%s\\n" "$FEATURE_OPS_GIT_USER" "$FEATURE_OPS_GIT_TOKEN"; }; f'
)


class GitRepositoryHook(GitHook):  # type: ignore[misc]  # the provider is not typed
    """
    Opens the repository of a git connection.

    The provider's hook says how to sign in; git then runs as a child with an environment of its own.

    :param git_conn_id: an Airflow connection of type ``git``.
    :param repo_url: another repository on the connection's server; a :class:`BadInputError` is raised
        for any other server, which would be sent the connection's password.
    """

    def __init__(self, git_conn_id: str = "git_default", repo_url: str | None = None) -> None:
        super().__init__(git_conn_id=git_conn_id)
        own_url = self.repo_url
        if not own_url:
            raise BadInputError(f"the connection {git_conn_id} has no Repository URL; set it")
        self.repo_url: str = allowed_url(repo_url or "", own_url, git_conn_id)
        self.conn_id = git_conn_id

    @contextmanager
    def remote(self) -> Iterator[Remote]:
        """Yield the branch that pointers are committed to; it can be signed in to inside the block."""
        with self.configure_hook_env():
            yield Remote(
                url=self.repo_url,
                branch=get_settings().git_branch,
                credentials=dict(self.env),
                secrets=tuple(filter(None, (self.auth_token, self.private_key_passphrase))),
                account=f"the connection {self.conn_id}",
            )

    @contextmanager
    def repository(self, folder: Path) -> Iterator[Repository]:
        """
        Yield the branch with its newest commit not yet fetched.

        :param folder: an empty folder for git's objects.
        """
        with self.remote() as remote:
            yield Repository(folder, remote, timeout=get_settings().git_timeout)

    @contextmanager
    def commits(self, folder: Path) -> Iterator[Commits]:
        """
        Yield the repository's commits, none of them fetched yet.

        :param folder: an empty folder for git's objects.
        """
        with self.remote() as remote:
            yield Commits(folder, remote, timeout=get_settings().git_timeout)

    @contextmanager
    def _token_credential_env(self) -> Iterator[None]:
        """
        Hand the token to git alone.

        The provider's method puts it into ``os.environ`` too, where every other child of this
        process would find it.
        """
        scope = self._extract_credential_scope()
        if self.auth_token and scope.startswith(("http://", "https://")):
            self.env.update(
                {
                    "GIT_CONFIG_COUNT": "2",
                    # The first, empty, silences every other helper.
                    "GIT_CONFIG_KEY_0": f"credential.{scope}.helper",
                    "GIT_CONFIG_VALUE_0": "",
                    "GIT_CONFIG_KEY_1": f"credential.{scope}.helper",
                    "GIT_CONFIG_VALUE_1": _CREDENTIAL_HELPER,
                    "FEATURE_OPS_GIT_USER": self.user_name,
                    "FEATURE_OPS_GIT_TOKEN": self.auth_token,
                }
            )
        yield

    @contextmanager
    def _passphrase_askpass_env(self) -> Iterator[None]:
        """
        Hand the key's passphrase to ssh alone.

        The provider's method writes it into a script and names that in ``os.environ``.
        """
        if not self.private_key_passphrase:
            yield
            return
        with TemporaryDirectory(prefix="feature-ops-askpass-") as folder:
            script = Path(folder) / "askpass"
            script.write_text("#!/bin/sh\nprintf '%s\\n' \"$FEATURE_OPS_GIT_PASSPHRASE\"\n")
            script.chmod(0o700)
            self.env.update(
                {
                    "SSH_ASKPASS": str(script),
                    "SSH_ASKPASS_REQUIRE": "force",
                    "DISPLAY": ":",
                    "FEATURE_OPS_GIT_PASSPHRASE": self.private_key_passphrase,
                }
            )
            yield
