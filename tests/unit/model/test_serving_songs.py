"""Songs are found by what people type."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from jukebox.serving.problems import UnavailableError
from jukebox.serving.songs import SongNames


def write(path: Path, *songs: tuple[str, str | None, str | None]) -> None:
    pd.DataFrame(songs, columns=["spotify_id", "name", "artists"]).to_parquet(path)


def found(names: SongNames, text: str) -> list[str | None]:
    return [song["song"] for song in names.search(text)]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write(
        tmp_path / "a.parquet",
        ("1", "Silver River", "Nordlys"),
        ("2", "The Silver Train", "Café Meridian"),
        ("3", None, None),
        ("4", "가을 아침", "Seo Jiwon"),
    )
    return tmp_path


def test_all_words_count_wherever_they_are_and_beginnings_come_first(folder: Path) -> None:
    names = SongNames(str(folder))
    names.refresh()
    assert found(names, "silver") == ["1", "2"]
    assert found(names, "cafe SILVER") == ["2"]
    assert found(names, "가을") == ["4"]
    assert found(names, "silver nobody") == []


def test_a_song_without_a_name_is_found_by_its_id(folder: Path) -> None:
    names = SongNames(str(folder))
    names.refresh()
    assert names.search(" 3 ") == [{"song": "3", "name": None, "artists": None}]


def test_files_that_arrive_later_are_read_and_correct_earlier_ones(folder: Path) -> None:
    names = SongNames(str(folder))
    names.refresh()
    write(folder / "b.parquet", ("1", "Golden River", "Nordlys"), ("5", "New", "Lune Noire"))
    names.refresh()
    assert found(names, "golden") == ["1"]
    assert found(names, "silver") == ["2"]
    assert found(names, "new lune") == ["5"]


def test_a_file_that_can_not_be_read_leaves_what_was_known(folder: Path) -> None:
    names = SongNames(str(folder))
    names.refresh()
    (folder / "b.parquet").write_bytes(b"no parquet")
    with pytest.raises(UnavailableError, match="names of songs can't be read"):
        names.refresh()
    assert found(names, "silver") == ["1", "2"]


def test_a_folder_that_is_not_there_yet_finds_nothing(tmp_path: Path) -> None:
    names = SongNames(str(tmp_path / "later"))
    names.refresh()
    assert not names.searchable


@pytest.mark.parametrize(("count", "expected"), [(0, 0), (1, 1), (5, 5), (6, 3), (11, 4), (1000, 5)])
def test_examples_are_spread_over_all_songs_with_a_name(tmp_path: Path, count: int, expected: int) -> None:
    songs = ((str(number), f"Song {number}", None) for number in range(count))
    write(tmp_path / "songs.parquet", ("-", None, None), *songs)
    names = SongNames(str(tmp_path))
    names.refresh()
    examples = [int(item["song"] or "") for item in names.examples(limit=5)]
    assert len(examples) == expected
    assert examples == sorted(set(examples))
