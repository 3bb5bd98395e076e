"""Fetch a data file and make sure that it is the one its name promises."""

from __future__ import annotations

import hashlib
from pathlib import Path

from feature_ops.dvc.pointers import Pointer
from feature_ops.exceptions import BadInputError
from feature_ops.object_store import ObjectStore, split_uri
from feature_ops.object_store_failures import reading


def download(store: ObjectStore, uri: str, target: Path) -> bool:
    """Write an object to a local file; returns False if there is no such object."""
    from botocore.exceptions import ClientError

    bucket, key = split_uri(uri)
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        with reading(uri):
            store.client.download_file(bucket, key, str(target))
    except ClientError as error:
        if error.response["ResponseMetadata"]["HTTPStatusCode"] == 404:
            return False
        raise
    return True


def verified_sha256(file: Path, uri: str, name: str, pointer: Pointer | None = None) -> str:
    """
    Return the SHA-256 of a file; raises :class:`BadInputError` if it is not what it is called.

    :param uri: where the file came from, for the message.
    :param name: the name that begins with the hash of its content.
    :param pointer: what git says of it, if git is known to.
    """
    content, legacy = hashlib.sha256(), hashlib.md5(usedforsecurity=False)
    with file.open("rb") as stream:
        while chunk := stream.read(1 << 20):
            content.update(chunk)
            legacy.update(chunk)
    as_named = content.hexdigest().startswith(name.partition(".")[0])
    as_pointed = pointer is None or (legacy.hexdigest(), file.stat().st_size) == (pointer.md5, pointer.size)
    if not (as_named and as_pointed):
        told = "its pointer in git" if as_named else f"its name {name}"
        raise BadInputError(
            f"{uri} does not hold what {told} says, so it does not enter the history; "
            "put the right file there, or remove it and ingest its source again"
        )
    return content.hexdigest()
