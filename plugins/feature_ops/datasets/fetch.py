"""Open a dataset's source as a stream of chunks, whatever its scheme."""

from __future__ import annotations

import os
import stat
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urljoin, urlsplit

from feature_ops.datasets.guarded_http import ForbiddenAddressError, http_session
from feature_ops.datasets.source import Source, parse_source
from feature_ops.exceptions import BadInputError, FeatureOpsError
from feature_ops.object_store import ObjectStore, split_uri
from feature_ops.object_store_failures import ObjectStoreRefusedError, reading
from feature_ops.settings import Settings

if TYPE_CHECKING:
    from requests import Response, Session

CHUNK_SIZE = 1024 * 1024
MAX_REDIRECTS = 5
# A client's mistakes that a later try may cure: time-out, too early, too many requests.
_PASSING = frozenset({408, 425, 429})


@contextmanager
def open_source(source: Source, store: ObjectStore, settings: Settings) -> Iterator[Iterator[bytes]]:
    """
    Yield the source's bytes in chunks of at most :data:`CHUNK_SIZE`.

    :param store: the object store of ``s3`` sources.
    :raises BadInputError: there is no such file, it may not be read or it is too large.
    :raises FeatureOpsError: the source failed; a later try may work.
    """
    openers = {"https": _open_http, "http": _open_http, "file": _open_file, "s3": _open_s3}
    with openers[source.scheme](source, store, settings) as chunks:
        yield _limited(chunks, source, settings)


def _limited(chunks: Iterator[bytes], source: Source, settings: Settings) -> Iterator[bytes]:
    deadline = time.monotonic() + settings.source_deadline
    size = 0
    for chunk in chunks:
        size += len(chunk)
        _check_size(size, source, settings)
        if time.monotonic() > deadline:
            raise FeatureOpsError(
                f"{source.shown} sent {size:,} bytes in {settings.source_deadline:.0f} s and was not done "
                "(FEATURE_OPS_SOURCE_DEADLINE)"
            )
        yield chunk
    if not size:
        raise BadInputError(f"{source.shown} is an empty file: check that it was written completely")


def _check_size(size: int, source: Source, settings: Settings) -> None:
    if size > settings.source_max_size:
        raise BadInputError(
            f"{source.shown} is larger than {settings.source_max_size.human_readable()}: "
            "split the file, or raise FEATURE_OPS_SOURCE_MAX_SIZE"
        )


@contextmanager
def _open_http(source: Source, _store: ObjectStore, settings: Settings) -> Iterator[Iterator[bytes]]:
    with http_session(settings.source_private_addresses) as session:
        response = _follow(session, source, settings)
        with response:
            _check_status(response, source)
            announced = response.headers.get("Content-Length", "")
            if announced.isdigit():
                _check_size(int(announced), source, settings)
            yield _http_chunks(response, source)


def _follow(session: Session, source: Source, settings: Settings) -> Response:
    """Return the first answer that is no redirect; each hop must be a source that is allowed itself."""
    hop = source
    for _ in range(MAX_REDIRECTS + 1):
        response = _get(session, hop, settings)
        target = response.headers.get("Location") if response.is_redirect else None
        if target is None:
            return response
        response.close()
        hop = _redirected(hop, urljoin(hop.url, target), settings)
    raise BadInputError(f"{source.shown} redirects more than {MAX_REDIRECTS} times: use the final address")


def _redirected(hop: Source, url: str, settings: Settings) -> Source:
    try:
        target = parse_source(url, settings)
    except BadInputError as error:
        raise BadInputError(f"{hop.shown} redirects to a place that is not allowed: {error}") from None
    if target.scheme not in ("https", "http"):
        raise BadInputError(f"{hop.shown} redirects to {target.shown}, which is not a web address")
    return target


