"""Run ssh-keygen and gpg without any user's configuration."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from feature_ops.git.commit_info import one_line
from feature_ops.git.signatures.errors import SignatureSetupError

_SECONDS = 60.0
_PACKAGES = {"ssh-keygen": "openssh-client", "gpg": "gpg"}


@dataclass(frozen=True)
class Done:
    """What a program did."""

    code: int
    output: bytes
    errors: str

    @property
    def reason(self) -> str:
        """The last line that it reported, without its name."""
        lines = [line for line in self.errors.splitlines() if line.strip()]
        return one_line(lines[-1], 200) if lines else ""


def run(folder: Path, *command: str, stdin: bytes = b"") -> Done:
    """
    Run a program with nothing of the environment but ``PATH``.

    :param folder: a scratch directory; the program's home and current folder.
    :raises SignatureSetupError: the program is not installed, or does not end.
    """
    try:
        done = subprocess.run(
            command,
            input=stdin,
            capture_output=True,
            cwd=folder,
            env=_environment(folder),
            timeout=_SECONDS,
            start_new_session=True,
            check=False,
        )
    except FileNotFoundError:
        raise SignatureSetupError(
            f"commits must be signed, but {command[0]} is not installed: install the package "
            f"{_PACKAGES.get(command[0], command[0])}"
        ) from None
    except subprocess.TimeoutExpired:
        raise SignatureSetupError(f"{command[0]} did not end within {_SECONDS:.0f} s; try again") from None
    return Done(done.returncode, done.stdout, done.stderr.decode(errors="replace"))


def written(folder: Path, name: str, content: bytes) -> str:
    """Write a file that a program reads; returns its path."""
    path = folder / name
    path.write_bytes(content)
    return str(path)


def one_of(statuses: Sequence[Sequence[str]], name: str) -> Sequence[str] | None:
    """Return the only status of a name; None if there is none, or more than one."""
    found = [status for status in statuses if status and status[0] == name]
    return found[0] if len(found) == 1 else None


def _environment(folder: Path) -> dict[str, str]:
    return {"PATH": os.environ.get("PATH", os.defpath), "HOME": str(folder), "LC_ALL": "C"}
