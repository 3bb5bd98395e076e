"""A server that is killed and started again in the middle of a step costs a retry at most."""

from __future__ import annotations

import os
import shutil
import signal
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from threading import Event
from typing import Any

import pytest

from demo.servers import Servers
from feature_ops.exceptions import FeatureOpsError
from tests.integration.kill_matrix.disturbed import ports_of, proxies_to, through
from tests.integration.kill_matrix.etl import STEPS, run
from tests.integration.kill_matrix.matrix import Matrix, matrix_of
from tests.integration.kill_matrix.world import Worlds, differences, inside
from tests.support.warm_python import WarmPython

# The process of each server, as its log is named.
PROCESSES = {
    "object store": "object-store",
    "git": "git",
    "registry": "postgres",
    "online store": "valkey",
}


@pytest.fixture(scope="module")
def own_servers() -> Iterator[Servers]:
    """Servers that no other test uses, as they are going to be killed."""
    home = Path(tempfile.mkdtemp(prefix="feature-ops-restarts-"))
    running = Servers(home)
    running.start()
    yield running
    running.stop()
    shutil.rmtree(home)


@pytest.fixture(scope="module")
def matrix(
    own_servers: Servers, tmp_path_factory: pytest.TempPathFactory, warm_python: WarmPython
) -> Iterator[Matrix]:
    with matrix_of(Worlds(own_servers, tmp_path_factory.mktemp("worlds")), "restarted", warm_python) as made:
        yield made


def restart(servers: Servers, name: str) -> None:
    """Kill a server and start it on the same data and port."""
    process = PROCESSES[name]
    child = next(child for child in servers.processes.children if child.name == process)
    os.killpg(child.process.pid, signal.SIGKILL)
    servers.processes.stop([process])
    starts: dict[str, Callable[[], None]] = {
        "object store": servers.seaweedfs.start,
        "git": servers.git.start,
        "registry": servers.postgres.start,
        "online store": servers.valkey.start,
    }
    starts[name]()


@pytest.fixture(scope="module")
def requests(matrix: Matrix, own_servers: Servers) -> dict[str, dict[str, int]]:
    """How many requests each step of an undisturbed run sends to each server."""
    world, ports = matrix.new_world(), ports_of(own_servers)
    counted: dict[str, dict[str, int]] = {}
    with proxies_to(ports) as proxies:

        def begin(step: str) -> None:
            counted[step] = {name: -proxy.requests for name, proxy in proxies.items()}
            previous = STEPS.index(step) - 1
            if previous >= 0:
                end(STEPS[previous])

        def end(step: str) -> None:
            for name, proxy in proxies.items():
                counted[step][name] += proxy.requests

        here = through(world, ports, proxies)
        with inside(here):
            run(here, "run 1", on_step=begin)
        end(STEPS[-1])
    return counted


@pytest.mark.parametrize("server", PROCESSES)
def test_a_restart_in_the_middle_of_each_step_that_uses_the_server(
    server: str,
    own_servers: Servers,
    matrix: Matrix,
    requests: dict[str, dict[str, int]],
    capsys: pytest.CaptureFixture[str],
) -> None:
    world, ports = matrix.new_world(), ports_of(own_servers)
    using = [step for step in STEPS if requests[step][server]]
    restarted, failures = [], []
    up = Event()
    up.set()
    with proxies_to(ports) as proxies:

        def arm(step: str) -> None:
            if step in using and step not in restarted:
                proxies[server].before_request(requests[step][server] // 2 + 1, lambda: again(step))

        def again(step: str) -> None:
            restarted.append(step)
            up.clear()
            restart(own_servers, server)
            up.set()

        here = through(world, ports, proxies)
        ended: Any = {}
        with inside(here):
            while "facts of verify" not in ended and len(failures) <= len(using):
                try:
                    ended = run(here, "run 1", on_step=arm)
                except FeatureOpsError as error:
                    failures.append(str(error))
                    # As a scheduler waits between two tries.
                    assert up.wait(120), f"{server} did not come up again"
        address = f"127.0.0.1:{proxies[server].port}"
    with capsys.disabled():
        print(f"\n{server}: restarted in {', '.join(restarted)}; {len(failures)} retries")
    assert restarted == using, "\n".join(failures)
    for line in failures:
        assert "\n" not in line
        assert address in line
        assert "try again" in line
    assert differences(matrix.undisturbed("run 1"), matrix.state(world)) == []
