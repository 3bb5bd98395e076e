"""GPG signatures, verified by gpg against a ring of public keys and nothing else."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from feature_ops.git.commit_info import one_line
from feature_ops.git.signatures.errors import InvalidSignatureError, SignatureSetupError
from feature_ops.git.signatures.programs import Done, one_of, run, written
from feature_ops.git.signatures.signed_commit import SignedCommit

_STATUS = b"[GNUPG:] "
# What gpg reports of a signature that must not count, and the reason for users.
_BAD = {
    "BADSIG": "its signature does not match its content",
    "ERRSIG": "its key is not in the key ring of allowed signers",
    "EXPSIG": "its signature has expired",
    "EXPKEYSIG": "its key has expired",
    "REVKEYSIG": "its key is revoked",
    "NO_PUBKEY": "its key is not in the key ring of allowed signers",
    "FAILURE": "gpg could not verify its signature",
    "NODATA": "gpg could not read its signature",
}
_KEYBOX = slice(8, 12)
_EMAIL = re.compile(r"<([^<>]*)>\s*\Z")
_INVALID_UIDS = frozenset("rein")


@dataclass(frozen=True)
class GpgSigners:
    """
    Public keys: an export (``gpg --export``, with or without ``--armor``) or a keyring file.

    Keys must be valid now. If a key has e-mail addresses, the committer's address must be one of them.

    :param content: of the file.
    :param folder: an empty scratch directory.
    """

    content: bytes
    folder: Path

    def verify(self, commit: SignedCommit) -> str:
        """
        Return the signer: user id and fingerprint.

        :raises InvalidSignatureError: no allowed signer made the signature.
        """
        signature = written(self._home, "signature", commit.signature)
        done = self._gpg("--status-fd=1", "--verify", "--", signature, "-", stdin=commit.payload)
        statuses = [
            line.removeprefix(_STATUS).decode(errors="replace").split(" ")
            for line in done.output.splitlines()
            if line.startswith(_STATUS)
        ]
        for status in statuses:
            if status[0] in _BAD:
                raise InvalidSignatureError(_BAD[status[0]])
        good, valid = one_of(statuses, "GOODSIG"), one_of(statuses, "VALIDSIG")
        if done.code != 0 or good is None or valid is None:
            raise InvalidSignatureError("gpg could not verify its signature")
        primary_key = valid[-1]
        addresses = self._addresses(primary_key)
        if addresses and commit.committer.casefold() not in addresses:
            raise InvalidSignatureError(
                f"its key is that of {', '.join(sorted(addresses))}, which may not sign commits of "
                f"{one_line(commit.committer, 100) or 'an unknown committer'}"
            )
        return f"{one_line(' '.join(good[2:]), 100)} (GPG key {primary_key})"

    def _addresses(self, fingerprint: str) -> set[str]:
        listing = self._gpg("--with-colons", "--list-keys", "--", fingerprint).output.decode(errors="replace")
        fields = [line.split(":") for line in listing.splitlines()]
        uids = [field[9] for field in fields if field[0] == "uid" and field[1][:1] not in _INVALID_UIDS]
        return {found[1].casefold() for uid in uids if (found := _EMAIL.search(uid))}

    @cached_property
    def _home(self) -> Path:
        """A home of gpg that holds these keys only."""
        home = self.folder / "gpg"
        home.mkdir(mode=0o700)
        ring = written(home, "allowed-signers", self.content)
        if self.content[_KEYBOX] == b"KBXf":
            exported = _gpg(home, "--no-default-keyring", f"--keyring={ring}", "--export")
            ring = written(home, "allowed-signers.exported", exported.output)
        done = _gpg(home, "--status-fd=1", "--import", "--", ring)
        if b"IMPORT_OK" not in done.output:
            raise SignatureSetupError(
                f"FEATURE_OPS_GIT_ALLOWED_SIGNERS names a GPG key ring without a usable key ({done.reason}): "
                "export the public keys with `gpg --export --armor`"
            )
        return home

    def _gpg(self, *arguments: str, stdin: bytes = b"") -> Done:
        return _gpg(self._home, *arguments, stdin=stdin)


def _gpg(home: Path, *arguments: str, stdin: bytes = b"") -> Done:
    return run(
        home,
        *("gpg", "--no-options", f"--homedir={home}", "--batch", "--no-tty", "--no-autostart"),
        # The keys of the ring are trusted; expired and revoked ones are reported all the same.
        *("--trust-model=always", "--no-auto-key-retrieve", "--disable-dirmngr", *arguments),
        stdin=stdin,
    )
