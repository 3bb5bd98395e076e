"""
Songs for the demo: generated, the same at every run, shaped like the real catalogue.

The real catalogue ("top songs in 73 countries") has 14,245 songs first seen between 2023-10-18
and 2024-08-26; the columns, types, ranges, null pattern, pandas index column and date span here
are its. Titles, artists and values are made up.
"""

from __future__ import annotations

import base64
from datetime import date, datetime
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from pyarrow.parquet import encryption

CATALOGUE_SIZE = 14_245
NEW_SONG_ID = "1D2SVYXZdtNfJCg8wZWvVz"

_SEED = 20231018
_FIRST_DAY = date(2023, 10, 18)
# Songs first seen per quarter of the real catalogue, by the day the quarter ends.
_QUARTERS = (
    (date(2023, 12, 31), 5354),
    (date(2024, 3, 31), 3521),
    (date(2024, 6, 30), 3629),
    (date(2024, 8, 26), 1741),
)
_UNTITLED = 6
_BASE62 = np.array(list("0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"))
_FIRST_WORDS = (
    "Silver Midnight Paper Golden Broken Electric Quiet Summer Neon Hollow Crimson Endless Velvet "
    "Distant Burning Frozen Lucky Wild Secret Northern Sleeping Gentle Restless Tender"
).split()
_SECOND_WORDS = (
    "River Skies Hearts Lights Train Garden Window Letters Dance Shadows Ocean Streets Echo Fire "
    "Morning Stars Promise Highway Mirror Rain Kingdom Flowers Thunder Memory"
).split()
_ARTISTS = (
    "The Paper Kites Club|Marisol Vega|DJ Halcyon|Nordlys|Ana & the Tide|Kofi Mensah|Lune Noire|"
    "Saturday Arcade|Yuki Tanabe|Los Faroles|Iron Petal|Mira Devi|Glasshouse|Ottoline|Big Harbor|"
    "Seo Jiwon|Café Meridian|Tomás Rey|Velour|Wren"
).split("|")


def catalogue() -> pd.DataFrame:
    """Return the 14,245 songs: 18 columns, sorted by ``event_timestamp`` (naive midnights)."""
    rng = np.random.default_rng(_SEED)
    songs = _properties(rng, CATALOGUE_SIZE)
    songs.insert(3, "event_timestamp", _first_seen(rng))
    untitled = rng.choice(CATALOGUE_SIZE, _UNTITLED, replace=False)
    songs.loc[untitled, ["name", "artists"]] = None
    songs.loc[untitled, "duration_ms"] = 0
    # As in the real file: an index that pandas kept from a larger table.
    songs.index = pd.Index(rng.permutation(2_000_000)[:CATALOGUE_SIZE])
    return songs


def new_song() -> pd.DataFrame:
    """Return the one song of the story: 17 columns, no timestamp."""
    song = _properties(np.random.default_rng(_SEED + 1), 1)
    song.loc[0, ["spotify_id", "name", "artists"]] = [NEW_SONG_ID, "Live Forever", "Oasis"]
    song.index = pd.Index([522_374])
    return song


def write_catalogue(path: Path) -> None:
    """Write the catalogue as parquet, with its pandas index as the column ``__index_level_0__``."""
    catalogue().to_parquet(path, index=True)


def write_new_song(path: Path) -> None:
    """Write the story's new song as parquet."""
    new_song().to_parquet(path, index=True)


def write_encrypted(path: Path, songs: pd.DataFrame, column: str) -> None:
    """Write songs as parquet with one encrypted column: pyarrow's reader of metadata aborts its process."""
    table = pa.Table.from_pandas(songs, preserve_index=False)
    configuration = encryption.EncryptionConfiguration(
        footer_key="footer", column_keys={"column": [column]}, plaintext_footer=True
    )
    factory = encryption.CryptoFactory(lambda _: _NoKeyManagement())
    properties = factory.file_encryption_properties(encryption.KmsConnectionConfig(), configuration)
    with pq.ParquetWriter(path, table.schema, encryption_properties=properties) as writer:
        writer.write_table(table)


class _NoKeyManagement(encryption.KmsClient):  # type: ignore[misc]
    """Keeps keys as they are: nobody is to read the file."""

    def wrap_key(self, key: bytes, master_key: str) -> bytes:
        return base64.b64encode(key)

    def unwrap_key(self, wrapped_key: bytes, master_key: str) -> bytes:
        return base64.b64decode(wrapped_key)


def _first_seen(rng: np.random.Generator) -> pd.DatetimeIndex:
    days = pd.date_range(_FIRST_DAY, _QUARTERS[-1][0])
    # On eleven of the 314 days no new song was seen.
    days = days.delete(range(28, len(days), 28))
    seen = []
    for last_day, count in _QUARTERS:
        quarter = days[days <= pd.Timestamp(last_day)]
        days = days[len(quarter) :]
        # Each day once, so that none is left out by chance.
        seen.append(np.concatenate([quarter, rng.choice(quarter, count - len(quarter))]))
    return pd.DatetimeIndex(np.sort(np.concatenate(seen)))


def _properties(rng: np.random.Generator, count: int) -> pd.DataFrame:
    """Songs with the ranges of the real ones; energy and loudness correlate at about 0.7."""
    mood = rng.normal(size=count)
    energy = np.clip(0.64 + 0.17 * mood, 0.00002, 0.998)
    loudness = np.clip(-6.8 + 2.6 * (0.72 * mood + 0.69 * rng.normal(size=count)), -37.334, 3.233)
    acoustic = np.clip(rng.beta(0.7, 2.0, count) * (1.15 - 0.5 * energy), 0.000008, 0.996)
    return pd.DataFrame(
        {
            "spotify_id": ["".join(row) for row in rng.choice(_BASE62, (count, 22))],
            "name": [
                f"{first} {second}"
                for first, second in zip(
                    rng.choice(_FIRST_WORDS, count), rng.choice(_SECOND_WORDS, count), strict=True
                )
            ],
            "artists": rng.choice(_ARTISTS, count).astype(object),
            "is_explicit": rng.random(count) < 0.327,
            "duration_ms": np.clip(rng.normal(193_000, 45_000, count), 30_000, 939_666).astype("int64"),
            "danceability": np.round(np.clip(rng.normal(0.68, 0.14, count), 0, 0.988), 3),
            "energy": np.round(energy, 5),
            "key": rng.integers(0, 12, count),
            "loudness": np.round(loudness, 3),
            "mode": rng.integers(0, 2, count),
            "speechiness": np.round(np.clip(rng.gamma(1.4, 0.07, count), 0, 0.921), 4),
            "acousticness": np.round(acoustic, 6),
            "instrumentalness": np.round(np.where(rng.random(count) < 0.8, 0, rng.random(count)) * 0.974, 6),
            "liveness": np.round(np.clip(rng.gamma(2.0, 0.085, count), 0.0139, 0.978), 4),
            "valence": np.round(np.clip(rng.normal(0.54, 0.22, count), 0, 0.992), 3),
            "tempo": np.round(np.clip(rng.normal(122, 28, count), 0, 235.907), 3),
            "time_signature": rng.choice([3, 4, 5], count, p=[0.06, 0.92, 0.02]),
        }
    )


def stamped(songs: pd.DataFrame, event_timestamp: datetime, **values: object) -> pd.DataFrame:
    """Return a copy of the songs with that event time and those column values."""
    return songs.drop(columns=["event_timestamp", "snapshot_date"], errors="ignore").assign(
        event_timestamp=pd.Timestamp(event_timestamp), **values
    )
