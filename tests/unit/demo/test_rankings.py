"""The charts are the same at every start, hold only songs that are out, and can be learned from."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from demo.rankings import CHART_SIZE, COUNTRIES, rankings
from demo.songs import catalogue


@pytest.fixture(scope="module")
def songs() -> pd.DataFrame:
    return catalogue().reset_index(drop=True)


@pytest.fixture(scope="module")
def charts(songs: pd.DataFrame) -> pd.DataFrame:
    return rankings(songs)


def test_charts_have_the_size_and_the_columns_of_the_real_ones(charts: pd.DataFrame) -> None:
    assert list(charts) == ["spotify_id", "country", "snapshot_date", "daily_rank"]
    assert 190_000 < len(charts) < 210_000
    assert set(charts["country"]) == set(COUNTRIES)
    assert len(COUNTRIES) == 73
    assert charts["country"].str.fullmatch("[A-Z]{2}").all()
    assert str(charts["snapshot_date"].dt.tz) == "UTC"
    assert (charts["snapshot_date"] == charts["snapshot_date"].dt.normalize()).all()
    ranks = charts.groupby(["snapshot_date", "country"])["daily_rank"]
    assert (ranks.agg(list).map(lambda found: found == list(range(1, CHART_SIZE + 1)))).all()


def test_no_song_is_in_the_charts_before_it_is_out(songs: pd.DataFrame, charts: pd.DataFrame) -> None:
    out = songs.set_index("spotify_id")["event_timestamp"].dt.tz_localize("UTC")
    assert (out[charts["spotify_id"]].to_numpy() <= charts["snapshot_date"].to_numpy()).all()
    assert not charts.duplicated(["snapshot_date", "country", "spotify_id"]).any()


def test_charts_are_the_same_at_every_call_and_in_any_order_of_songs(songs: pd.DataFrame) -> None:
    first = rankings(songs, rows=8_000)
    pd.testing.assert_frame_equal(first, rankings(songs.sample(frac=1, random_state=1), rows=8_000))
    assert not first.equals(rankings(songs, rows=8_000, seed=74))


def test_countries_like_different_songs_and_loudness_adds_nothing_to_energy(
    songs: pd.DataFrame, charts: pd.DataFrame
) -> None:
    energy_and_loudness = songs[["energy", "loudness"]].corr().iloc[0, 1]
    assert 0.65 < energy_and_loudness < 0.8
    columns = ["danceability", "energy", "valence", "acousticness", "loudness"]
    z = (songs[columns] - songs[columns].mean()) / songs[columns].std()
    joined = charts.merge(z.assign(spotify_id=songs["spotify_id"]), on="spotify_id")
    tastes = joined.groupby("country")[columns].mean()
    assert (tastes[columns[:4]].std() > 0.4).all()
    # Countries differ in the loudness that they like, and all of it is what their energy brings with it.
    left = tastes["loudness"] - np.polyval(
        np.polyfit(tastes["energy"], tastes["loudness"], 1), tastes["energy"]
    )
    assert tastes["loudness"].std() > 0.3
    assert left.std() < 0.15


def test_each_song_counts_once_from_its_first_time_on(songs: pd.DataFrame) -> None:
    again = songs.tail(3_000).assign(event_timestamp=pd.Timestamp("2030-01-01"))
    both = pd.concat([again, songs])
    pd.testing.assert_frame_equal(rankings(both, rows=8_000), rankings(songs, rows=8_000))


@pytest.mark.parametrize("time", ["snapshot_date", None])
def test_a_catalogue_of_few_songs_with_gaps_has_charts_too(songs: pd.DataFrame, time: str | None) -> None:
    few = songs.head(12).rename(columns={"event_timestamp": "SNAPSHOT_DATE", "energy": "ENERGY"})
    few = few.drop(columns=["tempo", *([] if time else ["SNAPSHOT_DATE"])])
    few["is_explicit"] = few["is_explicit"].astype(object)
    few.loc[few.index[:2], ["is_explicit", "ENERGY"]] = None
    few["liveness"] = np.inf
    found = rankings(few, rows=2_000)
    assert 1_500 < len(found) < 2_500
    assert set(found["spotify_id"]) == set(few["spotify_id"])
    assert found["daily_rank"].max() == 12
    if time is None:
        # Stamped when it arrives, so no chart is older than that.
        assert found["snapshot_date"].min() > pd.Timestamp.now(tz="UTC")
