"""What a training tells when it is done: JSON on object storage."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, ValidationError

from feature_ops.exceptions import BadInputError


class Interval(BaseModel):
    """A difference, challenger minus champion, with its confidence interval."""

    model_config = ConfigDict(frozen=True)

    difference: float
    low: float
    high: float


class Champion(BaseModel):
    """The model that is in production, scored on the same rows."""

    model_config = ConfigDict(frozen=True)

    version: str
    metrics: dict[str, float]


class WorstClass(BaseModel):
    """The class whose recall fell most."""

    model_config = ConfigDict(frozen=True)

    country: str
    recall5: float
    champion_recall5: float | None = None


class TrainingResult(BaseModel):
    """
    One finished training.

    :param run_id: of MLflow.
    :param artifact_uri: where the model's files are.
    :param rows: how many rows it was trained and tested on.
    :param features: ``view:feature`` references in the order of its input.
    :param metrics: its scores on the held-out rows.
    :param champion: the champion's scores on the same rows; None if there is no champion.
    :param comparison: differences to the champion by metric.
    :param countries: by ``worst``, the class whose recall fell most.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    run_id: str
    artifact_uri: str
    rows: dict[str, int]
    features: list[str]
    metrics: dict[str, float]
    champion: Champion | None = None
    comparison: dict[str, Interval] | None = None
    countries: dict[str, WorstClass] = {}
    git_commit: str
    dataset_version: str
    definition_hash: str
    seconds: float

    @classmethod
    def read(cls, text: str | bytes, uri: str) -> TrainingResult:
        """Read a result; raises a :class:`BadInputError` that names the field where it can't be used."""
        try:
            return cls.model_validate_json(text)
        except ValidationError as error:
            first = error.errors()[0]
            field = ".".join(str(part) for part in first["loc"]) or "the whole"
            raise BadInputError(
                f"{uri} is not the result of a training ({field}: {first['msg']}): correct the train command"
            ) from None
