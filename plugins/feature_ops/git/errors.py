"""What can go wrong with a remote repository, told apart by what helps."""

from __future__ import annotations

from feature_ops.exceptions import BadInputError, FeatureOpsError


class GitError(FeatureOpsError):
    """git failed; the message is git's own, without secrets."""


class UnreachableError(GitError):
    """The server did not answer; a later try may find it."""


class MovedError(GitError):
    """The branch moved while a commit for it was made; fetch and try again."""


class WrongCredentialsError(GitError, BadInputError):
    """The server knows the account not, or does not let it do this."""


class NoRepositoryError(GitError, BadInputError):
    """There is no repository or no such branch at the address."""


class DeclinedError(GitError, BadInputError):
    """The server refuses commits to this branch, however new they are."""


class TooManyPathsError(GitError):
    """A commit has more paths than can be listed."""


class UnknownRevisionError(GitError, BadInputError):
    """The repository has no such commit, or does not give it out."""
