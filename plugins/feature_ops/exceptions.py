"""The errors that a person is meant to read."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


class FeatureOpsError(Exception):
    """
    Base of this package's errors. A task that raises one may be retried.

    :param result: what the *Feature store* page shows of the failure beyond the message, plain JSON.
    """

    def __init__(self, message: str = "", result: Mapping[str, Any] | None = None) -> None:
        super().__init__(message)
        self.result = dict(result or {})


class BadInputError(FeatureOpsError):
    """
    The input is wrong and a retry cannot help.

    The message names the file, column, row or setting and the remedy; nothing was changed.
    """


class MissingResultError(BadInputError):
    """An upstream task has no result, or only a part of it; the message names the task to clear."""


class SupersededError(BadInputError):
    """A newer run has changed what the task was to act on; the message names the task to clear instead."""


class NothingPendingError(FeatureOpsError):
    """Nothing is left to do anywhere, so what follows is skipped; the message says why."""
