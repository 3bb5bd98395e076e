"""What is to be trained: decided once, the same wherever it runs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from feature_ops.operator import Outcome
from feature_ops.training.declaration import Model
from feature_ops.training.model_registry import CHAMPION
from feature_ops.training.recipe import Recipe

if TYPE_CHECKING:
    from feature_ops.training.result import TrainingResult


@dataclass(frozen=True)
class TrainingPlan:
    """
    One training of a model.

    :param commit: whose features and code are trained.
    :param recipe: what the model will be made of.
    :param why: the reason for it, in words.
    :param dataset_version: which data the features come from.
    :param result_uri: where the training puts its result.
    :param applied: the commit that is applied.
    :param resolved_at: when the run compared git with the registry, ISO time in UTC.
    """

    commit: str
    recipe: Recipe
    why: str
    dataset_version: str
    result_uri: str
    applied: str = ""
    resolved_at: str = ""

    def command(self, model: Model, feature_repo: str) -> list[str]:
        """
        Return what follows the Python interpreter.

        :param feature_repo: where the training finds feature_store.yaml.
        """
        arguments = {
            "feature-repo": feature_repo,
            "feature-service": model.feature_service,
            "revision": self.commit,
            "dataset-version": self.dataset_version,
            "definition-hash": self.recipe.definition_hash,
            "champion": f"models:/{model.name}@{CHAMPION}",
            "result": self.result_uri,
            **model.arguments,
        }
        return [*model.command, *(f"--{name}={value}" for name, value in arguments.items())]

    def outcome(self, result: TrainingResult) -> Outcome:
        """Return what the step says and passes on."""
        return Outcome(
            f"trained on {self.commit[:10]} ({self.why}): {len(result.features)} features, "
            f"{result.rows.get('train', 0):,} rows, {result.seconds:.0f} s",
            {
                "result_uri": self.result_uri,
                "commit": self.commit,
                "definition_hash": self.recipe.definition_hash,
                "code_hash": self.recipe.code_hash,
                "applied": self.applied,
                "resolved_at": self.resolved_at,
                "run_id": result.run_id,
                "metrics": result.metrics,
            },
        )

    def to_json(self) -> dict[str, str]:
        """Return it as plain JSON, for the task's state store."""
        return {
            "commit": self.commit,
            "definition_hash": self.recipe.definition_hash,
            "code_hash": self.recipe.code_hash,
            "why": self.why,
            "dataset_version": self.dataset_version,
            "result_uri": self.result_uri,
            "applied": self.applied,
            "resolved_at": self.resolved_at,
        }

    @classmethod
    def from_json(cls, kept: Mapping[str, Any]) -> TrainingPlan:
        """Return what :meth:`to_json` gave."""
        recipe = Recipe(kept["definition_hash"], kept["code_hash"])
        return cls(
            kept["commit"],
            recipe,
            kept["why"],
            kept["dataset_version"],
            kept["result_uri"],
            # Plans of older releases lack them.
            kept.get("applied", ""),
            kept.get("resolved_at", ""),
        )
