"""What can keep the service from answering, in words for whoever asked."""

from __future__ import annotations


class RefusedError(Exception):
    """A model that must not answer; the message says why. Another try gives the same."""


class UnavailableError(Exception):
    """Something that the service depends on is away; the message says what. Another try may help."""


class StoreUnavailableError(UnavailableError):
    """The online store does not respond."""
