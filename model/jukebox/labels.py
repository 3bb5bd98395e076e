"""The labels: which song was ranked in which country on which day."""

from __future__ import annotations

import pandas as pd

from jukebox.errors import TrainingError
from jukebox.files import read_parquet

SONG, COUNTRY, DAY = "spotify_id", "country", "snapshot_date"


def read_labels(uri: str) -> pd.DataFrame:
    """
    Read the rankings: one row for each song, country and day (UTC), oldest first.

    Rows without a country are those of the worldwide ranking; they are no labels, nor are rows without a
    song or a day.

    :raises TrainingError: there are none, only of one country, or a country is no code of two letters.
    """
    rows = read_parquet(uri, [SONG, COUNTRY, DAY]).dropna().drop_duplicates(ignore_index=True)
    if rows.empty:
        raise TrainingError(f"{uri} has no rows with a song, a country and a day: add rankings")
    try:
        rows[DAY] = pd.to_datetime(rows[DAY], utc=True, format="ISO8601").astype("datetime64[ns, UTC]")
    except (ValueError, TypeError) as error:
        raise TrainingError(f"column {DAY} of {uri} is no time ({error}): write timestamps in UTC") from None
    countries = rows[COUNTRY].astype(str)
    wrong = countries[~countries.str.fullmatch("[A-Z]{2}")]
    if not wrong.empty:
        raise TrainingError(
            f"column {COUNTRY} of {uri} has {wrong.iloc[0]!r}: write codes of two capital letters, as in 'AR'"
        )
    if countries.nunique() == 1:
        raise TrainingError(
            f"{uri} has rankings of {countries.iloc[0]} only: a choice needs at least two countries"
        )
    ordered: pd.DataFrame = rows.sort_values([DAY, SONG, COUNTRY], ignore_index=True)
    return ordered
