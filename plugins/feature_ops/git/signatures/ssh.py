"""SSH signatures, verified by ssh-keygen against an allowed-signers file."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from feature_ops.git.commit_info import one_line
from feature_ops.git.signatures.errors import InvalidSignatureError
from feature_ops.git.signatures.programs import Done, run, written
from feature_ops.git.signatures.signed_commit import SignedCommit

# The namespace of git's signatures: one that the same key made of a file or an e-mail does not count.
_NAMESPACE = "git"
_KEY = re.compile(r"with (\S+ key SHA256:\S+)")


@dataclass(frozen=True)
class SshSigners:
    """
    An allowed-signers file, see ``ssh-keygen(1)``.

    Keys must be valid now (``valid-after``, ``valid-before``): the date of a commit is chosen by whoever made
    it. If a key's principals are e-mail addresses, the committer's address must be one of them.

    :param content: of the file.
    :param folder: an empty scratch directory.
    """

    content: bytes
    folder: Path

    def verify(self, commit: SignedCommit) -> str:
        """
        Return the signer: principal and key.

        :raises InvalidSignatureError: no allowed signer made the signature.
        """
        signers = written(self.folder, "allowed_signers", self.content)
        signature = written(self.folder, "signature", commit.signature)
        found = run(self.folder, "ssh-keygen", "-Y", "find-principals", "-f", signers, "-s", signature)
        principals = found.output.decode(errors="replace").splitlines()
        if found.code != 0 or not principals:
            raise InvalidSignatureError(self._why_not(commit, signature, found))
        has_addresses = any("@" in principal for principal in principals)
        identity = commit.committer if has_addresses else principals[0]
        done = run(
            self.folder,
            *("ssh-keygen", "-Y", "verify", "-f", signers, "-I", identity, "-n", _NAMESPACE, "-s", signature),
            stdin=commit.payload,
        )
        if done.code == 0:
            return f"{one_line(identity, 100)} ({_key(done)})"
        if not self._is_good(commit, signature):
            raise InvalidSignatureError("its signature does not match its content")
        raise InvalidSignatureError(
            f"its key is that of {one_line(', '.join(principals), 200)}, which may not sign commits of "
            f"{one_line(identity, 100) or 'an unknown committer'}"
        )

    def _why_not(self, commit: SignedCommit, signature: str, found: Done) -> str:
        if not self._is_good(commit, signature):
            return "its signature does not match its content"
        if "expired" in found.errors or "not yet valid" in found.errors:
            return "its key is not valid now, as the allowed-signers file says"
        return f"its key ({self._key_of(commit, signature)}) is not one of an allowed signer"

    def _is_good(self, commit: SignedCommit, signature: str) -> bool:
        return self._novalidate(commit, signature).code == 0

    def _key_of(self, commit: SignedCommit, signature: str) -> str:
        return _key(self._novalidate(commit, signature))

    def _novalidate(self, commit: SignedCommit, signature: str) -> Done:
        return run(
            self.folder,
            *("ssh-keygen", "-Y", "check-novalidate", "-n", _NAMESPACE, "-s", signature),
            stdin=commit.payload,
        )


def _key(done: Done) -> str:
    found = _KEY.search(done.output.decode(errors="replace"))
    return found[1] if found else "unknown key"
