"""The parquet files behind a Feast ``FileSource``, as a pyarrow dataset."""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import TYPE_CHECKING

import pyarrow.dataset as pads
from pyarrow.fs import FileSelector, FileSystem, FileType, LocalFileSystem, S3FileSystem

if TYPE_CHECKING:
    from pathlib import Path

    from feast import FileSource

_SUFFIXES = (".parquet", ".parq", ".pq")
# Bytes of a file on S3 of which Arrow may fetch whatever comes next: it keeps all that until the file's end.
_FETCHED_AHEAD = 32 << 20


def why_not_readable(source: FileSource) -> str | None:
    """Return why Feast has to read the source itself; None if it can be opened here."""
    from feast.data_format import ParquetFormat

    path = source.file_options.uri
    if source.file_format is not None and type(source.file_format) is not ParquetFormat:
        return f"its source has the format {type(source.file_format).__name__}"
    if "://" in path and not path.startswith(("s3://", "file://")):
        return f"its source is at {path.partition('://')[0]}://"
    return "its source is a pattern of names" if any(sign in path for sign in "*?[") else None


def is_fetched_ahead(size: int | None) -> bool:
    """
    Whether a file is small enough to be fetched in few requests and to be kept in memory while it is read.

    :param size: bytes of a file on S3; None if it is local, where requests cost nothing.
    """
    return size is not None and size <= _FETCHED_AHEAD


def parquet_format(sizes: Iterable[int | None]) -> pads.ParquetFileFormat:
    """
    Return how files are to be scanned together, in memory that does not grow with the largest of them.

    :param sizes: as :func:`is_fetched_ahead` takes them.
    """
    ahead = all(map(is_fetched_ahead, sizes))
    return pads.ParquetFileFormat(
        default_fragment_scan_options=pads.ParquetFragmentScanOptions(pre_buffer=ahead)
    )


def open_source(source: FileSource, repo_path: Path | None) -> pads.Dataset:
    """
    Open the source's files: the one that it names, or all below the folder.

    S3 is signed in to as Feast does it: by the source's own credentials, else by those of the environment.

    :raises FileNotFoundError: there is no file.
    """
    from feast import FileSource

    uri = FileSource.get_uri_for_file_path(repo_path, source.file_options.uri)
    filesystem, path = _place(source, uri)
    info = filesystem.get_file_info(path)
    if info.type is FileType.File:
        found = [info]
    else:
        selector = FileSelector(path.rstrip("/"), recursive=True, allow_not_found=True)
        found = sorted(
            (
                file
                for file in filesystem.get_file_info(selector)
                if file.type is FileType.File and file.path.endswith(_SUFFIXES)
            ),
            key=lambda file: file.path,
        )
    if not found:
        raise FileNotFoundError(f"no parquet file in {uri}")
    is_local = isinstance(filesystem, LocalFileSystem)
    return pads.dataset(
        [file.path for file in found],
        filesystem=filesystem,
        format=parquet_format(None if is_local else file.size for file in found),
    )


def _place(source: FileSource, uri: str) -> tuple[FileSystem, str]:
    if not uri.startswith("s3://"):
        return LocalFileSystem(), uri.removeprefix("file://")
    credentials = source.resolve_credentials() or {}
    endpoint = source.file_options.s3_endpoint_override or os.environ.get("AWS_ENDPOINT_URL")
    # Only what is set: an explicit None would switch off the default chain of credentials.
    options = {
        "access_key": credentials.get("AWS_ACCESS_KEY_ID"),
        "secret_key": credentials.get("AWS_SECRET_ACCESS_KEY"),
        "session_token": credentials.get("AWS_SESSION_TOKEN"),
        "region": credentials.get("AWS_DEFAULT_REGION") or os.environ.get("AWS_DEFAULT_REGION"),
        "endpoint_override": endpoint,
    }
    filesystem = S3FileSystem(**{name: value for name, value in options.items() if value})
    return filesystem, uri.removeprefix("s3://")
