"""Who reads a feature: feature services, and deployed models, also through on-demand feature views."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from feature_ops.ui.status import TaskStatus
from feature_ops.ui.view_model.reported import everything, newest_first


@dataclass(frozen=True)
class Readers:
    """
    References of the form ``view:feature`` by reader, with those that on-demand views read for it.

    :param services: as they were reported, with ``name``, ``description`` and ``features``.
    """

    services: Sequence[Mapping[str, Any]]
    by_service: Mapping[str, frozenset[str]]
    by_model: Mapping[str, frozenset[str]]

    @classmethod
    def none(cls) -> Readers:
        """Return no readers."""
        return cls((), {}, {})

    @classmethod
    def found(
        cls,
        tasks: Sequence[TaskStatus],
        models: Iterable[Mapping[str, Any]],
        deployed: Mapping[str, Sequence[str]],
    ) -> Readers:
        """
        Collect the readers.

        :param models: of the view model.
        :param deployed: references by the name of each deployed model, such as ``jukebox@test``.
        """
        told = next((one.facts for one in newest_first(everything(tasks)) if "services" in one.facts), {})
        services = list(told.get("services", ()))
        reads = {view["name"]: tuple(view["reads"]) for view in told.get("on_demand_views", ())}
        named = {
            f"{model['name']}@{version['alias']}": _label(model["name"], version)
            for model in models
            for version in model["versions"]
        }
        references = {
            f"{model['name']}@{version['alias']}": version["features"]
            for model in models
            for version in model["versions"]
        } | dict(deployed)
        return cls(
            services,
            {service["name"]: _with_sources(service["features"], reads) for service in services},
            {named.get(name, name): _with_sources(found, reads) for name, found in references.items()},
        )

    def of(self, view: str, feature: str) -> dict[str, list[str]]:
        """Return the services and the deployed models that read a feature."""
        reference = f"{view}:{feature}"
        return {
            "services": sorted(name for name, found in self.by_service.items() if reference in found),
            "models": sorted(name for name, found in self.by_model.items() if reference in found),
        }

    def shown(self) -> list[dict[str, Any]]:
        """Return the services, each with the deployed models that read only features of it."""
        return [
            {
                "name": service["name"],
                "description": service.get("description") or "",
                "features": list(service["features"]),
                "models": sorted(
                    name
                    for name, found in self.by_model.items()
                    if found and found <= self.by_service[service["name"]]
                ),
            }
            for service in sorted(self.services, key=lambda one: str(one["name"]))
        ]


def _label(model: str, version: Mapping[str, Any]) -> str:
    return f"{model} v{version['version']} ({version['stage']})"


def _with_sources(references: Iterable[str], reads: Mapping[str, tuple[str, ...]]) -> frozenset[str]:
    """Return references with all that their on-demand views read; such a view may read another."""
    found: set[str] = set()
    waiting = list(references)
    while waiting:
        reference = waiting.pop()
        if reference not in found:
            found.add(reference)
            waiting += reads.get(reference.partition(":")[0], ())
    return frozenset(found)
