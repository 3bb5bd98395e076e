"""
What it means to a person when a dataset's files cannot be read.

Arrow, DuckDB and Feast say it each in their own way, often without the file's name. So once reading has
failed, the files themselves are asked: each is named after the hash of its content.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from errno import ENOENT

from feature_ops.exceptions import BadInputError, FeatureOpsError
from feature_ops.object_store import ObjectStore, split_uri
from feature_ops.object_store_failures import ObjectStoreError, reading

_NAMED_BY_CONTENT = re.compile(r"([0-9a-f]{20})\.parquet")
_CHUNK_SIZE = 1024 * 1024
_SHOWN = 200
# How Arrow begins what S3 answers.
_S3_ERROR = "AWS Error"


@contextmanager
def reading_history(uris: Iterable[str], store: ObjectStore) -> Iterator[None]:
    """
    Say which file cannot be read, and the remedy, if reading a history fails in the block.

    :param uris: the files.
    :raises BadInputError: a file's content is not what its name says: a person must put it right.
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
            _check(uri, store)
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


def _check(uri: str, store: ObjectStore) -> None:
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
    named = _NAMED_BY_CONTENT.fullmatch(uri.rsplit("/", 1)[-1])
    if named and not digest.hexdigest().startswith(named[1]):
        raise BadInputError(
            f"{uri} is damaged: it does not hold what its name says. Remove it and run the DAG again, which "
            "puts it back from the DVC remote; where git does not point to it, ingest its source again"
        )
