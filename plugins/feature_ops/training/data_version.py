"""Data version of a training: a hash over the files that the training reads, and no others."""

from __future__ import annotations

import hashlib
import logging
import re
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

from feature_ops.dvc.pointers import DATA_FILE
from feature_ops.object_store_failures import ObjectStoreRefusedError
from feature_ops.settings import get_settings

if TYPE_CHECKING:
    from feature_ops.feast.diff.definitions import Definitions
    from feature_ops.object_store import ObjectStore, StoredObject
    from feature_ops.training.declaration import Model

log = logging.getLogger(__name__)

_PARQUET = (".parquet", ".parq", ".pq")
_WILDCARD = re.compile(r"[*?[]")


def data_version(definitions: Definitions, model: Model, store: ObjectStore) -> str:
    """
    Return the version (20 hex digits) of the data that a model is trained on.

    It covers the parquet files behind its feature service, and every file at the ``s3://`` addresses among
    its arguments, such as labels. What is not on the object store of the history is not covered.

    :param definitions: those of the commit that is trained; no code of the commit runs.
    :raises KeyError: the commit does not define the model's feature service.
    """
    from feature_ops.feast.diff.kinds import FEATURE_SERVICE
    from feature_ops.feast.diff.reading import file_uris_read

    service = definitions.of_kind(FEATURE_SERVICE)[model.feature_service]
    sources = file_uris_read(definitions.objects, service)
    files = [file for uri in sources for file in files_at(uri, store, _PARQUET)]
    files += [file for uri in model.arguments.values() for file in files_at(uri, store)]
    lines = sorted({_identity(file) for file in files})
    return hashlib.sha256("\n".join(lines).encode(errors="surrogateescape")).hexdigest()[:20]


def files_at(uri: str, store: ObjectStore, suffixes: tuple[str, ...] = ("",)) -> list[StoredObject]:
    """
    List the files at an ``s3://`` address; none for any other address.

    :param uri: one file, a folder with or without a slash at its end, or a pattern of names.
    :param suffixes: ends of the names that count in a folder.
    """
    if not uri.startswith("s3://"):
        return []
    wildcard = _WILDCARD.search(uri)
    prefix = uri[: wildcard.start()] if wildcard else uri.rstrip("/")
    folder = f"{prefix}/"
    # A source may be the whole bucket; what the steps keep there is not data.
    internal = f"{get_settings().storage_uri}/_"

    def counts(file: StoredObject) -> bool:
        if file.uri == uri:
            return True
        if file.uri.startswith(internal):
            return False
        if wildcard:
            return fnmatchcase(file.uri, uri)
        return file.uri.startswith(folder) and file.name.endswith(suffixes)

    try:
        return [file for file in store.list(prefix) if counts(file)]
    except ObjectStoreRefusedError as error:
        if uri.startswith(f"{get_settings().storage_uri}/"):
            raise
        # Another store's, which only the training has the credentials of: it reports what is wrong.
        log.warning("The data version does not cover %s: %s", uri, error)
        return []


def _identity(file: StoredObject) -> str:
    """Return what changes exactly if the file's content does."""
    # A copy that restores a history file may get another ETag; its name is the hash of its content.
    return file.uri if DATA_FILE.match(file.name) else f"{file.uri} {file.size} {file.etag}"
