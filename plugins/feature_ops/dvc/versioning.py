"""What a version is in git: a pointer per data file, and DVC's own files once."""

from __future__ import annotations

import configparser
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from feature_ops.dvc.pointers import SUFFIX
from feature_ops.exceptions import BadInputError
from feature_ops.git.repository import Author, Repository

CONFIG = ".dvc/config"
IGNORED = "/*.parquet"


@dataclass(frozen=True)
class Version:
    """
    A data file whose content is on the DVC remote, and what its commit says of it.

    :param name: the file's name.
    :param pointer: the content of its pointer.
    :param origin: facts of where it came from (``run-id``, ``source``, ``rows``), as far as known.
    """

    name: str
    pointer: bytes
    sha256: str
    origin: Mapping[str, str]


class VersionedFolder:
    """
    The folder of a dataset's pointers on a branch.

    :param folder: such as ``data/song_properties``.
    :param initial_files: makes DVC's own files, for a repository without them.
    """

    def __init__(
        self,
        repository: Repository,
        folder: str,
        author: Author,
        initial_files: Callable[[], dict[str, bytes]],
    ) -> None:
        self._repository = repository
        self._folder = folder
        self._author = author
        self._initial_files = initial_files

    def commit_missing(self, versions: list[Version]) -> list[str]:
        """Commit each version that the branch lacks; returns their names."""
        there = set(self._repository.names(self._folder))
        missing = [version for version in versions if f"{version.name}{SUFFIX}" not in there]
        if missing:
            self._commit_initial_files()
        for version in missing:
            files = {f"{self._folder}/{version.name}{SUFFIX}": version.pointer, **self._ignore_file()}
            self._repository.commit(files, commit_message(version, self._folder), self._author)
        return [version.name for version in missing]

    def _commit_initial_files(self) -> None:
        if CONFIG in self._repository.read([CONFIG]):
            return
        files = dict(self._initial_files())
        # What somebody else put there already is not ours to replace.
        for path in self._repository.read(files):
            del files[path]
        self._repository.commit(files, "data: initialize DVC\n", self._author)

    def _ignore_file(self) -> dict[str, bytes]:
        """
        Return the ``.gitignore`` that keeps data files out of git, if it has to change.

        One line for all files: DVC's line per file would make every two writers conflict.
        """
        path = f"{self._folder}/.gitignore"
        content = self._repository.read([path]).get(path, b"")
        if IGNORED.encode() in content.splitlines():
            return {}
        separator = b"" if not content or content.endswith(b"\n") else b"\n"
        return {path: content + separator + f"{IGNORED}\n".encode()}


def check_remote(repository: Repository, remote_name: str, remote_uri: str) -> None:
    """
    Raise :class:`BadInputError` if a plain ``dvc pull`` would look for our files elsewhere.

    A repository without DVC is fine: it is about to get our remote.
    """
    content = repository.read([CONFIG]).get(CONFIG)
    if content is None:
        return
    config = configparser.ConfigParser(interpolation=None, strict=False)
    try:
        config.read_string(content.decode())
        default = _value(config, "core", "remote")
        address = _value(config, f"'remote \"{default}\"'", "url")
    except (configparser.Error, UnicodeDecodeError):
        raise BadInputError(f"{CONFIG} in git is no configuration of DVC; repair it and commit") from None
    if address.rstrip("/") != remote_uri:
        raise BadInputError(
            f"{CONFIG} in git sends `dvc pull` to {address or 'no default remote'}, but versions are kept at "
            f"{remote_uri}: commit `dvc remote add -f -d {remote_name} {remote_uri}`, "
            "or set FEATURE_OPS_DVC_REMOTE_URI"
        )


def _value(config: configparser.ConfigParser, section: str, option: str) -> str:
    return config.get(section, option, fallback="").strip("\"'")


def commit_message(version: Version, folder: str) -> str:
    """Return the message of a version's commit: one line for people, trailers for programs."""
    rows = version.origin.get("rows", "")
    count = f"{int(rows):,} new row{'' if rows == '1' else 's'}" if rows.isdecimal() else "new rows"
    trailers = {
        "Run-Id": version.origin.get("run-id"),
        "Source": version.origin.get("source"),
        "Content-SHA256": version.sha256,
        "Rows": rows,
    }
    # A trailer is one line, whatever a source's name holds.
    lines = [f"{name}: {' '.join(value.split())}" for name, value in trailers.items() if value]
    short = f"{version.name.partition('.')[0][:8]}….parquet"
    return f"data: {count} in {folder.rsplit('/', 1)[-1]} ({short})\n\n" + "\n".join(lines) + "\n"
