"""Files by URI: ``s3://…`` with the environment's AWS_* variables, or a path."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import fsspec
import pandas as pd
import pyarrow.parquet as pq

from jukebox.errors import TrainingError


def read_parquet(uri: str, columns: Sequence[str]) -> pd.DataFrame:
    """
    Read columns of a parquet file.

    :raises TrainingError: there is no such file, it is not parquet, or a column is missing.
    """
    try:
        with fsspec.open(uri, "rb") as file:
            parquet = pq.ParquetFile(file)
            missing = [column for column in columns if column not in parquet.schema_arrow.names]
            if missing:
                raise TrainingError(
                    f"{uri} has no column {', '.join(missing)}: it needs {', '.join(columns)}"
                )
            found: pd.DataFrame = parquet.read(columns=list(columns)).to_pandas()
            return found
    except FileNotFoundError:
        raise TrainingError(f"there is no {uri}: correct its address, or put it there") from None
    except ValueError as error:  # among them what pyarrow says of bytes that are not parquet
        raise TrainingError(f"{uri} can't be read as parquet ({error}): replace it") from error


def read_text(uri: str) -> str:
    """Read a small file; raises ``FileNotFoundError`` if there is none."""
    with fsspec.open(uri, "r", encoding="utf-8") as file:
        return str(file.read())


def write_text(uri: str, text: str) -> None:
    """Write a file as a whole; on a path its folder is made."""
    if "://" not in uri:
        Path(uri).parent.mkdir(parents=True, exist_ok=True)
    with fsspec.open(uri, "w", encoding="utf-8") as file:
        file.write(text)
