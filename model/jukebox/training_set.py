"""The training set: features as they were known on the day of each label, from Feast."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pyarrow as pa

from feature_ops.feast.importing import import_feast
from jukebox.entity_columns import entity_columns
from jukebox.errors import TrainingError
from jukebox.files import read_text
from jukebox.labels import DAY, SONG

if TYPE_CHECKING:
    from feast import FeatureStore

_NUMBERS = ("Bool", "Int32", "Int64", "Float32", "Float64")


@dataclass(frozen=True)
class Feature:
    """
    One input of a model.

    :param ref: how the store is asked for it: ``view:feature``.
    :param name: its name in answers, unique within a model.
    :param type: Feast's name of its type.
    """

    ref: str
    name: str
    type: str


class Features:
    """
    The feature store at the trained commit.

    :param feature_repo: folder with ``feature_store.yaml``, or ``s3://…/feature_store.yaml``: what Feast
        needs is in that file and in the registry that it names.
    """

    def __init__(self, feature_repo: str) -> None:
        try:
            self._store = _open(feature_repo)
        except FileNotFoundError:
            raise TrainingError(f"{feature_repo} has no feature_store.yaml: name Feast's folder") from None

    def of_service(self, name: str) -> list[Feature]:
        """
        List a service's features in their order.

        :raises TrainingError: there is no such service, or a feature is not a number.
        """
        from feast.errors import FeatureServiceNotFoundException

        try:
            service = self._store.get_feature_service(name)
        except FeatureServiceNotFoundException:
            raise TrainingError(f"there is no feature service {name!r}: apply its definition first") from None
        found = [
            (projection.name_to_use(), field)
            for projection in service.feature_view_projections
            for field in projection.features
        ]
        needed = entity_columns(self._store, service.feature_view_projections)
        if needed != {SONG}:
            raise TrainingError(
                f"{name} needs the columns {', '.join(sorted(needed)) or 'of no entity'}, and a song has "
                f"{SONG} only: take out the views that need others"
            )
        for view, field in found:
            if str(field.dtype) not in _NUMBERS:
                raise TrainingError(
                    f"feature {view}:{field.name} is {field.dtype}: the model takes numbers and truth values "
                    f"only; take it out of {name}"
                )
        names = [field.name for _, field in found]
        return [
            Feature(
                ref=f"{view}:{field.name}",
                name=field.name if names.count(field.name) == 1 else f"{view}__{field.name}",
                type=str(field.dtype),
            )
            for view, field in found
        ]

    def known(self, refs: Sequence[str]) -> list[str]:
        """Return those of the references that the store still has."""
        fields = {
            f"{view.name}:{field.name}"
            for view in self._store.list_all_feature_views()
            for field in view.features
        }
        return [ref for ref in refs if ref in fields]

    def as_of(self, rows: pd.DataFrame, asked: str | Sequence[str], refs: Sequence[str]) -> np.ndarray:
        """
        Return what was known of each row's song on its day: one row for each, NaN where nothing was.

        :param rows: songs and days.
        :param asked: name of a feature service, or references.
        :param refs: which columns, in which order.
        :raises TrainingError: the history is missing, cannot be read, or lacks a column.
        """
        # Feast keeps one row for a song and a time, however many countries it was ranked in.
        entities = rows[[SONG, DAY]].drop_duplicates().rename(columns={DAY: "event_timestamp"})
        wanted: Any = self._store.get_feature_service(asked) if isinstance(asked, str) else list(asked)
        try:
            found = self._store.get_historical_features(entities, wanted, full_feature_names=True).to_df()
        except FileNotFoundError as error:
            raise TrainingError(f"the features have no history yet ({error}): load data first") from error
        except pa.ArrowInvalid as error:
            raise TrainingError(
                f"a file of the history cannot be read ({error}): run the ETL, which names the remedy"
            ) from error
        except KeyError as error:
            raise TrainingError(
                f"the history lacks a column that is a feature ({error.args[0]}): add it to the data, or "
                "take it out of the feature view"
            ) from error
        columns = [ref.replace(":", "__") for ref in refs]
        missing = [ref for ref, column in zip(refs, columns, strict=True) if column not in found]
        if missing:
            raise TrainingError(f"the store gave no {', '.join(missing)}: apply the feature service first")
        found["event_timestamp"] = pd.to_datetime(found["event_timestamp"], utc=True).astype(
            "datetime64[ns, UTC]"
        )
        joined = rows[[SONG, DAY]].merge(
            found, how="left", left_on=[SONG, DAY], right_on=[SONG, "event_timestamp"], validate="many_to_one"
        )
        # The precision in which the model is asked later on.
        values = joined[columns].astype("float64").astype("float32").to_numpy()
        return np.where(np.isfinite(values), values, np.nan)


def _open(feature_repo: str) -> FeatureStore:
    feature_store: type[FeatureStore] = import_feast().FeatureStore
    if "://" not in feature_repo:
        return feature_store(repo_path=feature_repo)
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "feature_store.yaml").write_text(read_text(feature_repo), encoding="utf-8")
        return feature_store(repo_path=folder)
