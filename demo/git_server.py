"""Git over HTTP with a password, and a web view of commits."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from demo.credentials import write_private
from demo.processes import clean_environment
from demo.site import Site
from demo.waiting import wait_until

LOGIN = "jukebox"


class GitServer:
    """
    Bare repositories behind git's own smart HTTP, see :mod:`demo.git_http`.

    Cloning and pushing need the password; the web view is open, on loopback only.
    """

    def __init__(self, site: Site) -> None:
        self._site = site
        self.login = LOGIN
        self.password = site.credentials.secret("git")
        self._port = site.ports.find("git")
        self._repositories = site.folder("git")

    @property
    def url(self) -> str:
        """The address of the list of repositories."""
        return f"http://127.0.0.1:{self._port}"

    def start(self) -> None:
        """Start the server and wait until it answers."""
        password_file = self._site.home / "git.password"
        write_private(password_file, f"{self.login}:{self.password}")
        command = [sys.executable, "-m", "gunicorn", "--bind", f"127.0.0.1:{self._port}"]
        command += ["--worker-class", "gthread", "--workers", "1", "--threads", "16", "--timeout", "120"]
        command += [
            "--no-control-socket",
            "--chdir",
            str(Path(__file__).parents[1]),
            "demo.git_http:application",
        ]
        child = self._site.processes.start(
            "git",
            command,
            environment=clean_environment(
                GIT_SERVER_FOLDER=str(self._repositories), GIT_SERVER_PASSWORD_FILE=str(password_file)
            ),
        )

        def answers() -> bool:
            from urllib.request import urlopen

            child.check()
            with urlopen(self.url, timeout=10) as response:  # noqa: S310 - our own address
                return bool(response.status == 200)

        wait_until(answers, "the git server answers", timeout=60, remedy=f"see {child.log}")

    def create_repository(self, name: str) -> str:
        """Create a bare repository with branch main unless it exists; returns its HTTP URL."""
        path = self._repositories / f"{name}.git"
        subprocess.run(
            ["git", "-c", "init.defaultBranch=main", "init", "--quiet", "--bare", str(path)],
            check=True,
            env=clean_environment(),
        )
        for setting in (
            "http.receivepack=true",
            "receive.denyNonFastForwards=true",
            "receive.denyDeletes=true",
        ):
            key, value = setting.split("=")
            subprocess.run(
                ["git", "-C", str(path), "config", key, value], check=True, env=clean_environment()
            )
        return f"{self.url}/{name}.git"

    def commit_url(self, name: str) -> str:
        """Return the web address of a repository's commits, with ``{commit}`` for the hash."""
        return f"{self.url}/{name}/commit/{{commit}}/"

    def file_url(self, name: str) -> str:
        """Return the web address of a repository's files, with ``{commit}`` and ``{path}``."""
        return f"{self.url}/{name}/blob/{{commit}}/{{path}}"
