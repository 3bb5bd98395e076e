"""What is to be trained: decided once, the same wherever it runs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from feature_ops.operator import Outcome
from feature_ops.settings import Settings
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
    :param environment: what it runs in: ``image``, or ``lock_file`` with ``git_blob``; empty if unknown.
    """

    commit: str
    recipe: Recipe
    why: str
    dataset_version: str
    result_uri: str
    applied: str = ""
    resolved_at: str = ""
    environment: Mapping[str, str] = field(default_factory=dict)

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
                "dataset_version": self.dataset_version,
                "environment": dict(self.environment),
                "applied": self.applied,
                "resolved_at": self.resolved_at,
                "run_id": result.run_id,
                "metrics": result.metrics,
            },
        )

    def to_json(self) -> dict[str, Any]:
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
            "environment": dict(self.environment),
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
            kept.get("environment", {}),
        )


def training_environment(
    settings: Settings, model: Model, commit: str, code: Mapping[str, str]
) -> dict[str, str]:
    """
    Return what a training runs in: the pod's image, or the lock file of the commit.

    :param code: git's hash of each file of the model's folder, by its path there.
    """
    if settings.training_place == "pod":
        return {"image": (settings.training_image or "").replace("{commit}", commit)}
    if model.lock_file in code:
        path = f"{model.code_path.strip('/')}/{model.lock_file}"
        return {"lock_file": path, "git_blob": code[model.lock_file]}
    return {}
