"""Sign the package's own commits with an SSH key."""

from __future__ import annotations

from pathlib import Path

from feature_ops.git.signatures.errors import SignatureSetupError
from feature_ops.git.signatures.programs import run
from feature_ops.private_key_file import check_private_key

SETTING = "FEATURE_OPS_GIT_SIGNING_KEY"


def signing_options(key: Path | None, folder: Path) -> tuple[str, ...]:
    """
    Return the options of git with which ``commit-tree -S`` signs; none if there is no key.

    :param key: SSH private key without a passphrase.
    :param folder: a folder that exists, for the program that reads the key.
    :raises SignatureSetupError: the key cannot be used.
    """
    if key is None:
        return ()
    check_private_key(key, SETTING)
    done = run(folder, "ssh-keygen", "-y", "-P", "", "-f", str(key.absolute()))
    if done.code != 0:
        raise SignatureSetupError(
            f"{SETTING} names {key}, which is no SSH private key without a passphrase: create one with "
            f"`ssh-keygen -t ed25519 -N '' -f {key}`"
        )
    options = {
        "gpg.format": "ssh",
        "gpg.ssh.program": "ssh-keygen",
        "user.signingKey": str(key.absolute()),
    }
    return tuple(part for name, value in options.items() for part in ("-c", f"{name}={value}"))
