"""Free ports, found once and remembered."""

from __future__ import annotations

import json
import random
import socket
from collections.abc import Callable
from pathlib import Path

from demo.errors import DemoError

# Below the range from which systems pick the ports of outgoing connections.
CANDIDATES = range(15_000, 22_000)


def is_free(port: int) -> bool:
    """Whether a server could listen on that loopback port now."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        # As servers do it: connections of an earlier server that are still closing don't count.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


class Ports:
    """
    Ports by name, remembered in a JSON file so that addresses stay the same over restarts.

    :param path: the file.
    :param notify: told in one line when a remembered port had to be given up.
    """

    def __init__(self, path: Path, notify: Callable[[str], None]) -> None:
        self._path = path
        self._notify = notify
        self._ports: dict[str, int] = json.loads(path.read_text()) if path.exists() else {}
        self._checked: set[str] = set()

    def find(self, name: str, also_at: int = 0) -> int:
        """
        Return the port of that name, free when it is asked for the first time.

        :param also_at: distance of a second port that must be free, too.
        """
        if name in self._checked:
            return self._ports[name]
        before = self._ports.get(name)
        if before is None or not self._usable(name, before, also_at):
            self._ports[name] = self._choose(name, also_at)
            self._path.write_text(json.dumps(self._ports, indent=2))
            if before is not None:
                self._notify(
                    f"Port {before} of {name} is in use by another program: now {self._ports[name]}."
                )
        self._checked.add(name)
        return self._ports[name]

    def _choose(self, name: str, also_at: int) -> int:
        for port in random.sample(CANDIDATES, 200):
            if self._usable(name, port, also_at):
                return port
        raise DemoError(
            f"No free port was found for {name}: end some of the programs that listen on this machine."
        )

    def _usable(self, name: str, port: int, also_at: int) -> bool:
        others = {other for key, other in self._ports.items() if key != name}
        return all(is_free(p) and p not in others for p in {port, port + also_at})
