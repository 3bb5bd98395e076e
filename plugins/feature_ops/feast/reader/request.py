"""
What Feast makes of the features that are asked for: views, join keys and types.

Feast itself resolves them, so that it refuses here what it refuses to serve. As in Feast, what was resolved
holds as long as the registry's cache does.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Request:
    """
    Features of some views.

    :param grouped: each view with the names of its features that are asked for.
    :param on_demand: views whose features are computed when they are asked for.
    :param key_names: the join key of each entity's name.
    :param key_types: Feast's value type of each join key that is known.
    :param join_keys: the names by which keys may be given.
    :param has_no_entity: whether one of the views has no entity.
    """

    grouped: list[tuple[Any, list[str]]]
    on_demand: list[Any]
    key_names: Mapping[str, str]
    key_types: Mapping[str, Any]
    join_keys: frozenset[str]
    has_no_entity: bool


class Resolver:
    """
    Resolves one request, again when the registry's cache has been refreshed.

    :param features: a feature service, or references of the form ``view:feature``.
    """

    def __init__(self, store: Any, features: Any, full_feature_names: bool) -> None:
        self._store, self._features, self._full = store, features, full_feature_names
        self._request: Request | None = None
        self._as_of: Any = None

    def request(self) -> Request:
        """
        Return the request as the registry has it now.

        :raises Exception: what ``get_online_features`` raises for features that it can't serve.
        """
        registry = self._store.registry
        if (
            self._request is not None
            and self._as_of is not None
            and registry.is_cache_valid()
            and registry.cached_registry_proto_created == self._as_of
        ):
            return self._request
        self._request = self._resolved()
        self._as_of = getattr(registry, "cached_registry_proto_created", None)
        return self._request

    def _resolved(self) -> Request:
        from feast import utils

        (references, on_demand, key_names, key_types, join_keys, grouped, _, _, has_no_entity) = (
            utils._get_online_request_context(
                self._store.registry, self._store.project, self._features, self._full
            )
        )
        places = {reference: place for place, reference in enumerate(references)}
        return Request(
            # Feast has the features of a view in a set.
            [
                (
                    view,
                    sorted(names, key=lambda name: places.get(f"{view.projection.name_to_use()}:{name}", 0)),
                )
                for view, names in grouped
            ],
            on_demand,
            key_names,
            key_types,
            frozenset(join_keys),
            has_no_entity,
        )
