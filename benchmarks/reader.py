"""
What one read of 13 features takes: the online reader beside stock Feast's get_online_features.

A thousand songs are online; each call asks for other ones, by a feature service that was fetched once, and
makes a dictionary of the answer. *Not instrumented* is stock Feast without the checks of arguments
that it adds to its functions while it is imported. Each measurement is a process of its own. Prints medians in
ms, and ratios; asserts nothing. Valkey and PostgreSQL are started for it and ended with it.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pandas as pd

from benchmarks.materialize import EVENT, PROJECT, VIEW, feature_store, online_stores, write_history

SONGS = 1_000
CONTENDERS = ("stock", "not instrumented", "ours")
# How many songs are read at once, and how often.
_CALLS = {1: 1_000, 100: 200}
_ROUNDS = 3
_SERVICE = "thirteen"


def bring_online(history: Path, folder: Path, online_store: dict[str, Any]) -> Any:
    """Write all songs; returns the feature store."""
    from feast import FeatureService

    store = feature_store(history, folder, online_store, "feature_ops.feast.engine.ArrowEngine")
    store.apply(FeatureService(name=_SERVICE, features=[store.get_feature_view(VIEW)]))
    store.materialize(EVENT - timedelta(days=1), EVENT + timedelta(days=1), [VIEW])
    return store


def caller(contender: str, store: Any) -> Callable[[list[str]], object]:
    """Return the call that is measured."""
    service = store.get_feature_service(_SERVICE)
    if contender != "ours":
        return lambda songs: store.get_online_features(service, {"song": songs}).to_dict()
    from feature_ops.feast.reader import OnlineReader

    reader = OnlineReader.of(store, service)
    first = [f"{number:022d}" for number in range(3)]
    if (
        reader.read({"song": first}).to_dict()
        != store.get_online_features(service, {"song": first}).to_dict()
    ):
        raise SystemExit("The reader does not answer what Feast answers.")
    return lambda songs: reader.read({"song": songs}).to_dict()


def milliseconds(call: Callable[[list[str]], object], at_once: int) -> float:
    """Return the median of the calls, after a tenth of them to warm up; of the quietest round."""
    rounds = []
    for _ in range(_ROUNDS):
        seen = []
        for number in range(-_CALLS[at_once] // 10, _CALLS[at_once]):
            first = number * 7 % (SONGS - at_once)
            songs = [f"{song:022d}" for song in range(first, first + at_once)]
            began = time.perf_counter()
            call(songs)
            seen.append(time.perf_counter() - began)
        rounds.append(1_000 * statistics.median(seen[_CALLS[at_once] // 10 :]))
    return min(rounds)


def measure(contender: str, history: Path, folder: Path, online_store: dict[str, Any]) -> dict[str, float]:
    """Return the milliseconds of a call, by how many songs it asks for."""
    if contender == "not instrumented":
        sys.path.insert(0, str(PROJECT / "model"))
        from jukebox.serving.feast_import import import_feast

        import_feast()
    call = caller(contender, bring_online(history, folder, online_store))
    return {str(at_once): milliseconds(call, at_once) for at_once in _CALLS}


def in_a_process(contender: str, *arguments: str) -> dict[str, float]:
    """Measure in a process of its own."""
    command = [sys.executable, "-m", "benchmarks.reader", "--one", contender, *arguments]
    ended = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, check=False)
    if ended.returncode:
        raise SystemExit(ended.stderr)
    return dict(json.loads(ended.stdout.splitlines()[-1]))


def table(wanted: list[str]) -> pd.DataFrame:
    """Measure the contenders on the stores."""
    from demo.servers import Servers

    with tempfile.TemporaryDirectory(prefix="feature-ops-benchmark-") as name:
        folder = Path(name)
        history = folder / "history.parquet"
        write_history(history, SONGS)
        servers = Servers(folder / "servers")
        servers.start()
        try:
            seen: dict[tuple[str, str], dict[str, float]] = {}
            for store, contender, settings in online_stores(servers, wanted, list(CONTENDERS), folder):
                place = folder / contender.replace(" ", "-")
                place.mkdir(exist_ok=True)
                took = in_a_process(contender, str(history), str(place), json.dumps(settings))
                for at_once, found in took.items():
                    seen.setdefault((store, at_once), {})[f"{contender}, ms"] = found
        finally:
            servers.stop()
    frame = pd.DataFrame.from_dict(seen, orient="index")
    frame.index.names = ["store", "songs at once"]
    for peer in CONTENDERS[:-1]:
        frame[f"{peer} / ours"] = frame[f"{peer}, ms"] / frame["ours, ms"]
    return frame


def main() -> None:
    """Measure what is asked for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[1])
    parser.add_argument(
        "--stores",
        nargs="+",
        choices=["valkey", "postgres", "sqlite"],
        default=["valkey", "postgres", "sqlite"],
    )
    parser.add_argument("--one", nargs=4, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.one:
        contender, history, folder, settings = asked.one
        print(json.dumps(measure(contender, Path(history), Path(folder), json.loads(settings))))
        return
    print("13 features of one song, and of a hundred, in one call:\n")
    print(table(asked.stores).round(3).to_string())


if __name__ == "__main__":
    main()
