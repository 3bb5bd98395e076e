"""What an object store that does not play along means to a person."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from feature_ops.exceptions import BadInputError, FeatureOpsError

_PLACE = "feature_ops_place"
_SIGN_IN = frozenset(
    {
        *("InvalidAccessKeyId", "SignatureDoesNotMatch", "InvalidToken", "ExpiredToken"),
        *("AuthorizationHeaderMalformed", "NotSignedUp", "NoCredentialsError", "PartialCredentialsError"),
    }
)
_FULL = frozenset({"QuotaExceeded", "InsufficientStorage", "XMinioStorageFull"})
# A client's mistakes that a later try may cure: time-out, too early, too many requests.
_PASSING = frozenset({408, 425, 429})


class ObjectStoreError(FeatureOpsError):
    """The object store did not do its part; a later try may find it well."""


class UploadGoneError(ObjectStoreError):
    """The object store does not know the upload: it is complete or aborted, and the answer was lost."""


class ObjectStoreRefusedError(ObjectStoreError, BadInputError):
    """
    The object store knows the account not, does not let it do this, or has no such bucket.

    :param code: the store's word for it.
    """

    def __init__(self, message: str, code: str) -> None:
        super().__init__(message)
        self.code = code


def explain_failures(client: Any) -> None:
    """
    Have a boto3 S3 client raise :class:`ObjectStoreError` where it can't go on.

    What callers tell apart themselves, such as a missing object or a lost race, stays a ``ClientError``.
    """
    events = client.meta.events

    def remember(params: Mapping[str, Any], context: dict[str, Any], **_: Any) -> None:
        bucket, key = params.get("Bucket"), params.get("Key") or params.get("Prefix") or ""
        context[_PLACE] = f"s3://{bucket}/{key}"

    def answered(http_response: Any, parsed: Mapping[str, Any], model: Any, context: Any, **_: Any) -> None:
        status = http_response.status_code
        code = str(parsed.get("Error", {}).get("Code") or status)
        error = _of_answer(status, code, f"{model.name} of {context.get(_PLACE)}", client.meta.endpoint_url)
        if error is not None:
            raise error from None

    def failed(exception: Exception, **_: Any) -> None:
        from botocore.exceptions import BotoCoreError

        if isinstance(exception, BotoCoreError):
            raise _of_silence(type(exception).__name__, client.meta.endpoint_url) from None

    events.register("before-parameter-build.s3", remember)
    events.register("after-call.s3", answered)
    events.register("after-call-error.s3", failed)


@contextmanager
def reading(uri: str) -> Iterator[None]:
    """Say which object did not arrive whole if its body breaks off in the block."""
    from boto3.exceptions import Boto3Error
    from botocore.exceptions import BotoCoreError
    from urllib3.exceptions import HTTPError

    try:
        yield
    except (BotoCoreError, Boto3Error, HTTPError) as error:
        raise ObjectStoreError(
            f"{uri} broke off while it was read ({type(error).__name__}): see whether the object store, and "
            "what is between, are well; then try again"
        ) from None


def _of_answer(status: int, code: str, what: str, endpoint: str) -> ObjectStoreError | None:
    if status < 300:
        return None
    if code == "NoSuchBucket":
        return ObjectStoreRefusedError(
            f"{what}: there is no such bucket at {endpoint}: create it, or correct FEATURE_OPS_STORAGE_URI "
            "or FEATURE_OPS_DVC_REMOTE_URI",
            code,
        )
    if code == "NoSuchUpload":
        return UploadGoneError(
            f"{what}: the object store at {endpoint} does not know the upload any more ({code}): an answer "
            "of it may have been lost; try again"
        )
    if code in _SIGN_IN:
        return _wrong_sign_in(code, endpoint)
    if code in _FULL or status == 507:
        return ObjectStoreError(
            f"{what}: the object store at {endpoint} has no room for it ({code}): free space or raise the "
            "quota, then try again"
        )
    if status in (401, 403):
        return ObjectStoreRefusedError(
            f"{what} is denied ({code}): let the account of the object store's connection list, read, write "
            "and delete there",
            code,
        )
    if status >= 500 or status in _PASSING:
        return ObjectStoreError(
            f"{what}: the object store at {endpoint} failed ({code}): it may be overloaded or out of space; "
            "see its log, then try again"
        )
    return None


def _of_silence(name: str, endpoint: str) -> ObjectStoreError:
    if name in _SIGN_IN:
        return _wrong_sign_in(name, endpoint)
    return ObjectStoreError(
        f"the object store at {endpoint} does not answer ({name}): check that it runs, and the endpoint_url "
        "of the object store's connection; then try again"
    )


def _wrong_sign_in(code: str, endpoint: str) -> ObjectStoreError:
    return ObjectStoreRefusedError(
        f"the object store at {endpoint} does not accept the sign-in ({code}): correct login and password of "
        "the object store's connection",
        code,
    )
