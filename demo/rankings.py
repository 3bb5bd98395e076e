"""
Charts for the demo: which songs were among the first fifty in which country on which day.

Shaped like the real ones ("top songs in 73 countries"): fifty ranks per country and day, smaller
markets with days missing, hits that stay for weeks. Who likes what is made up, but it has structure:
countries of one region share a taste, and a taste is a linear function of a song's properties.
Loudness has no weight of its own in it: whatever loudness says about a chart, energy says as well,
in any catalogue. What is luck lasts for two weeks, so that a model learns tastes, not single songs. A
model without loudness predicts a little differently, and not worse.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

CHART_SIZE = 50
REGIONS = {
    "latin": "AR BO BR CL CO CR DO EC ES GT HN MX NI PA PE PY SV UY VE",
    "english": "AU CA GB IE NG NZ US ZA",
    "northern": "DK EE FI IS LT LV NO SE",
    "central": "AT BE CH DE FR IT LU NL PT",
    "eastern": "BG BY CY CZ GR HU IL KZ PL RO SK TR UA",
    "asian": "HK ID IN JP KR MY PH PK SG TH TW VN",
    "arabic": "AE EG MA SA",
}
COUNTRIES = sorted(country for countries in REGIONS.values() for country in countries.split())
# How much each property can matter in a taste. Loudness is listed so that its weight is stated: with any
# other, a catalogue decides how much of it energy does not say.
_WEIGHTS = {
    "danceability": 1.0,
    "energy": 1.0,
    "valence": 1.0,
    "acousticness": 0.8,
    "speechiness": 0.8,
    "is_explicit": 0.6,
    "tempo": 0.5,
    "duration_ms": 0.5,
    "instrumentalness": 0.4,
    "liveness": 0.3,
    "mode": 0.3,
    "loudness": 0.0,
}
_REGION_TASTE, _OWN_TASTE = 0.8, 0.6
# Days that a song's luck in a country lasts: a hit stays one for weeks. If it lasted for ever, a model could
# learn it song by song, and any further property, loudness too, would help to tell songs apart.
_LUCK_DAYS = 14
# Days after which a song is e times less likely to be in the charts.
_FADING = 60.0
# Charts begin when this share of the catalogue is out.
_FIRST_SHARE = 0.1


def rankings(catalogue: pd.DataFrame, rows: int = 200_000, seed: int = 73) -> pd.DataFrame:
    """
    Return charts of the catalogue's songs, the same at every call.

    :param catalogue: songs with ``spotify_id``, their properties as far as there are any, and
        ``event_timestamp`` or ``snapshot_date``: a song is in no chart before that time.
    :param rows: about how many rows to make.
    :return: spotify_id, country, snapshot_date (UTC midnight), daily_rank (1 is the first); sorted
        by day, country and rank.
    """
    songs = _songs(catalogue)
    rng = np.random.default_rng(seed)
    appeal = _appeal(songs, rng)
    presence = rng.uniform(0.5, 1.0, len(COUNTRIES))
    per_day = min(CHART_SIZE, len(songs)) * presence.sum()
    days = _days(songs["seen"], max(2, round(rows / per_day)))
    charts = []
    luck, since = np.zeros_like(appeal), None
    for day in days:
        if since is None or (day - since).days >= _LUCK_DAYS:
            luck, since = rng.gumbel(size=appeal.shape), day
        countries = np.flatnonzero(rng.random(len(COUNTRIES)) < presence)
        charts.append(_charts(day, songs, appeal + luck, countries, rng))
    return pd.concat(charts, ignore_index=True)


def _songs(catalogue: pd.DataFrame) -> pd.DataFrame:
    """One row per song, at the first day on which its properties are known."""
    songs = catalogue.rename(columns=str.lower)
    known = [column for column in ("event_timestamp", "snapshot_date") if column in songs]
    # The ETL stamps songs without a time with the moment of their arrival.
    arrival = pd.Timestamp.now(tz="UTC")
    seen = pd.to_datetime(songs[known[0]], utc=True) if known else pd.Series(arrival, index=songs.index)
    songs = songs.assign(seen=seen.fillna(arrival).dt.ceil("D").dt.as_unit("us"))
    return (
        songs.sort_values(["seen", "spotify_id"], kind="stable")
        .drop_duplicates("spotify_id")
        .reset_index(drop=True)
    )


def _days(seen: pd.Series, count: int) -> pd.DatetimeIndex:
    """Days from when there are enough songs to when the last one is out, or longer if need be."""
    first = seen.iloc[int(len(seen) * _FIRST_SHARE)]
    step = max(1.0, (seen.iloc[-1] - first).days / (count - 1))
    return pd.DatetimeIndex(first + pd.to_timedelta(np.round(np.arange(count) * step), unit="D")).as_unit(
        "us"
    )


def _appeal(songs: pd.DataFrame, rng: np.random.Generator) -> np.ndarray:
    """How much each country (row) likes each song (column), in logits."""
    standard = np.zeros((len(songs), len(_WEIGHTS)))
    for place, name in enumerate(_WEIGHTS):
        if name in songs:
            values = pd.to_numeric(songs[name], errors="coerce").astype(float)
            values = values.replace([np.inf, -np.inf], np.nan)
            scale = values.std(ddof=0)
            scaled = (values - values.mean()) / scale if scale > 0 else values * 0
            standard[:, place] = scaled.fillna(0).clip(-2.5, 2.5)
    strength = np.array(list(_WEIGHTS.values()))
    tastes = np.zeros((len(COUNTRIES), len(_WEIGHTS)))
    for countries in REGIONS.values():
        region = rng.normal(0, _REGION_TASTE, len(_WEIGHTS))
        for country in countries.split():
            own = rng.normal(0, _OWN_TASTE, len(_WEIGHTS))
            tastes[COUNTRIES.index(country)] = (region + own) * strength
    return tastes @ standard.T


def _charts(
    day: pd.Timestamp,
    songs: pd.DataFrame,
    appeal: np.ndarray,
    countries: np.ndarray,
    rng: np.random.Generator,
) -> pd.DataFrame:
    """The charts of some countries on one day."""
    out = int(songs["seen"].searchsorted(day, side="right"))
    age = (day - songs["seen"].iloc[:out]).dt.days.to_numpy()
    today = appeal[countries, :out] - age / _FADING + rng.normal(0, 0.3, (len(countries), out))
    size = min(CHART_SIZE, out)
    best = np.argpartition(-today, size - 1, axis=1)[:, :size]
    best = np.take_along_axis(best, np.argsort(-np.take_along_axis(today, best, axis=1), axis=1), axis=1)
    return pd.DataFrame(
        {
            "spotify_id": songs["spotify_id"].to_numpy()[best.ravel()],
            "country": np.repeat(np.array(COUNTRIES, dtype=object)[countries], size),
            "snapshot_date": pd.Series(day, index=range(best.size)),
            "daily_rank": np.tile(np.arange(1, size + 1), len(countries)),
        }
    )
