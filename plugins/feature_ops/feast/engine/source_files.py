"""The parquet files behind a Feast ``FileSource``, as a pyarrow dataset."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import pyarrow.dataset as pads
from pyarrow.fs import FileSelector, FileSystem, FileType, LocalFileSystem, S3FileSystem

if TYPE_CHECKING:
    from pathlib import Path

    import pyarrow as pa
    from feast import FileSource

_SUFFIXES = (".parquet", ".parq", ".pq")
# Of larger files, each row group is scanned like a file of its own: what Arrow has fetched of a file, it
# keeps until the end of that.
_SMALL_FILE = 32 << 20


def why_not_readable(source: FileSource) -> str | None:
    """Return why Feast has to read the source itself; None if it can be opened here."""
    from feast.data_format import ParquetFormat

    path = source.file_options.uri
    if source.file_format is not None and type(source.file_format) is not ParquetFormat:
        return f"its source has the format {type(source.file_format).__name__}"
    if "://" in path and not path.startswith(("s3://", "file://")):
        return f"its source is at {path.partition('://')[0]}://"
    return "its source is a pattern of names" if any(sign in path for sign in "*?[") else None


def parquet_files(
    paths: Sequence[str],
    sizes: Sequence[int],
    filesystem: FileSystem | None,
    schema: pa.Schema | None = None,
) -> pads.FileSystemDataset:
    """
    Return the rows of files, in that order, to be scanned in memory that does not grow with a file.

    :param sizes: bytes of each file.
    :param schema: columns that a file lacks are null then; that of the first file if None.
    """
    whole = pads.dataset(list(paths), filesystem=filesystem, schema=schema, format="parquet")
    if max(sizes, default=0) <= _SMALL_FILE:
        return whole
    fragments: list[pads.ParquetFileFragment] = []
    for file, size in zip(whole.get_fragments(), sizes, strict=True):
        fragments += [file] if size <= _SMALL_FILE else file.split_by_row_group()
    return pads.FileSystemDataset(fragments, whole.schema, whole.format, whole.filesystem)


def bounded_scanner(
    dataset: pads.Dataset,
    columns: Mapping[str, pads.Expression],
    where: pads.Expression | None,
    *,
    batch_rows: int,
    files_at_once: int,
) -> pads.Scanner:
    """
    Return a stream of rows that holds few of them at a time, however slowly they are taken.

    :param dataset: of :func:`parquet_files`.
    :param files_at_once: how many small files are fetched at once; of row groups of large files a quarter.
    """
    files = dataset.files if isinstance(dataset, pads.FileSystemDataset) else []
    are_groups = len(set(files)) < len(files)
    return dataset.scanner(
        columns=dict(columns),
        filter=where,
        batch_size=batch_rows,
        batch_readahead=4,
        fragment_readahead=max(1, files_at_once // 4) if are_groups else files_at_once,
        # Arrow's threads decode up to a GB ahead, whatever it says above. What is fetched ahead is so without
        # them, too.
        use_threads=False,
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
    return parquet_files([file.path for file in found], [file.size for file in found], filesystem)


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
