"""A run's staging folder: source files as they came, on their way to be checked."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from feature_ops.commit_points import CommitPoint, passing
from feature_ops.exceptions import BadInputError, FeatureOpsError
from feature_ops.object_store import ObjectStore, split_uri
from feature_ops.object_store_failures import UploadGoneError, reading

# S3 takes up to 10,000 parts of at least 5 MiB each.
PART_SIZE = 16 * 1024 * 1024
SOURCE_FILE = "source.parquet"


@dataclass(frozen=True)
class StagedFile:
    """
    A source file in its staging folder.

    :param uri: where it is.
    :param size: its bytes.
    :param sha256: hash of its content, in hex.
    """

    uri: str
    size: int
    sha256: str


def run_folder(run_id: str, map_index: int = -1) -> str:
    """
    Return the name of a run's folder: its id with every sign that a path may not hold replaced.

    :param map_index: index of a mapped task, whose files have a folder of their own; -1 if it is not mapped.
    """
    folder = re.sub(r"[^A-Za-z0-9._-]", "_", run_id)
    return folder if map_index < 0 else f"{folder}/{map_index}"


def stage(chunks: Iterator[bytes], store: ObjectStore, uri: str) -> StagedFile:
    """
    Write a stream to an object in bounded memory; the object appears whole or not at all.

    An object that an earlier try left there is replaced.
    """
    bucket, key = split_uri(uri)
    place = {"Bucket": bucket, "Key": key}
    with passing(CommitPoint.UPLOAD_BEGUN):
        upload = {**place, "UploadId": store.client.create_multipart_upload(**place)["UploadId"]}
    digest, size = hashlib.sha256(), 0
    parts: list[dict[str, Any]] = []
    try:
        for number, part in enumerate(_in_parts(chunks), start=1):
            digest.update(part)
            size += len(part)
            with passing(CommitPoint.PART_SENT):
                answer = store.client.upload_part(**upload, PartNumber=number, Body=part)
            parts.append({"PartNumber": number, "ETag": answer["ETag"]})
        with passing(CommitPoint.SOURCE_STAGED):
            store.client.complete_multipart_upload(**upload, MultipartUpload={"Parts": parts})
    except BaseException:
        # What went wrong is told, not that tidying up did, too: the sweep removes what stays.
        with suppress(FeatureOpsError):
            store.client.abort_multipart_upload(**upload)
        raise
    return StagedFile(uri=uri, size=size, sha256=digest.hexdigest())


def _in_parts(chunks: Iterator[bytes]) -> Iterator[bytes]:
    part = bytearray()
    for chunk in chunks:
        part += chunk
        while len(part) >= PART_SIZE:
            yield bytes(part[:PART_SIZE])
            del part[:PART_SIZE]
    if part:
        yield bytes(part)


def download(staged: StagedFile, store: ObjectStore, path: str) -> None:
    """
    Copy a staged file to the local disk.

    So that from here on a file that does not parse is the file's fault, never the network's.

    :raises BadInputError: the staging folder was swept.
    :raises FeatureOpsError: the content is not what was staged.
    """
    from botocore.exceptions import ClientError

    bucket, key = split_uri(staged.uri)
    try:
        body = store.client.get_object(Bucket=bucket, Key=key)["Body"]
    except ClientError as error:
        if error.response["ResponseMetadata"]["HTTPStatusCode"] == 404:
            raise BadInputError(
                f"{staged.uri} is gone: staged files are removed after FEATURE_OPS_STAGING_DAYS; "
                "trigger a new run"
            ) from None
        raise
    digest = hashlib.sha256()
    with reading(staged.uri), body, open(path, "wb") as file:
        for chunk in body.iter_chunks(1024 * 1024):
            digest.update(chunk)
            file.write(chunk)
    if digest.hexdigest() != staged.sha256:
        raise FeatureOpsError(f"{staged.uri} is not the file that was ingested: clear the ingest task too")


def sweep(store: ObjectStore, prefix_uri: str, before: datetime) -> int:
    """
    Delete files that were last written before a moment, and uploads that never ended.

    :returns: how many files were deleted.
    """
    old = [entry.uri for entry in store.list(prefix_uri) if entry.modified < before]
    for uri in old:
        store.delete(uri)
    _abort_uploads(store, prefix_uri, before)
    return len(old)


def _abort_uploads(store: ObjectStore, prefix_uri: str, before: datetime) -> None:
    bucket, prefix = split_uri(prefix_uri)
    pages = store.client.get_paginator("list_multipart_uploads").paginate(Bucket=bucket, Prefix=prefix)
    for page in pages:
        for upload in page.get("Uploads", ()):
            if upload["Initiated"] < before and upload["Key"].startswith(prefix):
                # Another run's sweep may have been faster.
                with suppress(UploadGoneError):
                    store.client.abort_multipart_upload(
                        Bucket=bucket, Key=upload["Key"], UploadId=upload["UploadId"]
                    )