def _get(session: Session, hop: Source, settings: Settings) -> Response:
    from requests import RequestException

    try:
        return session.get(hop.url, stream=True, allow_redirects=False, timeout=settings.source_timeout)
    except ForbiddenAddressError as error:
        raise BadInputError(f"{hop.shown} may not be read: {error}") from None
    except RequestException as error:
        raise FeatureOpsError(
            f"{hop.shown} could not be fetched: {_reason(error, hop)}; try again later"
        ) from None


def _check_status(response: Response, source: Source) -> None:
    status = response.status_code
    if status == 200:
        return
    answer = f"{source.shown} answered {status} {response.reason or ''}".rstrip()
    if 400 <= status < 500 and status not in _PASSING:
        raise BadInputError(f"{answer}: check the address, and whether a signed URL has expired")
    if status < 400:
        raise BadInputError(f"{answer} instead of 200: the address does not lead to a whole file")
    raise FeatureOpsError(f"{answer}: the server has a problem, try again later")


def _http_chunks(response: Response, source: Source) -> Iterator[bytes]:
    from urllib3.exceptions import HTTPError

    try:
        # read1 returns what has arrived, so a body that trickles cannot hold up the deadline's check.
        while chunk := response.raw.read1(CHUNK_SIZE, decode_content=True):
            yield chunk
    except (HTTPError, OSError) as error:
        raise FeatureOpsError(
            f"{source.shown} broke off: {_reason(error, source)}; try again later"
        ) from None


def _reason(error: BaseException, source: Source) -> str:
    """Say what went wrong, without the query string, which the libraries repeat."""
    cause: Any = error.args[0] if error.args else error
    cause = getattr(cause, "reason", None) or cause
    text = f"{type(cause).__name__ if isinstance(cause, BaseException) else type(error).__name__}: {cause}"
    query = urlsplit(source.url).query
    return text.replace(query, "…") if query else text


@contextmanager
def _open_file(source: Source, _store: ObjectStore, settings: Settings) -> Iterator[Iterator[bytes]]:
    try:
        path = Path(unquote(urlsplit(source.url).path)).resolve(strict=True)
    except (OSError, RuntimeError, ValueError):
        raise BadInputError(f"{source.shown}: there is no such file") from None
    if not any(path.is_relative_to(folder.resolve()) for folder in settings.source_folders):
        folders = ", ".join(map(str, settings.source_folders)) or "none"
        raise BadInputError(
            f"{source.shown} is not inside an allowed folder (FEATURE_OPS_SOURCE_FOLDERS: {folders})"
        )
    try:
        # Non-blocking, or a named pipe would be waited for; what is opened is what is checked.
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError as error:
        raise BadInputError(f"{source.shown} cannot be read: {error.strerror}") from None
    facts = os.fstat(descriptor)
    if not stat.S_ISREG(facts.st_mode):
        os.close(descriptor)
        raise BadInputError(f"{source.shown} is not a regular file")
    with os.fdopen(descriptor, "rb") as file:
        _check_size(facts.st_size, source, settings)
        yield iter(lambda: file.read(CHUNK_SIZE), b"")


@contextmanager
def _open_s3(source: Source, store: ObjectStore, settings: Settings) -> Iterator[Iterator[bytes]]:
    from botocore.exceptions import ClientError

    bucket, key = split_uri(source.url)
    try:
        answer = store.client.get_object(Bucket=bucket, Key=key)
    except (ClientError, ObjectStoreRefusedError) as error:
        code = error.code if isinstance(error, ObjectStoreRefusedError) else error.response["Error"]["Code"]
        raise BadInputError(
            f"{source.shown} cannot be read ({code}): check bucket and key, and what the "
            f"connection {settings.aws_conn_id!r} may read"
        ) from None
    # Not the body itself: as a context manager it hands out the raw stream.
    with closing(answer["Body"]) as body:
        _check_size(answer["ContentLength"], source, settings)
        yield _s3_chunks(body, source)


def _s3_chunks(body: Any, source: Source) -> Iterator[bytes]:
    with reading(source.shown):
        yield from body.iter_chunks(CHUNK_SIZE)
