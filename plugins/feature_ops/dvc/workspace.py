"""
DVC at work on one file, in a scratch folder of its own.

The folder is a DVC workspace without git: what DVC does there costs the same however many files
are versioned already, and nobody's committed configuration can lead it elsewhere.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from feature_ops.exceptions import FeatureOpsError
from feature_ops.git.command import scrub
from feature_ops.object_store import ObjectStore

_REMOTE = "remote"


def remote_options(remote_uri: str, store: ObjectStore) -> dict[str, str]:
    """
    Return a DVC remote's options, sign-in included; they are for memory, never for a file.

    :param remote_uri: the remote's address; the store's sign-in goes with an ``s3://`` one only.
    """
    options: dict[str, str | None] = {"url": remote_uri}
    if remote_uri.startswith("s3://"):
        options |= {
            "access_key_id": store.access_key,
            "secret_access_key": store.secret_key,
            "session_token": store.session_token,
            "region": store.region,
            "endpointurl": store.endpoint_url,
        }
    return {name: value for name, value in options.items() if value}


class DvcWorkspace:
    """
    A scratch folder in which DVC takes files and sends them to a remote.

    :param folder: an empty folder; DVC's caches are in it too, and go with it.
    :param options: the remote's options, see :func:`remote_options`.
    """

    def __init__(self, folder: Path, options: Mapping[str, str]) -> None:
        self._folder = folder
        endpoint = options.get("endpointurl")
        self._place = f"{options['url']} at {endpoint}" if endpoint else options["url"]
        self._secrets = tuple(
            value for name, value in options.items() if name in {"secret_access_key", "session_token"}
        )
        self._config = {
            "core": {"remote": _REMOTE, "no_scm": True, "analytics": False, "check_update": False},
            "cache": {"type": "hardlink,copy"},
            "remote": {_REMOTE: dict(options)},
        }

    def push(self, file: Path) -> bytes:
        """
        Send a file to the remote, unless it is there, and return its pointer's content.

        :param file: a file anywhere in the workspace's folder.
        """
        with _dvc_environment(self._folder):
            from dvc.repo import Repo

            # All that `dvc init` would make beyond it is a configuration, which is handed over.
            (self._folder / ".dvc").mkdir(exist_ok=True)
            try:
                with Repo(str(self._folder), config=self._config) as repo:
                    repo.add(str(file))
                    repo.push(targets=[f"{file}.dvc"])
            except Exception as error:  # of DVC, of the S3 client, or of the network
                raise FeatureOpsError(
                    f"DVC could not send {file.name} to {self._place}: {type(error).__name__}: "
                    f"{scrub(str(error.__cause__ or error), self._secrets)}; "
                    "does the object store run, is the bucket there, and may the object store's connection "
                    "write to it? Then try again"
                ) from None
        return file.with_name(f"{file.name}.dvc").read_bytes()


def initial_files(folder: Path, remote_name: str, remote_uri: str) -> dict[str, bytes]:
    """
    Return, by path, what ``dvc init`` and a default remote put into a git repository.

    :param folder: a scratch folder that is not there yet.
    """
    with _dvc_environment(folder):
        from dulwich.repo import Repo as GitRepo
        from dvc.repo import Repo

        GitRepo.init(str(folder), mkdir=True).close()
        with Repo.init(str(folder)) as repo, repo.config.edit() as config:
            config["core"]["remote"] = remote_name
            config[_REMOTE][remote_name] = {"url": remote_uri}
    names = (".dvc/config", ".dvc/.gitignore", ".dvcignore")
    return {name: (folder / name).read_bytes() for name in names}


@contextmanager
def _dvc_environment(folder: Path) -> Iterator[None]:
    """Keep DVC from reading a user's configuration, sharing caches, and talking."""
    values = {
        "DVC_NO_ANALYTICS": "1",
        "DVC_SITE_CACHE_DIR": str(folder / ".dvc-site-cache"),
        "DVC_GLOBAL_CONFIG_DIR": str(folder / ".dvc-no-config"),
        "DVC_SYSTEM_CONFIG_DIR": str(folder / ".dvc-no-config"),
    }
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    import dvc  # sets up its logger

    logger = logging.getLogger(dvc.__name__)
    level = logger.level
    # "You can now commit the changes to git" is no advice for a reader of a task's log.
    logger.setLevel(logging.WARNING)
    try:
        yield
    finally:
        logger.setLevel(level)
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
