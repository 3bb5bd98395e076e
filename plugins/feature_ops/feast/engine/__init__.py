"""
A Feast compute engine that takes Arrow rows to the online store, without a Python object per value.

Named in ``feature_store.yaml`` as ``batch_engine: {type: feature_ops.feast.engine.ArrowEngine}``.
"""

from __future__ import annotations

from typing import Any


def __getattr__(name: str) -> Any:
    # Feast takes seconds to import; whoever only encodes does without it.
    if name in ("ArrowEngine", "ArrowEngineConfig"):
        from feature_ops.feast.engine import arrow_engine

        return getattr(arrow_engine, name)
    raise AttributeError(f"module {__name__} has no attribute {name}")
