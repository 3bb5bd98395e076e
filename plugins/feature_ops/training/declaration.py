"""What a model is to the package: where its code is, how it is trained, what it reads."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field


class Metric(BaseModel):
    """
    How users see a metric of a model.

    :param title: its name for users, such as ``Log-loss``.
    :param better: in which direction the metric is better.
    :param percent: whether it is a share, which is shown in percent.
    """

    model_config = ConfigDict(frozen=True)

    # Nothing that is markup where the title is shown.
    title: str = Field(pattern=r"^\w[\w ,.()/-]*$")
    better: Literal["higher", "lower"]
    percent: bool = False


class Model(BaseModel):
    """
    A model that follows a feature service.

    Its code lives in the watched repository beside the feature definitions, so a commit is the whole truth.

    :param name: its name in MLflow's registry.
    :param feature_service: the Feast service that it is trained on and served with.
    :param code_path: folder of its code in the repository.
    :param not_code: patterns as in a ``.gitignore`` of files there that no training reads.
    :param lock_file: file there that locks the versions of its packages.
    :param command: what trains it, after the Python interpreter; docs/training.md tells the arguments
        that are added and the result that is expected.
    :param arguments: further arguments, such as where its labels are.
    :param description: what MLflow shows of the registered model, as markdown.
    :param metrics: how users see the metrics that a training reports, by their names there.
    """

    model_config = ConfigDict(frozen=True)

    name: str
    feature_service: str
    code_path: str = "model"
    not_code: tuple[str, ...] = ("*.md", ".gitignore", ".dockerignore")
    lock_file: str = "requirements.txt"
    command: tuple[str, ...]
    arguments: Mapping[str, str] = Field(default_factory=dict)
    description: str = ""
    metrics: Mapping[str, Metric] = Field(default_factory=dict)

    @property
    def watched(self) -> list[str]:
        """Patterns as in a ``.gitignore`` of what makes another model when it changes."""
        folder = self.code_path.strip("/")
        return [f"{folder}/**", *(f"!{folder}/**/{pattern}" for pattern in self.not_code)]
