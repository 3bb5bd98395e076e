"""
DVC's pointers: small YAML files in git, each of which stands for one data file.

Read without importing DVC, since a pointer holds just a name, a hash and a size.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

import yaml

from feature_ops.exceptions import BadInputError

SUFFIX = ".dvc"
# A file of the history is named by the hash of its content.
DATA_FILE = re.compile(r"^[0-9a-f]{20}\.parquet$")
_MD5 = re.compile(r"^[0-9a-f]{32}$")


@dataclass(frozen=True)
class Pointer:
    """
    One file as a pointer describes it.

    :param name: the file's name, beside the pointer.
    :param size: bytes.
    :param legacy: whether DVC before version 3 wrote it, which kept data elsewhere on the remote.
    """

    name: str
    md5: str
    size: int
    legacy: bool = False

    def data_uri(self, remote_uri: str) -> str:
        """Return where on a DVC remote the file's content is."""
        folder = remote_uri if self.legacy else f"{remote_uri}/files/md5"
        return f"{folder}/{self.md5[:2]}/{self.md5[2:]}"


def parse_pointer(path: str, content: bytes) -> Pointer:
    """
    Return what a pointer says; raises :class:`BadInputError` if it does not point to one file.

    :param path: the pointer's path in the repository, for the message.
    """
    try:
        (out,) = yaml.safe_load(content)["outs"]
        pointer = Pointer(str(out["path"]), str(out["md5"]), int(out["size"]), out.get("hash") != "md5")
    except (yaml.YAMLError, TypeError, KeyError, ValueError, AttributeError):
        pointer = None
    if pointer is None or not _MD5.match(pointer.md5) or f"{pointer.name}{SUFFIX}" != path.rsplit("/", 1)[-1]:
        raise BadInputError(
            f"{path} in git is no pointer to the one file beside it; restore it from its first commit and "
            f"push: git checkout $(git log --diff-filter=A --format=%H -1 -- {path}) -- {path}"
        )
    return pointer


def pointed_files(names: list[str]) -> tuple[set[str], list[str]]:
    """
    Split the names in a folder of pointers into the data files they stand for and foreign pointers.

    A pointer is foreign when what it points to is not named by its content: nobody validated that.
    """
    files = [name.removesuffix(SUFFIX) for name in names if name.endswith(SUFFIX)]
    return {name for name in files if DATA_FILE.match(name)}, [n for n in files if not DATA_FILE.match(n)]
