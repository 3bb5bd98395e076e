"""Labels are cleaned, and what can't be learned from is told in one line."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from jukebox.errors import TrainingError
from jukebox.labels import read_labels

DAY = pd.Timestamp("2024-01-02", tz="UTC")


def written(folder: Path, **columns: Any) -> str:
    """Write rankings: a song in Argentina and in Brazil, unless told otherwise."""
    rows: dict[str, Any] = {
        "spotify_id": ["one", "one"],
        "country": ["AR", "BR"],
        "snapshot_date": [DAY, DAY],
        "daily_rank": [1, 2],
    }
    rows |= columns
    frame = pd.DataFrame({name: values for name, values in rows.items() if values is not None})
    frame.to_parquet(folder / "rankings.parquet")
    return str(folder / "rankings.parquet")


def test_rows_are_ordered_by_day_and_each_is_there_once(tmp_path: Path) -> None:
    uri = written(
        tmp_path,
        spotify_id=["two", "one", "one", "one"],
        country=["BR", "AR", "AR", "BR"],
        snapshot_date=[DAY + pd.Timedelta(days=1), DAY, DAY, DAY],
        daily_rank=[1, 2, 3, 4],
    )
    found = read_labels(uri)
    assert found[["spotify_id", "country"]].to_numpy().tolist() == [
        ["one", "AR"],
        ["one", "BR"],
        ["two", "BR"],
    ]
    assert str(found["snapshot_date"].dtype) == "datetime64[ns, UTC]"


def test_the_worldwide_ranking_is_no_label(tmp_path: Path) -> None:
    uri = written(
        tmp_path,
        spotify_id=["one"] * 3,
        country=["AR", None, "BR"],
        snapshot_date=[DAY] * 3,
        daily_rank=[1, 1, 1],
    )
    assert read_labels(uri)["country"].tolist() == ["AR", "BR"]


def test_namibia_is_a_country(tmp_path: Path) -> None:
    assert read_labels(written(tmp_path, country=["AR", "NA"]))["country"].tolist() == ["AR", "NA"]


@pytest.mark.parametrize("day", [DAY.tz_localize(None), DAY.date(), "2024-01-02"])
def test_times_without_a_zone_are_utc(tmp_path: Path, day: object) -> None:
    days = [day] * 2
    assert read_labels(written(tmp_path, snapshot_date=days))["snapshot_date"].tolist() == [DAY, DAY]


@pytest.mark.parametrize(
    ("columns", "told"),
    [
        ({"country": [None, None]}, "has no rows with a song, a country and a day"),
        ({"country": ["AR", "AR"]}, "has rankings of AR only"),
        ({"country": ["AR", "Brazil"]}, "has 'Brazil': write codes of two capital letters"),
        ({"country": None}, "has no column country"),
        ({"snapshot_date": ["yesterday", "today, or so"]}, "column snapshot_date of .* is no time"),
    ],
)
def test_what_can_not_be_learned_from_is_told(tmp_path: Path, columns: dict[str, Any], told: str) -> None:
    with pytest.raises(TrainingError, match=told):
        read_labels(written(tmp_path, **columns))


def test_a_missing_file_and_one_that_is_no_parquet_are_told(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match=r"there is no .*nowhere\.parquet"):
        read_labels(str(tmp_path / "nowhere.parquet"))
    (tmp_path / "page.parquet").write_text("<html>" * 10)
    with pytest.raises(TrainingError, match="can't be read as parquet"):
        read_labels(str(tmp_path / "page.parquet"))
