"""The allowed signers of a deployment: SSH allowed-signers files and GPG key rings."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from feature_ops.git.signatures.errors import InvalidSignatureError, SignatureSetupError
from feature_ops.git.signatures.gpg import GpgSigners
from feature_ops.git.signatures.signed_commit import MAX_BYTES, Kind, SignedCommit
from feature_ops.git.signatures.ssh import SshSigners

SETTING = "FEATURE_OPS_GIT_ALLOWED_SIGNERS"
_ARMORED_KEYS = b"-----BEGIN PGP PUBLIC KEY BLOCK-----"


class Signers(Protocol):
    """Signers of one file."""

    def verify(self, commit: SignedCommit) -> str:
        """Return the signer of a commit; raises :class:`InvalidSignatureError` if it is none of these."""


@dataclass(frozen=True)
class AllowedSigners:
    """
    Who may sign commits.

    :param ssh: signers of the SSH allowed-signers files.
    :param gpg: signers of the GPG key rings.
    """

    ssh: tuple[Signers, ...]
    gpg: tuple[Signers, ...]

    @classmethod
    def read(cls, files: Sequence[Path], folder: Path) -> AllowedSigners:
        """
        Read the files; the content decides which kind each of them is.

        :param folder: an empty scratch directory.
        :raises SignatureSetupError: a file is missing, unreadable or empty.
        """
        ssh: list[Signers] = []
        gpg: list[Signers] = []
        for number, file in enumerate(files):
            content, scratch = _content(file), folder / str(number)
            scratch.mkdir(parents=True, mode=0o700)
            if _is_key_ring(content):
                gpg.append(GpgSigners(content, scratch))
            else:
                ssh.append(SshSigners(content, scratch))
        return cls(tuple(ssh), tuple(gpg))

    def verify(self, content: bytes) -> str:
        """
        Return the allowed signer of a commit.

        :param content: the commit object.
        :raises InvalidSignatureError: no allowed signer has signed it.
        """
        if len(content) > MAX_BYTES:
            raise InvalidSignatureError(f"it is larger than {MAX_BYTES:,} bytes")
        commit = SignedCommit.parse(content)
        signers = self.ssh if commit.kind is Kind.SSH else self.gpg
        if not signers:
            raise InvalidSignatureError(f"it is signed with {commit.kind}, and {SETTING} names no such file")
        reasons = []
        for one in signers:
            try:
                return one.verify(commit)
            except InvalidSignatureError as error:
                reasons.append(str(error))
        raise InvalidSignatureError("; ".join(dict.fromkeys(reasons)))


def _content(file: Path) -> bytes:
    try:
        content = file.read_bytes()
    except OSError as error:
        raise SignatureSetupError(
            f"{SETTING} names {file}, which cannot be read ({error.strerror}): correct the setting"
        ) from None
    lines = [line for line in content.splitlines() if line.strip() and not line.lstrip().startswith(b"#")]
    if not lines:
        raise SignatureSetupError(f"{SETTING} names {file}, which has no signer: add one, or unset it")
    return content


def _is_key_ring(content: bytes) -> bool:
    # An allowed-signers file is text; binary keys begin with a set bit, a keybox with a length.
    return _ARMORED_KEYS in content or content[0] >= 0x80 or b"\0" in content[:32]
