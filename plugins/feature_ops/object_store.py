"""S3 as every part of the package reaches it: credentials, clients and listings."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, unquote, urlsplit

if TYPE_CHECKING:
    from datetime import datetime

    from pyarrow.fs import S3FileSystem


@dataclass(frozen=True)
class StoredObject:
    """One object of a listing: its ``s3://`` URI, size in bytes, last change and ETag."""

    uri: str
    size: int
    modified: datetime
    etag: str = ""

    @property
    def name(self) -> str:
        """The last part of the URI."""
        return self.uri.rsplit("/", 1)[-1]


def split_uri(uri: str) -> tuple[str, str]:
    """Return bucket and key of an ``s3://bucket/key`` URI; raises ``ValueError`` for any other."""
    parts = urlsplit(uri)
    if parts.scheme != "s3" or not parts.netloc:
        raise ValueError(f"not an s3:// URI: {uri}")
    # The key is taken from the text: urlsplit would cut it at a '?' or '#'.
    return parts.netloc, uri.split("/", 3)[3] if uri.count("/") > 2 else ""


@dataclass(frozen=True)
class ObjectStore:
    """
    An S3 endpoint and how to sign in to it.

    :param endpoint_url: address of an S3-compatible server; AWS if None.
    :param timeout: seconds without an answer before a request fails, which is tried twice; boto3's own
        patience if None.
    """

    access_key: str | None = None
    secret_key: str | None = field(default=None, repr=False)
    session_token: str | None = field(default=None, repr=False)
    region: str | None = None
    endpoint_url: str | None = None
    timeout: float | None = None

    @classmethod
    def from_connection(cls, aws_conn_id: str) -> ObjectStore:
        """Read the Airflow connection, with whatever sign-in the amazon provider supports."""
        from airflow.providers.amazon.aws.hooks.base_aws import AwsGenericHook

        hook = AwsGenericHook(aws_conn_id=aws_conn_id, client_type="s3")
        credentials = hook.get_credentials(region_name=hook.region_name)
        return cls(
            access_key=credentials.access_key,
            secret_key=credentials.secret_key,
            session_token=credentials.token,
            region=hook.region_name,
            endpoint_url=hook.conn_config.get_service_endpoint_url("s3"),
        )

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> ObjectStore:
        """Read the standard ``AWS_*`` variables."""
        return cls(
            access_key=environment.get("AWS_ACCESS_KEY_ID"),
            secret_key=environment.get("AWS_SECRET_ACCESS_KEY"),
            session_token=environment.get("AWS_SESSION_TOKEN"),
            region=environment.get("AWS_DEFAULT_REGION"),
            endpoint_url=environment.get("AWS_ENDPOINT_URL"),
        )

    def environment(self) -> dict[str, str]:
        """Return the standard ``AWS_*`` variables, which Feast, s3fs and pyarrow all read."""
        values = {
            "AWS_ACCESS_KEY_ID": self.access_key,
            "AWS_SECRET_ACCESS_KEY": self.secret_key,
            "AWS_SESSION_TOKEN": self.session_token,
            "AWS_DEFAULT_REGION": self.region,
            "AWS_ENDPOINT_URL": self.endpoint_url,
        }
        return {name: value for name, value in values.items() if value}

    @cached_property
    def client(self) -> Any:
        """The boto3 S3 client, whose failures are told as an :class:`ObjectStoreError`."""
        import boto3
        from botocore.config import Config

        from feature_ops.object_store_failures import explain_failures

        impatient = Config(
            connect_timeout=self.timeout, read_timeout=self.timeout, retries={"total_max_attempts": 2}
        )
        client = boto3.client(
            "s3",
            aws_access_key_id=self.access_key,
            aws_secret_access_key=self.secret_key,
            aws_session_token=self.session_token,
            region_name=self.region or "us-east-1",
            endpoint_url=self.endpoint_url,
            config=impatient if self.timeout else None,
        )
        explain_failures(client)
        return client

    @cached_property
    def filesystem(self) -> S3FileSystem:
        """The pyarrow file system; its paths are ``bucket/key``."""
        from pyarrow.fs import S3FileSystem

        # Only what is set: an explicit None would switch off the default chain of credentials.
        options = {
            "access_key": self.access_key,
            "secret_key": self.secret_key,
            "session_token": self.session_token,
            "region": self.region or "us-east-1",
            "endpoint_override": self.endpoint_url,
        }
        return S3FileSystem(**{name: value for name, value in options.items() if value})

    def list(self, prefix_uri: str) -> Iterator[StoredObject]:
        """Yield the objects under a prefix, in the order of their names."""
        bucket, prefix = split_uri(prefix_uri)
        pages = self.client.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix)
        for page in pages:
            for entry in page.get("Contents", ()):
                yield StoredObject(
                    f"s3://{bucket}/{entry['Key']}",
                    entry["Size"],
                    entry["LastModified"],
                    entry.get("ETag", ""),
                )

    def exists(self, uri: str) -> bool:
        """Whether the object is there."""
        return self.metadata(uri) is not None

    def metadata(self, uri: str) -> dict[str, str] | None:
        """Return the object's own metadata, or None if there is no such object."""
        from botocore.exceptions import ClientError

        bucket, key = split_uri(uri)
        try:
            head = self.client.head_object(Bucket=bucket, Key=key)
        except ClientError as error:
            if error.response["ResponseMetadata"]["HTTPStatusCode"] == 404:
                return None
            raise
        return {name: unquote(value) for name, value in head["Metadata"].items()}

    def put_file_once(self, path: str, uri: str, metadata: Mapping[str, str] | None = None) -> bool:
        """
        Upload a local file unless the object exists; returns whether it was written.

        The names of such objects are hashes of their content, so an existing one is the same.
        One request: the object appears whole or not at all (S3 takes up to 5 GiB in one).
        """
        from botocore.exceptions import ClientError

        if self.exists(uri):
            return False
        bucket, key = split_uri(uri)
        headers = _as_headers(metadata)
        try:
            with open(path, "rb") as body:
                self.client.put_object(Bucket=bucket, Key=key, Body=body, IfNoneMatch="*", Metadata=headers)
        except ClientError as error:
            facts = error.response["ResponseMetadata"]
            if facts["HTTPStatusCode"] == 412:
                # The client's own second try finds what the first one wrote, if its answer was lost.
                return bool(facts.get("RetryAttempts"))
            raise
        return True

    def put_bytes(self, content: bytes, uri: str, metadata: Mapping[str, str] | None = None) -> None:
        """Write a small object, in place of one that is there."""
        bucket, key = split_uri(uri)
        self.client.put_object(Bucket=bucket, Key=key, Body=content, Metadata=_as_headers(metadata))

    def get_bytes(self, uri: str) -> tuple[bytes, str] | None:
        """Return a small object and the version (ETag) that it has; None if there is no such object."""
        from botocore.exceptions import ClientError

        bucket, key = split_uri(uri)
        try:
            answer = self.client.get_object(Bucket=bucket, Key=key)
        except ClientError as error:
            if error.response["ResponseMetadata"]["HTTPStatusCode"] == 404:
                return None
            raise
        with answer["Body"] as body:
            return body.read(), answer["ETag"]

    def replace_bytes(self, content: bytes, uri: str, version: str | None) -> bool:
        """
        Write a small object in place of one version of it; returns False if that is not there any more.

        :param version: what :meth:`get_bytes` said; None if there must be no such object.
        """
        from botocore.exceptions import ClientError

        bucket, key = split_uri(uri)
        condition = {"IfNoneMatch": "*"} if version is None else {"IfMatch": version}
        try:
            self.client.put_object(Bucket=bucket, Key=key, Body=content, **condition)
        except ClientError as error:
            # Replaced, removed, or being written by somebody else at this moment.
            if error.response["ResponseMetadata"]["HTTPStatusCode"] in (404, 409, 412):
                return False
            raise
        return True

    def copy(self, uri: str, to_uri: str) -> None:
        """Copy an object of any size within the store, in place of one that is there."""
        bucket, key = split_uri(uri)
        to_bucket, to_key = split_uri(to_uri)
        self.client.copy({"Bucket": bucket, "Key": key}, to_bucket, to_key)

    def delete(self, uri: str) -> None:
        """Remove the object; no error if there is none."""
        bucket, key = split_uri(uri)
        self.client.delete_object(Bucket=bucket, Key=key)


def _as_headers(metadata: Mapping[str, str] | None) -> dict[str, str]:
    # Metadata travels in HTTP headers, which hold ASCII only.
    return {name: quote(value, safe=" :/@+=,.") for name, value in (metadata or {}).items()}
