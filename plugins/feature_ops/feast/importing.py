"""Feast's import, at a quarter of its cost."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


def import_feast() -> Any:
    """
    Import Feast and return it, its functions not instrumented by typeguard.

    Feast decorates its classes with ``typeguard.typechecked``, which recompiles every method when
    it is imported: 2.7 of 3.6 seconds, in every process. typeguard itself leaves that out where
    Python runs optimized (``-O``), as the checks are not meant for production. A task reads
    definitions from the registry, where they were checked when they were applied. What applies or
    loads a person's definitions must import Feast plainly.
    """
    if "feast" not in sys.modules:
        with _without_instrumentation():
            import feast  # noqa: F401
    return sys.modules["feast"]


@contextmanager
def _without_instrumentation() -> Iterator[None]:
    import typeguard

    instrument = typeguard.typechecked
    typeguard.typechecked = _unchanged
    try:
        yield
    finally:
        typeguard.typechecked = instrument


def _unchanged(target: Any = None, **options: Any) -> Any:
    """Stand in the decorator's place, with and without its options."""
    return _unchanged if target is None else target
