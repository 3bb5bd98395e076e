"""Export a folder of a commit of a local repository, by git's plumbing: no work tree is touched."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

from feature_ops.exceptions import BadInputError
from feature_ops.git.command import Git
from feature_ops.git.signatures.allowed_signers import AllowedSigners
from feature_ops.git.signatures.graph import CommitGraph
from feature_ops.git.signatures.policy import Span, refuse_unsigned
from feature_ops.git.tree_files import TreeFiles


class LocalRepository:
    """
    A repository on this machine, bare or with a work tree.

    :param folder: any folder in it.
    """

    def __init__(self, folder: Path) -> None:
        self._git = Git(_git_folder(folder))
        self._folder = folder

    def resolve(self, revision: str) -> str:
        """Return the full hash of a commit; raises :class:`BadInputError` if there is none."""
        code, output, _ = self._git.attempt(
            "rev-parse", "--verify", "--quiet", "--end-of-options", f"{revision}^{{commit}}"
        )
        if code != 0:
            raise BadInputError(
                f"{self._folder} has no commit {revision!r}: correct it, or fetch it first "
                "(in CI: check out with the whole history)"
            )
        return output.decode().strip()

    def require_signatures(
        self, old: str, new: str, path: str, allowed_signers: Sequence[Path], scratch: Path
    ) -> None:
        """
        Refuse a commit unless allowed signers have signed each change of a folder.

        :param old: the commit that the change starts from; it needs no signature.
        :param allowed_signers: allowed-signers files of SSH keys, and GPG key rings.
        :param scratch: a folder that does not exist yet.
        :raises UnsignedCommitError: names the commits and their authors.
        """
        signers = AllowedSigners.read(allowed_signers, scratch)
        span = Span(head=new, applied=old, trusted=None, folders=(_inner(path),))
        refuse_unsigned(CommitGraph(self._git), span, signers)

    def export(self, commit: str, path: str, folder: Path) -> None:
        """
        Write the files under a folder of a commit, as :meth:`feature_ops.git.commits.Commits.export` does.

        :param folder: a folder that is empty or missing.
        """
        TreeFiles.listed(self._git, _inner(path), commit).write(folder)


def _inner(path: str) -> str:
    parts = [part for part in PurePosixPath(path).parts if part not in ("/", ".")]
    if ".." in parts:
        raise BadInputError(f"--path {path!r} leads out of the repository")
    return "/".join(parts)


def _git_folder(folder: Path) -> Path:
    """
    Find git's own folder; it is given to git by name, so that git asks not whose it is.

    In CI, the repository often belongs to another user than the one who reads it.
    """
    for place in (folder.resolve(), *folder.resolve().parents):
        if (place / "HEAD").is_file() and (place / "objects").is_dir():
            return place
        if (place / ".git").is_dir():
            return place / ".git"
        if (place / ".git").is_file():
            named = re.match(r"gitdir: (.+)", (place / ".git").read_text())
            if named:
                return (place / named[1].strip()).resolve()
    raise BadInputError(f"{folder} is in no git repository: say with --repo where it is")
