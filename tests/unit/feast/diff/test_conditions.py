"""What Python code can observe of time, chance and machine is fixed, and differs between two readings."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from feature_ops.feast.diff.conditions import CONDITIONS

# Each differs between the two readings, and is the same whenever and wherever one of them is repeated.
FIXED = {
    "year": "datetime.datetime.now().year",
    "weekday": "datetime.date.today().weekday()",
    "hour": "datetime.datetime.utcnow().hour",
    "minute": "datetime.datetime.now(datetime.timezone.utc).minute",
    "day": "datetime.datetime.today().day",
    "day of time": "time.localtime().tm_yday",
    "month": "time.strftime('%m')",
    "asctime": "time.asctime()[:10]",
    "ctime": "time.ctime()[-4:]",
    "gmtime": "time.gmtime()[:4]",
    "time": "int(time.time()) // 100",
    "nanoseconds": "time.time_ns() // 10**11",
    "a clock by number": "int(time.clock_gettime(time.CLOCK_REALTIME)) // 100",
    "random": "random.random()",
    "shuffled": "random.sample(range(1000), 5)",
    "uuid1": "str(uuid.uuid1())[24:]",
    "node": "uuid.getnode()",
    "hash": "hash('a')",
    "order of a set": "list({'aa', 'bb', 'cc', 'dd', 'ee', 'ff', 'gg', 'hh'})",
    "pid": "os.getpid()",
    "parity of the pid": "os.getpid() % 2",
    "parent": "os.getppid()",
    "thread": "threading.get_native_id()",
    "host": "socket.gethostname()",
    "fqdn": "socket.getfqdn()",
    "uname": "os.uname().nodename",
    "platform": "platform.node()",
    "listdir": "os.listdir('.')",
    "scandir": "[entry.name for entry in os.scandir('.')]",
    "walk": "[names for _, _, names in os.walk('.')]",
    "glob": "glob.glob('*')",
    "iterdir": "[path.name for path in pathlib.Path('.').iterdir()]",
    "path glob": "[path.name for path in pathlib.Path('.').glob('**/*')]",
}
# These differ between any two processes.
RANDOM = {
    "uuid4": "str(uuid.uuid4())",
    "urandom": "os.urandom(8).hex()",
    "secrets": "secrets.token_hex(8)",
    "system random": "random.SystemRandom().random()",
}
IMPORTS = "datetime, glob, json, os, pathlib, platform, random, secrets, socket, sys, threading, time, uuid"


def observed(conditions: Any, folder: Path, expressions: dict[str, str]) -> dict[str, Any]:
    code = (
        f"import {IMPORTS}\nsys.path.insert(0, {str(Path(__file__).parents[4] / 'plugins')!r})\n"
        "from feature_ops.feast.diff.conditions import impose\n"
        f"impose(json.loads({json.dumps(dict(conditions))!r}))\n"
        f"print(json.dumps({{name: eval(code) for name, code in {expressions!r}.items()}}))\n"
    )
    done = subprocess.run(
        [sys.executable, "-s", "-P", "-c", code],
        env={"PYTHONHASHSEED": conditions["hash_seed"], "TZ": "UTC"},
        cwd=folder,
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    found: dict[str, Any] = json.loads(done.stdout)
    return found


@pytest.fixture(scope="module")
def readings(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    """Both readings, and the first one again, in folders whose files were made in another order."""
    folders = [tmp_path_factory.mktemp("reading") for _ in range(2)]
    for folder, names in zip(folders, ("bca", "cab"), strict=True):
        for name in names:
            (folder / name).write_text(name)
    return [
        observed(CONDITIONS[0], folders[0], {**FIXED, **RANDOM}),
        observed(CONDITIONS[1], folders[0], {**FIXED, **RANDOM}),
        observed(CONDITIONS[0], folders[1], {**FIXED, **RANDOM}),
    ]


@pytest.mark.parametrize("name", FIXED)
def test_it_differs_between_two_readings_and_is_the_same_when_one_is_repeated(
    name: str, readings: list[dict[str, Any]]
) -> None:
    first, second, again = (reading[name] for reading in readings)
    assert first != second
    assert first == again


@pytest.mark.parametrize("name", RANDOM)
def test_chance_from_the_operating_system_differs_between_readings(
    name: str, readings: list[dict[str, Any]]
) -> None:
    assert readings[0][name] != readings[1][name]


def test_dates_work_as_before(tmp_path: Path) -> None:
    expressions = {
        "is an instance": "isinstance(datetime.datetime(2026, 1, 2), datetime.date)",
        "an earlier one is one": "all(isinstance(one, datetime.datetime) for one in (early, late))",
        "arithmetic": "str(datetime.datetime(2026, 1, 2) + datetime.timedelta(days=1))",
        "type of a sum": "type(late + datetime.timedelta(1)) is datetime.datetime",
        "equal": "early == late and hash(early) == hash(late)",
        "pickle": "pickle.loads(pickle.dumps(late)) == early",
        "parse": "datetime.datetime.fromisoformat('2026-01-02').isoformat()",
        "shown": "repr(late)",
        "a date": "str(datetime.date(2026, 1, 2))",
        "a date is no datetime": "isinstance(datetime.date(2026, 1, 2), datetime.datetime)",
        "a subclass": "isinstance(early, type('D', (datetime.datetime,), {}))",
    }
    prepared = {
        name: f"(exec('import datetime, pickle; late = datetime.datetime(2026, 1, 2)', globals()), {code})[1]"
        for name, code in expressions.items()
    }
    early = "exec('import _datetime; early = _datetime.datetime(2026, 1, 2)', globals())"
    assert observed(CONDITIONS[0], tmp_path, {"early": early, **prepared}) == {
        "early": None,
        "is an instance": True,
        "an earlier one is one": True,
        "type of a sum": True,
        "arithmetic": "2026-01-03 00:00:00",
        "equal": True,
        "pickle": True,
        "a subclass": False,
        "parse": "2026-01-02T00:00:00",
        "shown": "datetime.datetime(2026, 1, 2, 0, 0)",
        "a date": "2026-01-02",
        "a date is no datetime": False,
    }


def test_no_process_has_the_ids_that_code_sees() -> None:
    # The highest id that Linux gives out is 2 ** 22.
    assert all(values["process"] - 1 > 1 << 22 for values in CONDITIONS)
