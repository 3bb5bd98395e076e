"""What can be wrong with the input of a training, in one line."""

from __future__ import annotations


class TrainingError(Exception):
    """The training can't be done; the message names what is wrong and the remedy in one line."""


class ServerError(TrainingError):
    """A server did not do its part; the same training may succeed later."""
