"""Features of one name in several views of a feature service: Feast reads them with full names only."""

from __future__ import annotations

from collections.abc import Iterator

from feature_ops.feast.diff.kinds import Data

_SHOWN = 3


def new_collisions(old: Data, new: Data) -> str:
    """
    Return in one clause which features share a name now and did not before; empty if none.

    :param old: the service's projections before, by the name under which a view is read.
    :param new: its projections now.
    """
    before = dict(_collisions(old))
    found = {name: views for name, views in _collisions(new) if name not in before}
    if not found:
        return ""
    shown = [f"{name} ({', '.join(views)})" for name, views in sorted(found.items())]
    more = f" and {len(shown) - _SHOWN} more" if len(shown) > _SHOWN else ""
    return f"reads without full_feature_names fail, names are not unique: {', '.join(shown[:_SHOWN])}{more}"


def _collisions(projections: Data) -> Iterator[tuple[str, list[str]]]:
    views: dict[str, list[str]] = {}
    for view, projection in sorted(projections.items()):
        for feature in projection.get("features", ()):
            views.setdefault(feature, []).append(view)
    return ((feature, read) for feature, read in views.items() if len(read) > 1)
