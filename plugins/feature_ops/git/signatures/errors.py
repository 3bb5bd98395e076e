"""Errors of the signature check."""

from __future__ import annotations

from feature_ops.exceptions import BadInputError
from feature_ops.git.errors import GitError


class InvalidSignatureError(Exception):
    """A commit has no valid signature of an allowed signer; the message is the reason."""


class UnsignedCommitError(BadInputError):
    """A commit that must be signed by an allowed signer is not; the message names it and the remedy."""


class SignatureSetupError(GitError, BadInputError):
    """
    The deployment cannot check signatures: a setting, a file or a program is wrong.

    Says nothing about the commit, so a commit that fails this way is not acknowledged.
    """
