"""
git as a child process in an environment of its own.

Nothing of the parent's environment or of any user's configuration reaches it, and no secret is
in its arguments, in what it writes, or in the errors raised from here.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import tempfile
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote

from feature_ops.git.errors import GitError, NoRepositoryError, UnreachableError, WrongCredentialsError
from feature_ops.masking import without_user_info

# What a child needs to find programs, trust certificates and pass a proxy.
_KEPT = (
    *("PATH", "TMPDIR"),
    *("SSL_CERT_FILE", "SSL_CERT_DIR", "GIT_SSL_CAINFO", "GIT_SSL_CAPATH", "CURL_CA_BUNDLE"),
    *("http_proxy", "https_proxy", "all_proxy", "no_proxy"),
    *("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY"),
)

_FIXED = {
    "GIT_ALLOW_PROTOCOL": "https:http:ssh:git:file",
    "GIT_CONFIG_GLOBAL": os.devnull,
    "GIT_CONFIG_NOSYSTEM": "1",
    # A hash names one object: nothing in a repository replaces it or gives it other parents.
    "GIT_GRAFT_FILE": os.devnull,
    "GIT_NO_REPLACE_OBJECTS": "1",
    "GIT_TERMINAL_PROMPT": "0",
    # Errors are told apart by git's words.
    "LC_ALL": "C",
}

_CONFIGURATION = (
    *("-c", "gc.auto=0", "-c", "maintenance.auto=false", "-c", f"core.hooksPath={os.devnull}"),
    # A server that sends less than a byte a second for a minute is gone.
    *("-c", "http.lowSpeedLimit=1", "-c", "http.lowSpeedTime=60"),
)

_MAX_ERRORS = 64 * 1024

_ERRORS: tuple[tuple[type[GitError], str], ...] = (
    (
        WrongCredentialsError,
        r"Authentication failed|could not read (Username|Password)|returned error: 40[13]"
        r"|Permission denied \(|Host key verification failed",
    ),
    (
        NoRepositoryError,
        r"repository '.*' not found|does not appear to be a git repository|returned error: 404"
        r"|does not exist|Repository not found",
    ),
    (
        UnreachableError,
        r"unable to access|Could not resolve|[Cc]onnection (refused|reset|timed out)|early EOF"
        r"|hung up unexpectedly|RPC failed|Could not read from remote repository",
    ),
)


def scrub(text: str, secrets: tuple[str, ...] = ()) -> str:
    """Return the text without the secrets, plain or percent-encoded, and without user info in URLs."""
    for secret in secrets:
        for spelling in (secret, quote(secret, safe=""), quote(secret)):
            text = text.replace(spelling, "***")
    return without_user_info(text)


def git_error(output: str) -> GitError:
    """Return the error that git's output tells of."""
    kind = next((kind for kind, words in _ERRORS if re.search(words, output)), GitError)
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    told = [line for line in lines if line.startswith(("fatal:", "error:", "remote:"))]
    remedy = "; check that the git server runs and can be reached, then try again"
    reason = " | ".join((told or lines or ["no reason was given"])[:5])
    return kind(f"git: {reason}{remedy if kind is UnreachableError else ''}")


@dataclass(frozen=True)
class Git:
    """
    Runs git.

    :param folder: the repository's own folder (bare); also the child's home, so it finds no other.
    :param credentials: environment variables by which git signs in.
    :param secrets: what must not be in any error.
    :param timeout: seconds that one command may take.
    """

    folder: Path
    credentials: Mapping[str, str] = field(default_factory=dict, repr=False)
    secrets: tuple[str, ...] = field(default=(), repr=False)
    timeout: float = 120.0

    def environment(self) -> dict[str, str]:
        """Return everything the child sees."""
        kept = {name: os.environ[name] for name in _KEPT if name in os.environ}
        own = {"HOME": str(self.folder), "GIT_DIR": str(self.folder)}
        return {**kept, **_FIXED, **own, **self.credentials}

    def run(self, *arguments: str, stdin: bytes = b"", extra: Mapping[str, str] | None = None) -> bytes:
        """
        Return what git printed; raises the :class:`GitError` that its words tell of.

        :param extra: further environment variables of this one command.
        """
        code, output, errors = self.attempt(*arguments, stdin=stdin, extra=extra)
        if code != 0:
            raise git_error(errors)
        return output

    def attempt(
        self, *arguments: str, stdin: bytes = b"", extra: Mapping[str, str] | None = None
    ) -> tuple[int, bytes, str]:
        """Return exit code, output and scrubbed error text; raises only when git ran out of time."""
        child = self._start(arguments, extra)
        try:
            output, errors = child.communicate(stdin, timeout=self.timeout)
        except subprocess.TimeoutExpired:
            raise UnreachableError(
                f"git {arguments[0]} did not end within {self.timeout:.0f} s; "
                "is the server slow? FEATURE_OPS_GIT_TIMEOUT says how long to wait"
            ) from None
        finally:
            _end(child)
        return child.returncode, output, scrub(errors.decode(errors="replace"), self.secrets)

    def attempt_first(self, count: int, seconds: float, *arguments: str) -> tuple[int | None, bytes, str]:
        """
        Return exit code, the first so many bytes of the output, and scrubbed error text.

        For output of any length, of which no more than that is held. The code is None if git was ended,
        since it had more to print, or after so many seconds.
        """
        with tempfile.TemporaryFile() as errors:
            child = self._start(arguments, errors=errors.fileno())
            assert child.stdin
            assert child.stdout
            late = threading.Timer(seconds, child.kill)
            late.start()
            try:
                with child.stdin, child.stdout:
                    output = child.stdout.read(count)
                    code = child.wait() if len(output) < count else None
            finally:
                late.cancel()
                _end(child)
            errors.seek(0)
            text = scrub(errors.read(_MAX_ERRORS).decode(errors="replace"), self.secrets)
        return (None if code is not None and code < 0 else code), output, text

    def _start(
        self,
        arguments: Sequence[str],
        extra: Mapping[str, str] | None = None,
        errors: int = subprocess.PIPE,
    ) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            ["git", *_CONFIGURATION, *arguments],
            env={**self.environment(), **(extra or {})},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            cwd=self.folder,
            # git leaves the talking to children of its own: all must end together.
            start_new_session=True,
        )


def _end(child: subprocess.Popen[bytes]) -> None:
    if child.poll() is None:
        os.killpg(child.pid, signal.SIGKILL)
        child.wait()


def batch_contents(output: bytes) -> list[bytes]:
    """Return the contents in the output of ``git cat-file --batch``."""
    contents, position = [], 0
    while position < len(output):
        end = output.index(b"\n", position)
        size = int(output[position:end].split()[2])
        contents.append(output[end + 1 : end + 1 + size])
        position = end + 1 + size + 1
    return contents
