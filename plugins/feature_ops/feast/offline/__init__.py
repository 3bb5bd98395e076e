"""
A Feast offline store that makes training sets with DuckDB over Arrow datasets, local or on S3.

Named in ``feature_store.yaml`` as ``offline_store: {type: feature_ops.feast.offline.ArrowOfflineStore}``.
"""

from __future__ import annotations

from typing import Any


def __getattr__(name: str) -> Any:
    # Feast takes seconds to import; whoever only joins tables does without it.
    if name in ("ArrowOfflineStore", "ArrowOfflineStoreConfig"):
        from feature_ops.feast.offline import arrow_offline_store

        return getattr(arrow_offline_store, name)
    raise AttributeError(f"module {__name__} has no attribute {name}")
