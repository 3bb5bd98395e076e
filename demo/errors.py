"""The error that ends a start-up with one line and its remedy."""

from __future__ import annotations


class DemoError(Exception):
    """What went wrong and what to do about it, in one line for people."""
