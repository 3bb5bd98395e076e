"""The same tasks on a Ray cluster, by feature_store.yaml alone."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import ray

from demo.servers import Servers
from feature_ops.exceptions import FeatureOpsError
from tests.integration.feast.conftest import CONFIGURATION, Radio

ON_RAY = (
    CONFIGURATION
    + """\
batch_engine:
  type: ray.engine
  write_concurrency: 1
  ray_conf: {num_cpus: 2, include_dashboard: false}
materialization:
  pull_latest_features: true
"""
)


@pytest.fixture(scope="module")
def cluster(servers: Servers) -> Iterator[None]:
    """Feast starts a cluster on this machine when it first needs one; it is ended with the tests."""
    from feast.infra.ray_initializer import shutdown_ray

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        # A busy machine may take longer than the half minute that Ray gives itself.
        patch.setenv("RAY_raylet_start_wait_time_s", "90")
        # Ray's workers have the environment of the time when they were started.
        for name, value in servers.object_store.environment().items():
            patch.setenv(name, value)
        yield
        shutdown_ray()


def client_of(radio: Radio) -> Any:
    """Return Feast's own client of the online store."""
    store: Any = radio.store()
    return store._get_provider().online_store._get_client(store.config.online_store)


def stored(radio: Radio) -> dict[bytes, dict[bytes, bytes]]:
    """Return all that the online store holds, byte for byte."""
    client = client_of(radio)
    return {key: client.hgetall(key) for key in client.scan_iter()}


@pytest.mark.parametrize("radio", [ON_RAY], indirect=True)
def test_a_ray_cluster_brings_the_same_bytes_online_as_the_arrow_engine(cluster: None, radio: Radio) -> None:
    keys = [f"key {number} 🎵" for number in range(300)]
    radio.publish(*((key, "2024-05-01", 0.5) for key in keys))
    radio.publish(*((key, "2024-06-01", place / 7) for place, key in enumerate(keys[:200])))
    first = radio.materialize()
    radio.publish(("key 7 🎵", "2024-07-01", None), ("new", "2024-07-01", 0.25), ("new", "2024-07-02", 0.75))
    done = radio.materialize("second run")
    radio.verify(done)
    by_ray = stored(radio)
    assert ray.is_initialized()
    assert (first["rows"], done["rows"]) == (500, 3)

    (radio.repo / "feature_store.yaml").write_text(CONFIGURATION)
    radio.servers.valkey.flush()
    radio.materialize("third run", full_refresh=True)

    assert len(by_ray) == 301
    assert by_ray == stored(radio)


@pytest.mark.parametrize("radio", [ON_RAY], indirect=True)
def test_rows_that_the_cluster_lost_without_a_word_are_not_noted_as_online(
    cluster: None, radio: Radio
) -> None:
    import redis

    password = radio.servers.valkey.admin_connection_string.rpartition("password=")[2]
    client = redis.Redis(port=radio.servers.valkey.port, password=password)
    client.acl_setuser(
        "reader", enabled=True, passwords=["+reads"], keys=["*"], categories=["+@all", "-@write"]
    )
    radio.publish(("a", "2024-05-01", 0.5))
    configuration = (radio.repo / "feature_store.yaml").read_text()
    try:
        (radio.repo / "feature_store.yaml").write_text(
            configuration.replace(
                "${FEAST_ONLINE_STORE}", "${FEAST_ONLINE_STORE},username=reader,password=reads"
            )
        )
        with pytest.raises(FeatureOpsError, match=r"energy of a is None online, but 0\.5 in the history"):
            radio.materialize()
    finally:
        client.acl_deluser("reader")
    (radio.repo / "feature_store.yaml").write_text(configuration)

    assert radio.materialize("second run")["files"]
    assert radio.online("a") == {"a": 0.5}
