"""Feast's import, at a quarter of its cost."""

from __future__ import annotations

import sys
from typing import Any


def import_feast() -> Any:
    """
    Import Feast and return it, its functions not instrumented by typeguard.

    Feast decorates its classes with ``typeguard.typechecked``, which recompiles every method during
    the import: seconds at every start, and a check of every argument at every prediction. typeguard
    itself leaves that out where Python runs optimized (``-O``). Definitions were checked when they
    were applied; the training and the service only read them.
    """
    if "feast" not in sys.modules:
        import typeguard

        instrument = typeguard.typechecked
        typeguard.typechecked = _unchanged
        try:
            import feast  # noqa: F401
        finally:
            typeguard.typechecked = instrument
    return sys.modules["feast"]


def _unchanged(target: Any = None, **options: Any) -> Any:
    """Stand in the decorator's place, with and without its options."""
    return _unchanged if target is None else target
