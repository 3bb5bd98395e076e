"""What the *Feature store* page shows of deployed models; collected by the steps that move aliases."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from feature_ops.training.model_registry import ModelRegistry


def aliases(registry: ModelRegistry) -> dict[str, dict[str, Any]]:
    """Return the version of each alias that has one, with its scores, as plain JSON."""
    from feature_ops.training.model_registry import CHAMPION, TEST

    found = {alias: registry.by_alias(alias) for alias in (TEST, CHAMPION)}
    return {
        alias: {
            "version": version.version,
            "commit": version.git_commit,
            "dataset_version": version.dataset_version,
            "features": list(version.features),
            "metrics": registry.metrics(version),
            "accepted_regression": version.accepted_regression and version.accepted_regression.facts,
        }
        for alias, version in found.items()
        if version is not None
    }
