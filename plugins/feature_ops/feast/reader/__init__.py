"""
Reads Feast's online stores as Feast does, without a protobuf object per value.

``OnlineReader.of(store, features).read(keys).to_dict()`` is what ``get_online_features`` answers.
"""

from __future__ import annotations

from typing import Any


def __getattr__(name: str) -> Any:
    # Feast takes seconds to import; whoever only decodes does without it.
    if name == "OnlineReader":
        from feature_ops.feast.reader.online_reader import OnlineReader

        return OnlineReader
    if name in ("Answer", "Column", "Status"):
        from feature_ops.feast.reader import answer

        return getattr(answer, name)
    raise AttributeError(f"module {__name__} has no attribute {name}")
