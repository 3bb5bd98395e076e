"""
What reading songs' features takes, from stock Feast's call to the model service's reader, step by step.

A program of its own, since how Feast is imported is one of the steps: ``python -m benchmarks.online_reads
stock FEATURE_REPO MODEL SONGS`` tells Feast's part, with ``ours`` the other one, each as one line of JSON.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import pandas as pd

PROJECT = Path(__file__).resolve().parents[1]
SERVICE, KEY = "serving_fs", "spotify_id"
# How many songs are read at once, and how often.
_CALLS = {1: 1000, 100: 150}
_ROUNDS = 3
Step = Callable[[list[str]], object]


def table(feature_repo: Path, model: Path, songs: Sequence[str]) -> pd.DataFrame:
    """Run both parts; returns each step's milliseconds, for one song and for a hundred."""
    with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
        json.dump(list(songs), file)
        file.flush()
        rows: dict[str, dict[str, float]] = {}
        for part in ("stock", "ours"):
            command = [sys.executable, "-m", "benchmarks.online_reads", part, feature_repo, model, file.name]
            told = subprocess.run(command, cwd=PROJECT, stdout=subprocess.PIPE, check=True).stdout
            rows |= json.loads(told.splitlines()[-1])
    return pd.DataFrame.from_dict(rows, orient="index").rename(columns=lambda songs: f"{songs} at once, ms")


def stock(feature_repo: Path, refs: list[str]) -> dict[str, Step]:
    """Return the ways in which Feast is asked, the import being the usual one."""
    from feast import FeatureStore

    store = FeatureStore(repo_path=str(feature_repo))
    service = store.get_feature_service(SERVICE)
    return {
        "stock, the feature service fetched for each call": lambda songs: store.get_online_features(
            store.get_feature_service(SERVICE), {KEY: songs}
        ).to_dict(),
        "the service fetched once": lambda songs: store.get_online_features(service, {KEY: songs}).to_dict(),
    }


def ours(feature_repo: Path, refs: list[str]) -> dict[str, Step]:
    """Return what the service does about it, the last of them being what it does."""
    from feature_ops.feast.importing import import_feast

    store = import_feast().FeatureStore(repo_path=str(feature_repo))

    from jukebox.serving.features import Definitions, FeatureReader

    definitions = Path(tempfile.mkdtemp()) / "definitions.pb"
    definitions.write_bytes(Definitions(feature_repo).copy())
    reader = FeatureReader(feature_repo, definitions, refs)
    return {
        "Feast not instrumented by typeguard": lambda songs: store.get_online_features(
            store.get_feature_service(SERVICE, allow_cache=True), {KEY: songs}
        ).to_dict(),
        "the model's own references, no dictionary": lambda songs: store.get_online_features(
            refs, {KEY: songs}, full_feature_names=True
        ),
        "the service's reader: rows straight from the store": reader.read,
        "bare: the HMGETs in one pipeline of redis-py": _bare(feature_repo, refs),
    }


def _bare(feature_repo: Path, refs: list[str]) -> Step:
    """Return what no client can do without: one command for each song, and the wait for the answer."""
    import mmh3
    import redis
    from feast import FeatureStore
    from feast.infra.key_encoding_utils import serialize_entity_key
    from feast.protos.feast.types.EntityKey_pb2 import EntityKey
    from feast.protos.feast.types.Value_pb2 import Value

    config = FeatureStore(repo_path=str(feature_repo)).config
    address, password = config.online_store.connection_string.split(",password=")
    host, port = address.split(":")
    client = redis.Redis(host=host, port=int(port), password=password)
    fields = [mmh3.hash(ref, signed=False).to_bytes(4, "little") for ref in refs]
    view = refs[0].partition(":")[0]
    known: dict[str, bytes] = {}

    def key(song: str) -> bytes:
        if song not in known:
            entity = EntityKey(join_keys=[KEY], entity_values=[Value(string_val=song)])
            known[song] = (
                serialize_entity_key(entity, config.entity_key_serialization_version)
                + config.project.encode()
            )
        return known[song]

    def read(songs: list[str]) -> list[list[bytes]]:
        with client.pipeline(transaction=False) as pipe:
            for song in songs:
                pipe.hmget(key(song), [*fields, f"_ts:{view}"])
            found: list[list[bytes]] = pipe.execute()
        if None in found[0]:
            raise SystemExit(
                "The bare read does not find what Feast has stored: its keys are other ones now."
            )
        return found

    return read


def milliseconds(step: Step, songs: Sequence[str], batch: int) -> float:
    """Return the median of a step's calls, each for other songs, after a tenth of them to warm up."""
    calls = _CALLS[batch]
    seen = []
    for number in range(-calls // 10, calls):
        first = (number * 7) % (len(songs) - batch)
        asked = list(songs[first : first + batch])
        began = time.perf_counter()
        step(asked)
        seen.append(time.perf_counter() - began)
    return 1000 * statistics.median(seen[calls // 10 :])


def main() -> None:
    """Measure one part, the steps taking turns, and print it."""
    part, feature_repo, model, file = sys.argv[1:]
    sys.path.insert(0, str(PROJECT / "model"))
    songs = json.loads(Path(file).read_text())
    refs = [item["ref"] for item in json.loads((Path(model) / "model.json").read_text())["features"]]
    steps = {"stock": stock, "ours": ours}[part](Path(feature_repo), refs)
    seen: dict[str, dict[int, list[float]]] = {name: {batch: [] for batch in _CALLS} for name in steps}
    for _ in range(_ROUNDS):
        for batch in _CALLS:
            for name, step in steps.items():
                seen[name][batch].append(milliseconds(step, songs, batch))
    # The quietest round: what else the machine does can only add.
    print(json.dumps({name: {batch: min(t) for batch, t in by.items()} for name, by in seen.items()}))


if __name__ == "__main__":
    main()
