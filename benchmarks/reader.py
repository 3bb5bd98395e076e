"""
What one read of 13 features takes: the online reader beside stock Feast's get_online_features.

A thousand songs are online; each call asks for other ones, and makes a dictionary of the answer. *By name*
has Feast look up the feature service in the registry's cache for each call, as its own server does for each
request; in the other calls the service was fetched once. All take turns in one process. *Not instrumented*
is Feast without the checks of arguments that it adds to its functions while it is imported. *Bare* is Valkey
alone: commands that were packed beforehand, their answers parsed by hiredis, nothing decoded. Prints medians
in ms, and ratios; asserts nothing. Valkey and PostgreSQL are started for it and ended with it.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pandas as pd

from benchmarks.materialize import EVENT, feature_store, online_stores, song_id, write_history
from benchmarks.measured_apart import measured_apart
from benchmarks.songs import VIEW

SONGS = 1_000
IMPORTS = ("stock", "not instrumented")
# How many songs are read at once, and how often in a round.
_CALLS = {1: 500, 100: 100}
_ROUNDS = 15
_SERVICE = "thirteen"
Call = Callable[[list[str]], object]


def bring_online(history: Path, folder: Path, online_store: dict[str, Any]) -> Any:
    """Write all songs; returns the feature store."""
    from feast import FeatureService

    store = feature_store(history, folder, online_store, "ours")
    store.apply(FeatureService(name=_SERVICE, features=[store.get_feature_view(VIEW)]))
    store.materialize(EVENT - timedelta(days=1), EVENT + timedelta(days=1), [VIEW])
    return store


def callers(store: Any) -> dict[str, Call]:
    """Return the calls that are measured, after a look at whether they answer the same."""
    from feature_ops.feast.reader import OnlineReader

    service = store.get_feature_service(_SERVICE)
    reader = OnlineReader.of(store, service)
    calls: dict[str, Call] = {
        "Feast by name": lambda songs: store.get_online_features(
            store.get_feature_service(_SERVICE, allow_cache=True), {"song": songs}
        ).to_dict(),
        "Feast": lambda songs: store.get_online_features(service, {"song": songs}).to_dict(),
        "reader": lambda songs: reader.read({"song": songs}).to_dict(),
    }
    first = [song_id(number) for number in range(max(_CALLS))]
    answers = [call(first) for call in calls.values()]
    if answers != answers[:1] * len(answers):
        raise SystemExit("The reader does not answer what Feast answers.")
    if store.config.online_store.type == "redis":
        calls["bare"] = bare(store, service)
    return calls


def bare(store: Any, service: Any) -> Call:
    """Return what sends commands for so many songs, always the same, and reads the answers."""
    from feast.infra.online_stores.helpers import _mmh3, _redis_key
    from feast.protos.feast.types.EntityKey_pb2 import EntityKey
    from feast.protos.feast.types.Value_pb2 import Value

    (view,) = service.feature_view_projections
    fields = [_mmh3(f"{view.name}:{feature.name}") for feature in view.features]
    online_store: Any = store._get_provider().online_store
    connection = online_store._get_client(store.config.online_store).connection_pool.get_connection()
    packed: list[bytes] = []
    for number in range(max(_CALLS)):
        entity = EntityKey(join_keys=["song"], entity_values=[Value(string_val=song_id(number))])
        key = _redis_key(store.project, entity)
        packed.append(b"".join(connection.pack_command("HMGET", key, *fields, f"_ts:{view.name}")))
    commands = {at_once: b"".join(packed[:at_once]) for at_once in _CALLS}

    def call(songs: list[str]) -> list[list[bytes | None]]:
        connection.send_packed_command([commands[len(songs)]])
        return [connection.read_response(disable_decoding=True) for _ in songs]

    if any(None in values for values in call(["any"] * max(_CALLS))):
        raise SystemExit("The bare read does not find what Feast has stored: its keys are other ones now.")
    return call


def milliseconds(call: Call, at_once: int) -> float:
    """Return the median of a round of calls, after a tenth of them to warm up."""
    seen = []
    for number in range(-_CALLS[at_once] // 10, _CALLS[at_once]):
        first = number * 7 % (SONGS - at_once)
        songs = [song_id(song) for song in range(first, first + at_once)]
        began = time.perf_counter()
        call(songs)
        seen.append(time.perf_counter() - began)
    return 1_000 * statistics.median(seen[_CALLS[at_once] // 10 :])


def measure(
    imported: str, history: Path, folder: Path, online_store: dict[str, Any]
) -> dict[str, dict[str, float]]:
    """Return the milliseconds of each call, by how many songs it asks for."""
    if imported == "not instrumented":
        from feature_ops.feast.importing import import_feast

        import_feast()
    calls = callers(bring_online(history, folder, online_store))
    rounds = {(at_once, name): [] for at_once in _CALLS for name in calls}  # type: ignore[var-annotated]
    for _ in range(_ROUNDS):
        for at_once, name in rounds:
            rounds[at_once, name].append(milliseconds(calls[name], at_once))
    # The quietest round: what else the machine does can only add.
    return {str(at_once): {name: min(rounds[at_once, name]) for name in calls} for at_once in _CALLS}


def table(wanted: list[str]) -> pd.DataFrame:
    """Measure on the stores."""
    from demo.servers import Servers

    with tempfile.TemporaryDirectory(prefix="feature-ops-benchmark-") as name:
        folder = Path(name)
        history = folder / "history.parquet"
        write_history(history, SONGS)
        servers = Servers(folder / "servers")
        servers.start()
        try:
            seen: dict[tuple[str, str, str], dict[str, float]] = {}
            for store, imported, settings in online_stores(servers, wanted, list(IMPORTS), folder):
                place = folder / imported.replace(" ", "-")
                place.mkdir(exist_ok=True)
                arguments = [imported, str(history), str(place), json.dumps(settings)]
                took = measured_apart("reader", "--one", *arguments)
                for at_once, found in took.items():
                    seen[store, imported, at_once] = {f"{name}, ms": ms for name, ms in found.items()}
        finally:
            servers.stop()
    frame = pd.DataFrame.from_dict(seen, orient="index")
    frame.index.names = ["store", "Feast's import", "songs at once"]
    for name in ("Feast by name", "Feast"):
        frame[f"{name} / reader"] = frame[f"{name}, ms"] / frame["reader, ms"]
    if "bare, ms" in frame:
        frame["reader / bare"] = frame["reader, ms"] / frame["bare, ms"]
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
        imported, history, folder, settings = asked.one
        print(json.dumps(measure(imported, Path(history), Path(folder), json.loads(settings))))
        return
    print("13 features of one song, and of a hundred, in one call:\n")
    print(table(asked.stores).round(3).to_string(na_rep=""))


if __name__ == "__main__":
    main()
