"""The real servers that the project stands on, as child processes on loopback."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from demo.credentials import Credentials
from demo.git_server import GitServer
from demo.mlflow_server import MlflowServer
from demo.object_store import SeaweedFS
from demo.parallel import in_parallel
from demo.ports import Ports
from demo.postgres import Postgres
from demo.processes import Processes
from demo.progress import Progress
from demo.site import Site
from demo.valkey import Valkey
from feature_ops.object_store import ObjectStore


class Servers:
    """
    PostgreSQL, Valkey, an S3 server and a git server that keep all state in one folder.

    MLflow's server (:attr:`mlflow`) is there, too, but left for its user to start: it takes longer
    than all others together.

    :param home: the folder; at its next start everything is there again, at the same addresses.
    """

    def __init__(self, home: Path) -> None:
        self.home = home.resolve()
        self.processes = Processes(self.home)
        self._sweep: Callable[[], None] = lambda: None

    def start(self, progress: Progress = lambda line: None) -> None:
        """
        Start all servers but MLflow's and wait until they answer.

        :param progress: told in one line what a person should know.
        :raises DemoError: with the cause and the remedy; nothing is left running then.
        """
        self.home.mkdir(parents=True, exist_ok=True)
        killed = self.processes.open()
        if killed:
            progress(f"The last stack here was killed: ended {killed} processes that it had left.")
        try:
            self._start(progress)
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """Stop all servers; what they have acknowledged is kept."""
        self.processes.close()
        self._sweep()

    def _start(self, progress: Progress) -> None:
        self.site = Site(
            home=self.home,
            processes=self.processes,
            ports=Ports(self.home / "ports.json", progress),
            credentials=Credentials(self.home / "credentials.json"),
        )
        self.postgres = Postgres(self.site)
        self.valkey = Valkey(self.site)
        self.seaweedfs = SeaweedFS(self.site)
        self.git = GitServer(self.site)
        self.mlflow = MlflowServer(self.site, self.postgres, self.seaweedfs)
        self._sweep = self.seaweedfs.remove_sockets
        servers = (self.postgres, self.valkey, self.seaweedfs, self.git)
        in_parallel([server.start for server in servers], abort=self.stop)

    @property
    def object_store(self) -> ObjectStore:
        """The S3 server with the administrator's credentials."""
        return self.seaweedfs.store

    def object_store_of(self, identity: str) -> ObjectStore:
        """Return the S3 server with the credentials of an identity: airflow, mlflow, training or serving."""
        return self.seaweedfs.identity(identity)

    @property
    def online_store(self) -> str:
        """Feast's connection string of the online store."""
        return self.valkey.connection_string

    @property
    def online_store_reader(self) -> str:
        """Feast's connection string of the online store for a user that reads only."""
        return self.valkey.reader_connection_string

    @property
    def git_login(self) -> str:
        """The git server's only user."""
        return self.git.login

    @property
    def git_password(self) -> str:
        """That user's password."""
        return self.git.password

    def create_bucket(self, name: str) -> None:
        """Create the bucket unless it exists."""
        self.seaweedfs.create_bucket(name)

    def remove_bucket(self, name: str) -> None:
        """Remove the bucket with all that is in it."""
        self.seaweedfs.remove_bucket(name)

    def create_database(self, name: str) -> str:
        """Create the PostgreSQL database and its owner unless they exist; returns the owner's URL."""
        return self.postgres.create_database(name)

    def create_reader(self, database: str) -> str:
        """Create a role that reads a database unless it exists; returns its SQLAlchemy URL."""
        return self.postgres.create_reader(database)

    def drop_database(self, name: str) -> None:
        """Drop the PostgreSQL database, whoever is connected to it."""
        self.postgres.drop_database(name)

    def create_repository(self, name: str) -> str:
        """Create the bare git repository unless it exists; returns its HTTP URL."""
        return self.git.create_repository(name)
