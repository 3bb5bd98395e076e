"""
Translate failures of reading a dataset's files into errors that name the file and the remedy.

Arrow, DuckDB and Feast report them each in their own way, often without the file's name. After a failure
the files themselves are checked: the name of each is the hash of its content.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from errno import ENOENT
from typing import TYPE_CHECKING

from feature_ops.exceptions import BadInputError, FeatureOpsError
from feature_ops.object_store import ObjectStore, split_uri
from feature_ops.object_store_failures import ObjectStoreError, reading

if TYPE_CHECKING:
    from feature_ops.datasets.dataset import Dataset

_NAMED_BY_CONTENT = re.compile(r"([0-9a-f]{20})\.parquet")
_CHUNK_SIZE = 1024 * 1024
_BATCH_ROWS = 16_384
_SHOWN = 200
# How Arrow begins what S3 answers.
_S3_ERROR = "AWS Error"


class UnreadableFileError(BadInputError):
    """
    A file of the history cannot be read until a user fixes it.

    :param uri: the file.
    """

    def __init__(self, message: str, uri: str) -> None:
        super().__init__(message)
        self.uri = uri


@contextmanager
def reading_history(
    uris: Iterable[str], store: ObjectStore, dataset: Dataset | None = None
) -> Iterator[None]:
    """
    Name the file that cannot be read, and the remedy, if reading a history fails in the block.

    :param uris: the files.
    :param dataset: whose declared types each file must have; not compared if None.
    :raises UnreadableFileError: a file is damaged, no parquet file, or of other types.
    :raises ObjectStoreError: a file is gone or does not arrive; a later try may find it well.
    """
    import pyarrow as pa

    try:
        yield
    except FeatureOpsError:
        raise
    except Exception as error:
        reason = " ".join(str(error).split())
        if not (isinstance(error, pa.ArrowException) or _may_be_remote(error, reason)):
            raise
        for uri in _suspects(list(uris), reason):
            _check(uri, store, dataset)
        if _S3_ERROR in reason:
            raise ObjectStoreError(
                f"the history could not be read from {store.client.meta.endpoint_url}, and can be now "
                f"({reason[:_SHOWN]}): try again"
            ) from None
        raise


def _may_be_remote(error: Exception, reason: str) -> bool:
    """Whether an error may be about a file of the history, and is not about the local disk."""
    if isinstance(error, OSError):
        return error.errno in (None, ENOENT) or _S3_ERROR in reason
    # What DuckDB reads, it reads from Arrow.
    return type(error).__module__.endswith("duckdb")


def _suspects(uris: list[str], reason: str) -> list[str]:
    """Return the files that an error names; all of them if it names none."""
    named = [uri for uri in uris if "/".join(split_uri(uri)) in reason]
    return named or uris


def _check(uri: str, store: ObjectStore, dataset: Dataset | None) -> None:
    digest = _digest(uri, store)
    named = _NAMED_BY_CONTENT.fullmatch(uri.rsplit("/", 1)[-1])
    if named and not digest.startswith(named[1]):
        raise UnreadableFileError(
            f"{uri} is damaged: it does not hold what its name says. Remove it and run the DAG again, which "
            "puts it back from the DVC remote; where git does not point to it, ingest its source again",
            uri,
        )
    reason = _why_unreadable(uri, store, dataset)
    if reason and not named:
        raise UnreadableFileError(
            f"{uri} is not a whole parquet file ({reason}), and its name shows that no step has written it: "
            "remove it and run the DAG again",
            uri,
        )
    if reason:
        raise UnreadableFileError(
            f"{uri} is not a whole parquet file ({reason}), although it holds what its name says: remove it "
            "and, if git has one, its pointer, then ingest its source again",
            uri,
        )


def _digest(uri: str, store: ObjectStore) -> str:
    from botocore.exceptions import ClientError

    bucket, key = split_uri(uri)
    digest = hashlib.sha256()
    try:
        with reading(uri):
            body = store.client.get_object(Bucket=bucket, Key=key)["Body"]
            for chunk in body.iter_chunks(_CHUNK_SIZE):
                digest.update(chunk)
    except ClientError as error:
        if error.response["ResponseMetadata"]["HTTPStatusCode"] != 404:
            raise
        raise ObjectStoreError(
            f"{uri} was listed and is gone: another run moved it, or a person removed it. Try again; if git "
            "points to it, a new run of the DAG puts it back"
        ) from None
    return digest.hexdigest()


def _why_unreadable(uri: str, store: ObjectStore, dataset: Dataset | None) -> str | None:
    """Return why a whole file cannot be read as parquet; None if it can."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile("/".join(split_uri(uri)), filesystem=store.filesystem, pre_buffer=False) as file:
            if dataset:
                # Not above: that module reads the history by way of this one.
                from feature_ops.datasets.history import check_types

                check_types(dataset, file.schema_arrow, uri)
            for _ in file.iter_batches(batch_size=_BATCH_ROWS):
                pass
    except (pa.ArrowException, OSError) as error:
        reason = " ".join(str(error).split())
        return None if _S3_ERROR in reason else reason[:_SHOWN]
    return None
