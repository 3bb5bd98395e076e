"""
The git server's WSGI application.

``/<name>.git/...`` is git's smart HTTP, answered by git's own `git http-backend` after a check of
the password, so that hooks and settings of a repository hold as on any git server. All else is
klaus, a web view of the repositories.

Read from the environment: ``GIT_SERVER_FOLDER``, with the bare repositories, and
``GIT_SERVER_PASSWORD_FILE``, with ``login:password``.
"""

from __future__ import annotations

import base64
import hmac
import os
import re
import subprocess
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from threading import Lock, Thread
from typing import Any

Environ = dict[str, Any]
StartResponse = Callable[..., Any]

# Only what the smart protocol needs: no file of a repository can be fetched by its name.
SMART_HTTP = re.compile(r"^/[A-Za-z0-9_][A-Za-z0-9._-]*\.git/(info/refs|git-upload-pack|git-receive-pack)$")
CHUNK = 64 * 1024


class GitHttp:
    """
    Smart HTTP with basic authentication; other paths go to the web view.

    :param folder: holds the bare repositories.
    :param credentials: ``login:password``.
    """

    def __init__(self, folder: Path, credentials: str) -> None:
        self._folder = folder
        self._expected = "Basic " + base64.b64encode(credentials.encode()).decode()
        self._web_view = WebView(folder)

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        """Answer one request."""
        if not SMART_HTTP.match(environ["PATH_INFO"]):
            return self._web_view(environ, start_response)
        given = environ.get("HTTP_AUTHORIZATION", "")
        if not hmac.compare_digest(given.encode(), self._expected.encode()):
            start_response("401 Unauthorized", [("WWW-Authenticate", 'Basic realm="git"')])
            return [b"The login or the password is wrong.\n"]
        return self._smart_http(environ, start_response)

    def _smart_http(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        backend = subprocess.Popen(
            ["git", "http-backend"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=self._cgi_environment(environ),
        )
        assert backend.stdin
        assert backend.stdout
        # In a thread, since git begins to answer before it has read everything.
        Thread(target=_copy, args=(environ["wsgi.input"], backend.stdin), daemon=True).start()
        status, headers = "200 OK", []
        for line in iter(backend.stdout.readline, b"\r\n"):
            if not line:
                break
            name, _, value = line.decode("latin-1").strip().partition(": ")
            if name.lower() == "status":
                status = value
            else:
                headers.append((name, value))
        start_response(status, headers)
        return _body(backend)

    def _cgi_environment(self, environ: Environ) -> dict[str, str]:
        names = (
            "REQUEST_METHOD",
            "QUERY_STRING",
            "CONTENT_TYPE",
            "CONTENT_LENGTH",
            "REMOTE_ADDR",
            "PATH_INFO",
        )
        request = {name: str(environ[name]) for name in names if environ.get(name)}
        headers = {
            name: environ[name] for name in ("HTTP_CONTENT_ENCODING", "HTTP_GIT_PROTOCOL") if name in environ
        }
        if "HTTP_GIT_PROTOCOL" in headers:
            headers["GIT_PROTOCOL"] = headers["HTTP_GIT_PROTOCOL"]
        return {
            "PATH": os.environ["PATH"],
            "GIT_PROJECT_ROOT": str(self._folder),
            "GIT_HTTP_EXPORT_ALL": "1",
            "GIT_CONFIG_NOSYSTEM": "1",
            "REMOTE_USER": "jukebox",
            "QUERY_STRING": "",
            **request,
            **headers,
        }


class WebView:
    """Klaus, loaded again when a repository was added."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._lock = Lock()
        self._shown: list[str] = []
        self._application: Any = None

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        """Answer one request."""
        answer: Iterable[bytes] = self._current()(environ, start_response)
        return answer

    def _current(self) -> Any:
        from klaus import make_app

        with self._lock:
            there = sorted(str(path) for path in self._folder.glob("*.git") if (path / "HEAD").exists())
            if self._application is None or there != self._shown:
                self._application, self._shown = make_app(there, "Jukebox"), there
            return self._application


def _copy(source: Any, target: Any) -> None:
    # git or the client may go away: the answer says so.
    with suppress(OSError), target:
        while chunk := source.read(CHUNK):
            target.write(chunk)


def _body(backend: subprocess.Popen[bytes]) -> Iterator[bytes]:
    assert backend.stdout
    try:
        while chunk := backend.stdout.read1(CHUNK):  # type: ignore[attr-defined]
            yield chunk
    finally:
        backend.stdout.close()
        backend.wait()


def application(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    """Answer one request; what gunicorn is given."""
    return _served()(environ, start_response)


def _served(_cache: list[GitHttp] = []) -> GitHttp:  # noqa: B006 - one per process
    if not _cache:
        credentials = Path(os.environ["GIT_SERVER_PASSWORD_FILE"]).read_text()
        _cache.append(GitHttp(Path(os.environ["GIT_SERVER_FOLDER"]), credentials))
    return _cache[0]
