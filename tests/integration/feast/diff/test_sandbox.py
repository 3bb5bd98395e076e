"""Code of strangers: each repository here wants to do what none may, or can't be loaded."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from feature_ops.exceptions import BadInputError
from feature_ops.feast.diff.definitions import Definitions
from feature_ops.feast.diff.loading import DefinitionsError, Limits, load, try_load

linux = pytest.mark.skipif(sys.platform != "linux", reason="the kernel's means are Linux's")

_ENTITY = 'from feast import Entity, ValueType\nEntity_ = Entity(name="e", value_type=ValueType.STRING)\n'
_SECRET = "hunter2hunter2"

# label → code, and words that the error must have; no words: it loads
REPOSITORIES: dict[str, tuple[str, tuple[str, ...]]] = {
    "plain": ("", ()),
    "loops": ("while True: pass\n", ("features.py:3", "did not end within")),
    "forks": ("import os\nos.fork()\n", ("features.py:4", "may not start processes")),
    "fork bomb": ("import os\nwhile True:\n    os.fork()\n", ("features.py:5", "may not start processes")),
    "starts a program": (
        "import subprocess\nsubprocess.run(['id'])\n",
        ("features.py:4", "may not start processes"),
    ),
    "starts a program past Python": (
        "import ctypes\nc = ctypes.CDLL(None)\nassert c.fork() == -1\nassert c.system(b'true') != 0\n",
        (),
    ),
    "calls exit": ("import sys\nsys.exit(3)\n", ("features.py:4", "sys.exit(3)")),
    "calls _exit": ("import os\nos._exit(3)\n", ("features.py:4", "os._exit(3)")),
    "calls _exit past Python": (
        "import ctypes\nctypes.CDLL(None)._exit(7)\n",
        ("ended its own process (exit code 7)",),
    ),
    "prints its environment": (
        "import os\nprint(sorted(os.environ.items()))\nraise ValueError('no')\n",
        ("features.py:5", "ValueError: no", "LC_ALL"),
    ),
    "prints a secret": (
        f"print({_SECRET!r}, 'https://me:secret-word@host/')\nraise ValueError('no')\n",
        ("features.py:4", "https://***@host/"),
    ),
    "raises a secret and a false log line": (
        f"raise ValueError('{_SECRET} ftp://me:word@host\\n\\x1b[31mINFO all is well ' + 'x' * 99999)\n",
        ("features.py:3", "ValueError: *** ftp://***@host [31mINFO all is well xxx"),
    ),
    "reads the parent's environment": (
        "parent = open('/proc/self/stat').read().split()[3]\nopen(f'/proc/{parent}/environ').read()\n",
        ("features.py:4", "Permission denied"),
    ),
    "reads files": ("open('/etc/passwd').read()\n", ("features.py:3", "Permission denied: /etc/passwd")),
    "writes files": ("open('/tmp/owned', 'w')\n", ("features.py:3", "Permission denied: /tmp/owned")),
    "writes into its repository": ("open('owned', 'w')\n", ("features.py:3", "Permission denied: owned")),
    "writes to its own folder": (
        "import tempfile\nwith tempfile.NamedTemporaryFile() as file:\n    file.write(b'1')\n",
        (),
    ),
    "fills the disk": (
        "import os\nwith open(os.environ['TMPDIR'] + '/x', 'wb') as file:\n"
        "    while True:\n        file.write(bytes(1 << 20))\n",
        ("features.py:6", "File too large"),
    ),
    "fills the disk by many files": (
        "import os, time\nfor n in range(9):\n    with open(f\"{os.environ['TMPDIR']}/{n}\", 'wb') as file:\n"
        "        file.write(os.urandom(3 << 20))\ntime.sleep(99)\n",
        ("wrote more than 16 MiB of files",),
    ),
    "fills the disk by deleted files": (
        "import os, tempfile, time\nfiles = [tempfile.TemporaryFile() for _ in range(9)]\n"
        "for file in files:\n    file.write(os.urandom(3 << 20))\n    file.flush()\ntime.sleep(99)\n",
        ("wrote more than 16 MiB of files",),
    ),
    "prints without end": ("while True:\n    print('x' * 9999)\n", ("features.py:4", "File too large")),
    "exhausts memory": (
        "kept = []\nwhile True:\n    kept.append(bytearray(1 << 24))\n",
        ("features.py:5", "needs more than 512 MiB of memory"),
    ),
    "needs a package": (
        "import no_such_package\n",
        ("features.py:3", "imports no_such_package, which is neither a file of the feature repository nor"),
    ),
    "names its own file": (
        "raise ValueError(f'{__file__}: no')\n",
        ("features.py:3", "ValueError: features.py: no"),
    ),
    "prints its folder": (
        "import os\nprint('at', os.getcwd())\nraise ValueError('no')\n",
        ("features.py:5", "Its last output: at ."),
    ),
    "names its scratch folder": (
        "import tempfile\nraise ValueError(f'{tempfile.gettempdir()}/x: no')\n",
        ("features.py:4", "ValueError: x: no"),
    ),
    "opens a file that is not there": (
        "import os\nopen(os.path.abspath('data/x.csv'))\n",
        ("features.py:4", "No such file or directory: data/x.csv"),
    ),
    "imports a link that leads nowhere": (
        "import linked_away\n",
        (
            "features.py:3",
            "linked_away.py is a symbolic link to ../shared/away.py",
            "put the file itself there",
        ),
    ),
    "imports a link that leads outside": (
        "import linked_outside\n",
        ("features.py:3", "linked_outside.py is a symbolic link to ", "put the file itself there"),
    ),
    "imports a folder that is a link": (
        "import linked_folder.names\n",
        ("features.py:3", "linked_folder is a symbolic link to ../shared", "put the file itself there"),
    ),
    "reads a link": (
        "open('linked.csv').read()\n",
        ("features.py:3", "linked.csv is a symbolic link to ../shared/x.csv", "put the file itself there"),
    ),
    "needs a variable": (
        "import os\nos.environ['SHOP_URL']\n",
        ("features.py:4", "needs the environment variable SHOP_URL"),
    ),
    "raises": ("def f():\n    raise ValueError('no')\nf()\n", ("features.py:4", "ValueError: no")),
    "is no Python": ("x = = 1\n", ("features.py:3", "SyntaxError: invalid syntax")),
    "recurses": ("def f():\n    f()\nf()\n", ("features.py:4", "RecursionError")),
    "connects": (
        "import socket\nsocket.create_connection(('127.0.0.1', 9))\n",
        ("features.py:4", "may not use the network"),
    ),
    "connects past Python": ("import ctypes\nassert ctypes.CDLL(None).socket(2, 1, 0) == -1\n", ()),
    "crashes": ("import ctypes\nctypes.string_at(0)\n", ("features.py:4", "(signal 11)")),
    "kills": ("import os\nos.kill(os.getppid(), 9)\n", ("features.py:4", "Operation not permitted")),
    "answers for itself": (
        "import os\nfor file in range(3, 9):\n    try:\n        os.write(file, b'{\"definitions\": {}}')\n"
        "    except OSError:\n        pass\n",
        ("its answer can't be read",),
    ),
    "changes modes": (
        "import os\nos.chmod(__file__, 0o777)\n",
        ("features.py:4", "Operation not permitted: features.py"),
    ),
    "changes times": (
        "import os\nos.utime(__file__, (1, 1))\n",
        ("features.py:4", "Operation not permitted"),
    ),
    "maps shared memory": (
        "import mmap\nmmap.mmap(-1, 3 << 30)\n",
        ("features.py:4", "Operation not permitted"),
    ),
    "hides memory": ("import os\nos.memfd_create('x')\n", ("features.py:4", "Operation not permitted")),
    "leaves the session": ("import os\nos.setsid()\n", ("features.py:4", "Operation not permitted")),
    "stays when the parent ends": (
        "import ctypes\nassert ctypes.CDLL(None).prctl(1, 0, 0, 0, 0) == -1\n",
        (),
    ),
    "changes the priority of its parent": (
        "import os\nos.setpriority(os.PRIO_PROCESS, os.getppid(), 19)\n",
        ("features.py:4", "Operation not permitted"),
    ),
    "traces its parent": (
        "import ctypes, os\nctypes.CDLL(None).ptrace(16, os.getppid(), 0, 0)\n",
        ("used a system call that no feature definition needs",),
    ),
    "starts thousands of threads": (
        "import threading, time\nthreading.stack_size(1 << 16)\n"
        "for _ in range(4000):\n    threading.Thread(target=time.sleep, args=(99,), daemon=True).start()\n",
        ("features.py:6", "can't start new thread"),
    ),
    "uses the libraries": (
        "import os, pandas, pyarrow, numpy, ssl, sqlite3, decimal, uuid, ctypes, zoneinfo, locale\n"
        "import pyarrow.compute, pyarrow.parquet, concurrent.futures, multiprocessing\n"
        "frame = pandas.DataFrame({'x': numpy.arange(200_000) % 7, 'y': numpy.random.rand(200_000)})\n"
        "table = pyarrow.Table.from_pandas(frame)\n"
        "path = os.environ['TMPDIR'] + '/x.parquet'\n"
        "pyarrow.parquet.write_table(table, path)\n"
        "assert len(pandas.read_parquet(path).groupby('x').mean()) == 7\n"
        "assert numpy.linalg.inv(numpy.eye(300)).shape == (300, 300)\n"
        "assert os.sysconf('SC_NPROCESSORS_ONLN') > 0\n"
        "with concurrent.futures.ThreadPoolExecutor(4) as pool:\n"
        "    assert sum(pool.map(len, ['a'] * 100)) == 100\n"
        "assert str(zoneinfo.ZoneInfo('Asia/Seoul')) and uuid.uuid4() and ssl.create_default_context()\n"
        "sqlite3.connect(':memory:').execute('select 1')\n",
        (),
    ),
    "threads": ("import threading\nt = threading.Thread(target=int)\nt.start()\nt.join()\n", ()),
    "defines a thing twice": (
        'again = Entity(name="e", value_type=ValueType.INT64)\n',
        ("entity e is defined twice, and not alike",),
    ),
    "names two views alike": (
        "from feast import FeatureView, Field\nfrom feast.types import Int64\n"
        "a = FeatureView(name='view', entities=[Entity_], schema=[Field(name='x', dtype=Int64)])\n"
        "b = FeatureView(name='View', entities=[Entity_], schema=[Field(name='x', dtype=Int64)])\n",
        ("ConflictingFeatureViewNames",),
    ),
    "has a function that fails": (
        "from feast import Field, RequestSource\nfrom feast.types import Int64\n"
        "from feast.on_demand_feature_view import on_demand_feature_view\n"
        "asked = RequestSource(name='asked', schema=[Field(name='x', dtype=Int64)])\n"
        "@on_demand_feature_view(sources=[asked], schema=[Field(name='y', dtype=Int64)], mode='python')\n"
        "def twice(inputs):\n    return {'y': inputs['z']}\n",
        ("features.py:9", "KeyError: 'z'"),
    ),
    "has two projects": (
        "from feast import Project\na = Project(name='a')\nb = Project(name='b')\n",
        ("it defines the projects a, b",),
    ),
}
_KERNEL = ("Permission denied", "Operation not permitted", "used a system call", "new thread")
_LINUX_ONLY = {"starts a program past Python", "connects past Python", "stays when the parent ends"} | {
    label for label, (_, words) in REPOSITORIES.items() if any(one in "".join(words) for one in _KERNEL)
}


def _repository(folder: Path, code: str) -> Path:
    folder.mkdir()
    (folder / "feature_store.yaml").write_text("project: shop\nregistry: ${NOT_LOOKED_AT}\n")
    (folder / "features.py").write_text(code)
    return folder


def _add_links(folder: Path) -> None:
    (folder / "linked_away.py").symlink_to("../shared/away.py")
    (folder / "linked_outside.py").symlink_to("/etc/hostname")
    (folder / "linked_folder").symlink_to("../shared")
    (folder / "linked.csv").symlink_to("../shared/x.csv")


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("repositories")


@pytest.fixture(scope="module")
def results(home: Path) -> dict[str, Definitions | DefinitionsError]:
    """All repositories, loaded by one call: Feast is imported once."""
    folders = {
        label: _repository(home / label.replace(" ", "_"), _ENTITY + code)
        for label, (code, _) in REPOSITORIES.items()
    }
    for label, folder in folders.items():
        if "link" in label:
            _add_links(folder)
            (folder / ".feastignore").write_text("linked*\n")
    folders["defines nothing"] = _repository(home / "nothing", "x = 1\n")
    folders["ignores a file"] = _repository(home / "ignoring", _ENTITY)
    (home / "ignoring" / "broken.py").write_text("= nonsense")
    (home / "ignoring" / ".feastignore").write_text("broken.py  # later\n")
    folders["leads elsewhere"] = _repository(home / "leading", _ENTITY)
    (home / "leading" / "feature_store.yaml").unlink()
    (home / "leading" / "feature_store.yaml").symlink_to("/dev/zero")
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("AIRFLOW_CONN_SHOP", _SECRET)
        found = try_load(folders, limits=Limits(seconds=10, memory_mb=512, file_mb=4))
    assert not Path("/tmp/owned").exists()
    return found


@pytest.mark.parametrize("label", REPOSITORIES)
def test_a_repository_does_what_it_may_and_is_told_what_it_may_not(
    label: str, results: dict[str, Definitions | DefinitionsError], home: Path
) -> None:
    if label in _LINUX_ONLY and sys.platform != "linux":
        pytest.skip("only Linux refuses it to code that goes past Python")
    result, words = results[label], REPOSITORIES[label][1]
    if not words:
        assert isinstance(result, Definitions), result
        assert set(result.of_kind("entity")) == {"e"}
        return
    assert isinstance(result, BadInputError), result
    message = str(result)
    assert message.startswith(f"{label}: ")
    assert all(word in message for word in words), message
    assert _SECRET not in message
    assert str(home) not in message
    assert "feature-definitions-" not in message
    assert message.isprintable()
    assert "AIRFLOW" not in message
    assert len(message) < 1200


def test_an_empty_repository_is_an_error(results: dict[str, Definitions | DefinitionsError]) -> None:
    assert "no file in it defines a Feast object" in str(results["defines nothing"])


def test_feastignore_is_obeyed(results: dict[str, Definitions | DefinitionsError]) -> None:
    assert isinstance(results["ignores a file"], Definitions)


@linux
def test_nothing_is_left_running(results: dict[str, Definitions | DefinitionsError]) -> None:
    commands = [path.read_bytes() for path in Path("/proc").glob("[0-9]*/cmdline") if _is_own(path)]
    assert not [command for command in commands if b"diff/sandbox.py" in command]


def _is_own(path: Path) -> bool:
    try:
        return f"\nPPid:\t{os.getpid()}\n" in (path.parent / "status").read_text()
    except OSError:
        return False


def test_a_configuration_that_leads_elsewhere_is_not_read(
    results: dict[str, Definitions | DefinitionsError],
) -> None:
    assert "feature_store.yaml names none" in str(results["leads elsewhere"])


def test_the_first_folder_that_does_not_load_is_named_and_the_project_is_read_without_feast(
    tmp_path: Path,
) -> None:
    broken = _repository(tmp_path / "broken", "")
    (broken / "feature_store.yaml").write_text("project: [\n")
    with pytest.raises(DefinitionsError, match=r"new commit 1a2b: feature_store.yaml:2 is not YAML"):
        load({"new commit 1a2b": broken})


@linux
def test_the_process_ends_when_its_caller_is_killed(tmp_path: Path) -> None:
    repository = _repository(tmp_path / "waits", "import time\nprint('here', flush=True)\ntime.sleep(600)\n")
    caller = textwrap.dedent(f"""
        import threading, os, signal, time
        from pathlib import Path
        from feature_ops.feast.diff import loading
        def kill():
            deadline = time.monotonic() + 60
            own = f"\\nPPid:\\t{{os.getpid()}}\\n"
            while time.monotonic() < deadline:
                children = list(Path(f"/proc/{{os.getpid()}}/task").glob("*/children"))
                server = next((int(pid) for file in children for pid in file.read_text().split()), None)
                if server:
                    forked = Path(f"/proc/{{server}}/task/{{server}}/children").read_text().split()
                    if forked:
                        servers = [pid for file in children for pid in file.read_text().split()]
                        print(*servers, *forked, flush=True)
                        os.kill(os.getpid(), signal.SIGKILL)
                time.sleep(0.05)
        threading.Thread(target=kill, daemon=True).start()
        loading.load({{"x": Path({str(repository)!r})}})
    """)
    (tmp_path / "scratch").mkdir()
    done = subprocess.run(
        [sys.executable, "-c", caller],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        env={**os.environ, "TMPDIR": str(tmp_path / "scratch")},
    )
    assert done.returncode == -9, done.stderr
    left = [int(pid) for pid in done.stdout.split()]
    assert len(left) == 3
    for pid in left:
        _wait_until_gone(pid)
    assert list((tmp_path / "scratch").iterdir()) == []


def _wait_until_gone(pid: int) -> None:
    import time

    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        status = Path(f"/proc/{pid}/status")
        try:
            if "State:\tZ" in status.read_text():
                return
        except OSError:
            return
        time.sleep(0.05)
    raise AssertionError(f"process {pid} is left running")
