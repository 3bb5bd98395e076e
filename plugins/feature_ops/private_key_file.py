"""Files with a private key: they must exist and belong to nobody else."""

from __future__ import annotations

import os
from pathlib import Path

from feature_ops.exceptions import BadInputError


def check_private_key(file: Path, setting: str) -> None:
    """
    Refuse a key file that other users could read, as OpenSSH does.

    A file of another owner is left alone: in a container, root owns mounted secrets.

    :param setting: the environment variable that names the file.
    :raises BadInputError: names the setting and the remedy, never the content.
    """
    try:
        with file.open("rb"):
            state = file.stat()
    except OSError as error:
        raise BadInputError(f"{setting} names {file}, which cannot be read ({error.strerror})") from None
    if state.st_uid == os.getuid() and state.st_mode & 0o077:
        raise BadInputError(f"{setting} names {file}, which other users can read: chmod 600 {file}")
