"""Where a dataset comes from: which URL is meant, and whether it may be read."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Any
from urllib.parse import SplitResult, urlsplit, urlunsplit

from feature_ops.exceptions import BadInputError
from feature_ops.masking import shown_address
from feature_ops.settings import Settings

_CONTROL_CHARACTER = re.compile(r"[\x00-\x1f\x7f]")
_EXAMPLES = "https://host/rows.parquet or s3://bucket/rows.parquet"


@dataclass(frozen=True)
class Source:
    """
    A dataset URL that the settings allow.

    :param url: as it was typed; its query may hold a signature, so it is never shown.
    :param scheme: one of https, http, s3, file.
    :param host: host name, or the bucket of an ``s3`` URL, in lower case.
    :param shown: the URL for logs, metadata and commits.
    """

    url: str = field(repr=False)
    scheme: str
    host: str
    shown: str


def wanted_url(typed: str | None, params: Mapping[str, Any], settings: Settings) -> str:
    """
    Return the dataset URL of this run: the form's, else the form's old name's, else the setting's.

    :param params: the run's params; ``url_dataset`` is the name that older callers use.
    """
    for candidate in (typed, params.get("url_dataset"), settings.etl_dataset_url):
        if candidate and str(candidate).strip():
            return str(candidate).strip()
    raise BadInputError(
        f"no dataset URL: type one into dataset_url of the trigger form (such as {_EXAMPLES}), "
        "or set FEATURE_OPS_ETL_DATASET_URL for scheduled runs"
    )


def url_without_secrets(url: str) -> str:
    """
    Return the URL without user info and, except for ``s3`` keys, without query and fragment.

    A slash in a password ends the host: such a password is not shown either.
    """
    parts = _split(url)
    host, scheme = parts.netloc.rpartition("@")[2], parts.scheme.lower()
    if "@" in parts.path + parts.query + parts.fragment and (":" in host or _may_be_password(parts)):
        return shown_address(url)
    if scheme == "s3":
        return f"s3://{host}/{url.split('/', 3)[3] if url.count('/') > 2 else ''}"
    return urlunsplit((scheme, host, parts.path, "", ""))


def parse_source(url: str, settings: Settings) -> Source:
    """
    Return the source behind a URL; raises :class:`BadInputError` if the settings forbid it.

    :param url: what was typed, or where a redirect leads.
    """
    parts = _split(url)
    scheme = parts.scheme.lower()
    if "@" in parts.netloc:
        raise BadInputError(
            f"the dataset URL of host {_host(parts)!r} has a user name or password in it: "
            "use a signed URL or an S3 connection instead"
        )
    if "@" in url and _may_be_password(parts):
        raise BadInputError(
            "the dataset URL is malformed and seems to have a password in it: enter "
            f"{_EXAMPLES}, without user name and password"
        )
    shown = url_without_secrets(url)
    if scheme not in settings.source_schemes:
        raise BadInputError(
            f"{shown!r}: the scheme {scheme or '(none)'!r} is not allowed, only "
            f"{', '.join(settings.source_schemes)} (FEATURE_OPS_SOURCE_SCHEMES); such as {_EXAMPLES}"
        )
    host = _host(parts)
    if scheme == "file":
        if host not in ("", "localhost"):
            raise BadInputError(f"{shown!r}: a file URL has three slashes and no host: file:///folder/file")
    else:
        _check_host(host, shown, settings)
    if not parts.path.strip("/"):
        raise BadInputError(f"{shown!r} names no file; it should look like {_EXAMPLES}")
    return Source(url=url, scheme=scheme, host=host, shown=shown)


def _split(url: str) -> SplitResult:
    # urlsplit would silently drop some of these and so read another URL than a person does.
    if _CONTROL_CHARACTER.search(url):
        raise BadInputError("the dataset URL contains a control character, such as a line break: remove it")
    try:
        parts = urlsplit(url)
        _ = parts.port if parts.scheme.lower() in ("http", "https") else None
    except ValueError as error:
        # The text of a URL may hold a password; the reason never does.
        reason = (
            "its port is not a number from 0 to 65535" if "ort" in str(error) else "its host is malformed"
        )
        raise BadInputError(f"the dataset URL cannot be read: {reason}") from None
    return parts


def _may_be_password(parts: SplitResult) -> bool:
    """Return whether what is before an ``@`` may be a password: one with a slash ends the host too early."""
    if not parts.netloc:
        return parts.scheme.lower() != "file"
    _, colon, port = parts.netloc.rpartition(":")
    return bool(colon) and not port.isdigit()


def _host(parts: SplitResult) -> str:
    if parts.scheme.lower() == "s3":
        return parts.netloc.rpartition("@")[2]
    return (parts.hostname or "").rstrip(".")


def _check_host(host: str, shown: str, settings: Settings) -> None:
    if not host:
        raise BadInputError(f"{shown!r} names no host; it should look like {_EXAMPLES}")
    if not any(fnmatchcase(host, pattern.lower()) for pattern in settings.source_hosts):
        raise BadInputError(
            f"{shown!r}: the host {host!r} is not among the allowed ones, "
            f"{', '.join(settings.source_hosts)} (FEATURE_OPS_SOURCE_HOSTS)"
        )
