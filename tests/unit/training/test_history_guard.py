"""A training starts only on the whole history of what its feature service reads."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import pytest

from feature_ops.datasets.dataset import Column, ColumnType, Dataset
from feature_ops.dvc.complete_history import Completion
from feature_ops.exceptions import BadInputError
from feature_ops.feast.diff.definitions import Definitions
from feature_ops.training.history_guard import complete_history_of

SONGS, CHARTS, PLAYS = (
    Dataset(name=name, keys=("id",), columns=(Column(name="id", type=ColumnType.STRING),))
    for name in ("songs", "charts", "plays")
)
NAME = f"{'a' * 20}.parquet"


def view(dataset: Dataset) -> dict[str, Any]:
    return {
        "features": {"energy": {"type": "Float32"}},
        "batch_source": {"name": dataset.name, "file_options": {"uri": dataset.uri.rstrip("/")}},
    }


# The service reads songs directly, and charts through an on-demand view; nothing reads plays.
DEFINITIONS = Definitions(
    "music",
    {
        "feature view": {"songs": view(SONGS), "charts": view(CHARTS), "plays": view(PLAYS)},
        "on demand feature view": {"hits": {"sources": {"c": {"view": "charts", "features": ["energy"]}}}},
        "feature service": {
            "serving_fs": {
                "features": {
                    "songs": {"view": "songs", "features": ["energy"]},
                    "hits": {"view": "hits", "features": ["hit"]},
                }
            }
        },
    },
)


def completed(monkeypatch: pytest.MonkeyPatch, found: dict[str, Completion]) -> list[str]:
    """Have the histories be completed like this; returns the list of the datasets that are looked at."""
    looked_at: list[str] = []

    def complete(dataset: Dataset, *_: object, compare_sizes: bool) -> Completion:
        assert compare_sizes
        looked_at.append(dataset.name)
        return found.get(dataset.name, Completion())

    monkeypatch.setattr("feature_ops.dvc.complete_history.complete_history", complete)
    return looked_at


def guard(folder: Path) -> bool:
    return complete_history_of("serving_fs", DEFINITIONS, [SONGS, CHARTS, PLAYS], cast("Any", None), folder)


def test_only_what_the_service_reads_is_looked_at(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    incomplete = Completion((), (NAME,), ("lost",))
    looked_at = completed(monkeypatch, {"plays": incomplete})
    assert guard(tmp_path) is False
    assert looked_at == ["songs", "charts"]


@pytest.mark.parametrize("dataset", ["songs", "charts"])
def test_an_incomplete_history_is_refused_with_the_remedy(
    dataset: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    completed(monkeypatch, {dataset: Completion((), (NAME,), ("dvc push it",))})
    with pytest.raises(
        BadInputError, match=f"not trained: the history of {dataset} lacks {NAME}. dvc push it"
    ):
        guard(tmp_path)


def test_a_restored_file_is_reported_as_the_data_version_changes(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    completed(monkeypatch, {"charts": Completion((NAME,), (), ())})
    assert guard(tmp_path) is True
