"""The two steps against a real S3 server, a real git server and DVC itself."""

from __future__ import annotations

import hashlib
import json
import logging
import multiprocessing
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from airflow.sdk.exceptions import AirflowFailException

from demo.servers import Servers
from feature_ops.datasets.dataset import Column, ColumnType, Dataset
from feature_ops.dvc.operators import UploadToS3Operator, VersionWithDvcOperator
from feature_ops.dvc.workspace import DvcWorkspace, remote_options
from feature_ops.exceptions import FeatureOpsError
from feature_ops.git.repository import Repository
from feature_ops.object_store import ObjectStore
from feature_ops.settings import get_settings

SONGS = Dataset(
    name="songs",
    keys=("id",),
    columns=(Column(name="id", type=ColumnType.STRING),),
    feature_service="songs_service",
)

pytestmark = pytest.mark.usefixtures("airflow_connections")


class TaskStateStandIn(dict[str, str]):
    """Stands in for the task's state store, which the scheduler's API server keeps."""

    def set(self, key: str, value: str, retention: object = None) -> None:
        self[key] = value


def run(operator: type[Any], **arguments: Any) -> tuple[dict[str, Any], str]:
    """Return the facts and the summary of a step."""
    state = TaskStateStandIn()
    facts = operator(task_id=operator.__name__, dataset=SONGS, **arguments).execute(
        {"task_state_store": state}
    )
    return facts, state["summary"]


def version() -> tuple[dict[str, Any], str]:
    return run(VersionWithDvcOperator)


def upload() -> tuple[dict[str, Any], str]:
    return run(UploadToS3Operator)


def content(number: int) -> bytes:
    return f"the rows of file {number}".encode()


def name_of(data: bytes) -> str:
    return f"{hashlib.sha256(data).hexdigest()[:20]}.parquet"


@pytest.fixture
def store(servers: Servers) -> ObjectStore:
    return servers.object_store


@pytest.fixture
def accept(store: ObjectStore, tmp_path: Path) -> Callable[[int], str]:
    """Put a file where validation puts accepted ones; returns its name."""

    def _accept(number: int) -> str:
        data = content(number)
        file = tmp_path / "accepted"
        file.write_bytes(data)
        origin = {"run-id": f"run {number}", "source": f"https://x/ü{number}", "rows": str(number)}
        store.put_file_once(str(file), SONGS.accepted_uri + name_of(data), origin)
        return name_of(data)

    return _accept


@pytest.fixture
def clone(git_repository: Any, tmp_path: Path) -> Callable[[], Path]:
    """Clone the repository as a person would."""

    def _clone() -> Path:
        folder = tmp_path / f"clone-{len(list(tmp_path.iterdir()))}"
        scheme, rest = git_repository.url.split("://")
        url = f"{scheme}://{git_repository.login}:{git_repository.password}@{rest}"
        subprocess.run(["git", "clone", "-q", url, str(folder)], check=True, timeout=60)
        return folder

    return _clone


def git(folder: Path, *arguments: str) -> str:
    done = subprocess.run(
        ["git", "-C", str(folder), *arguments], capture_output=True, text=True, check=True, timeout=60
    )
    return done.stdout


def dvc_pull(folder: Path, store: ObjectStore) -> None:
    """Run a plain ``dvc pull`` with nothing but the standard variables."""
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(folder),
        "DVC_NO_ANALYTICS": "1",
        "DVC_SITE_CACHE_DIR": str(folder / ".dvc" / "tmp" / "site"),
        **store.environment(),
    }
    command = [sys.executable, "-m", "dvc", "pull", "-q"]
    done = subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, check=False, timeout=120
    )
    assert done.returncode == 0, done.stderr


def names(store: ObjectStore, prefix: str) -> set[str]:
    return {file.name for file in store.list(prefix)}


def files_of(folder: Path) -> set[str]:
    return {path.name for path in (folder / "data" / "songs").glob("*.parquet")}


def test_a5_any_version_can_be_pulled_by_a_person_with_a_clone(
    accept: Callable[[int], str], clone: Callable[[], Path], store: ObjectStore
) -> None:
    first = accept(1)
    version()
    upload()
    second = accept(2)
    facts, _ = version()
    upload()

    folder = clone()
    dvc_pull(folder, store)
    assert git(folder, "rev-parse", "HEAD").strip() == facts["commit"]
    assert files_of(folder) == {first, second}
    assert (folder / "data" / "songs" / second).read_bytes() == content(2)
    assert git(folder, "status", "--porcelain") == ""

    git(folder, "checkout", "-q", "HEAD~1")
    dvc_pull(folder, store)
    assert files_of(folder) == {first}


def test_the_commit_says_where_its_rows_came_from(
    accept: Callable[[int], str], clone: Callable[[], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FEATURE_OPS_GIT_COMMIT_URL", "http://web/commit/{commit}/")
    get_settings.cache_clear()
    name = accept(7)
    facts, summary = version()
    assert facts["added"] == [name]
    assert facts["pointers"] == [f"data/songs/{name}.dvc"]
    assert summary == f"1 file versioned in commit {facts['commit'][:8]}"
    assert facts["commit_url"] == f"http://web/commit/{facts['commit']}/"
    message = git(clone(), "log", "-1", "--format=%B").strip().splitlines()
    assert message == [
        f"data: 7 new rows in songs ({name[:8]}….parquet)",
        "",
        "Run-Id: run 7",
        "Source: https://x/ü7",
        f"Content-SHA256: {hashlib.sha256(content(7)).hexdigest()}",
        "Rows: 7",
    ]


def test_d3_the_same_input_again_makes_no_commit_and_no_file(
    accept: Callable[[int], str], clone: Callable[[], Path], store: ObjectStore
) -> None:
    accept(1)
    first, _ = version()
    upload()
    before = {file.uri: file.modified for file in store.list(get_settings().storage_uri + "/")}
    accept(1)
    again, summary = version()
    uploaded, upload_summary = upload()
    assert again == {**first, "added": [], "pointers": []}
    assert summary == "nothing to version: git already points to 1 file"
    assert uploaded == {"uploaded": [], "commit": first["commit"]}
    assert upload_summary == "nothing to upload: the history already holds 1 file"
    assert {file.uri: file.modified for file in store.list(get_settings().storage_uri + "/")} == before
    assert git(clone(), "rev-list", "--count", "HEAD").strip() == "2"


def test_nothing_accepted_and_no_commit_yet_is_no_failure() -> None:
    assert version() == (
        {"commit": None, "added": [], "pointers": [], "commit_url": None},
        "nothing to version: no file is accepted yet",
    )
    facts, summary = upload()
    assert facts == {"uploaded": [], "commit": None}
    assert summary == "nothing to upload: the history already holds 0 files"


def test_d8_nothing_is_served_before_it_has_a_version(
    accept: Callable[[int], str], store: ObjectStore
) -> None:
    name = accept(1)
    upload()
    assert names(store, SONGS.uri) == set()
    assert names(store, SONGS.accepted_uri) == {name}
    version()
    assert names(store, SONGS.uri) == set()
    facts, summary = upload()
    assert facts["uploaded"] == [name]
    assert summary == "1 file uploaded to the history"
    assert names(store, SONGS.uri) == {name}
    assert names(store, SONGS.accepted_uri) == set()


def test_a_step_completes_what_an_earlier_run_left(accept: Callable[[int], str], store: ObjectStore) -> None:
    first = accept(1)
    version()  # and then that run died
    second = accept(2)
    facts, _ = version()
    assert facts["added"] == [second]
    assert upload()[0]["uploaded"] == sorted([first, second])
    assert names(store, SONGS.accepted_uri) == set()


def test_a_file_that_is_on_git_only_is_restored_from_the_dvc_remote(
    accept: Callable[[int], str], store: ObjectStore
) -> None:
    name = accept(1)
    version()
    upload()
    store.delete(SONGS.uri + name)
    facts, _ = upload()
    assert facts["uploaded"] == [name]
    assert store.client.get_object(Bucket=SONGS.uri.split("/")[2], Key=f"songs/{name}")[
        "Body"
    ].read() == content(1)


def test_d7_a_file_of_the_history_is_never_replaced_or_removed(
    accept: Callable[[int], str], store: ObjectStore, tmp_path: Path
) -> None:
    stray = f"{'f' * 20}.parquet"
    (tmp_path / "stray").write_bytes(b"put there by hand")
    store.put_file_once(str(tmp_path / "stray"), SONGS.uri + stray)
    name = accept(1)
    store.put_file_once(str(tmp_path / "stray"), SONGS.uri + name)
    version()
    facts, summary = upload()
    assert facts["uploaded"] == []
    assert f"left alone, as git does not point to them: {stray}" in summary
    for there in (stray, name):
        bucket, key = SONGS.uri.split("/")[2], f"songs/{there}"
        body = store.client.get_object(Bucket=bucket, Key=key)["Body"].read()
        assert body == b"put there by hand"


def test_content_that_is_not_what_its_name_says_enters_neither_git_nor_history(
    store: ObjectStore, tmp_path: Path, accept: Callable[[int], str]
) -> None:
    (tmp_path / "wrong").write_bytes(b"wrong")
    store.put_file_once(str(tmp_path / "wrong"), f"{SONGS.accepted_uri}{'0' * 20}.parquet")
    name = accept(1)
    facts, summary = version()
    assert facts["added"] == [name], "the other file is versioned"
    assert "does not hold what its name" in summary
    store.delete(f"{SONGS.accepted_uri}{'0' * 20}.parquet")

    store.delete(SONGS.accepted_uri + name)
    md5 = hashlib.md5(content(1)).hexdigest()
    remote = get_settings().dvc_remote_uri
    store.delete(f"{remote}/files/md5/{md5[:2]}/{md5[2:]}")
    lost = f"git points to {name} (added by commit "
    assert lost in upload()[1]
    (tmp_path / "wrong").write_bytes(b"x" * len(content(1)))
    store.put_file_once(str(tmp_path / "wrong"), f"{remote}/files/md5/{md5[:2]}/{md5[2:]}")
    assert f"does not hold what its name {name} says" in upload()[1]
    assert names(store, SONGS.uri) == set()


def test_one_broken_pointer_does_not_hold_up_the_other_files(
    accept: Callable[[int], str], clone: Callable[[], Path], store: ObjectStore
) -> None:
    name = accept(1)
    version()
    folder = clone()
    broken = folder / "data" / "songs" / f"{'0' * 20}.parquet.dvc"
    broken.write_text("<<<<<<< HEAD\n")
    git(folder, "add", str(broken))
    git(folder, "-c", "user.name=a", "-c", "user.email=a@b", "commit", "-qm", "conflict")
    git(folder, "push", "-q")
    facts, summary = upload()
    assert facts["uploaded"] == [name]
    assert f"{'0' * 20}.parquet.dvc in git is no pointer" in summary
    assert names(store, SONGS.uri) == {name}


def version_alone(number: int, barrier: Any) -> None:
    """See one accepted file only, and push it at the same moment as the others push theirs."""
    listed, push, waited = ObjectStore.list, Repository.push, []

    def one_only(store: ObjectStore, prefix: str) -> Any:
        return (file for file in listed(store, prefix) if file.name == name_of(content(number)))

    def push_together(repository: Repository) -> None:
        if not waited:
            waited.append(True)
            barrier.wait(120)
        push(repository)

    ObjectStore.list, Repository.push = one_only, push_together  # type: ignore[method-assign, assignment]
    version()


def test_d9_three_writers_at_once_lose_nothing(
    accept: Callable[[int], str],
    clone: Callable[[], Path],
    store: ObjectStore,
) -> None:
    """Each sees another file as accepted, and all push to the same empty repository at one moment."""
    context = multiprocessing.get_context("fork")
    barrier = context.Barrier(3)
    writers, expected = [], set()
    for number in range(1, 4):
        expected.add(accept(number))
        writers.append(context.Process(target=version_alone, args=(number, barrier)))
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join(180)
    assert [writer.exitcode for writer in writers] == [0, 0, 0]
    folder = clone()
    dvc_pull(folder, store)
    assert files_of(folder) == expected
    assert git(folder, "rev-list", "--merges", "HEAD") == ""
    assert git(folder, "rev-list", "--count", "HEAD").strip() == "4"
    git(folder, "fsck", "--strict")


def killed_before(owner: type, method: str, call: int, step: Callable[[], Any]) -> None:
    """Run a step and die as a killed worker does, right before the n-th call of a method."""
    honest, calls = getattr(owner, method), []

    def deadly(*arguments: Any, **options: Any) -> Any:
        calls.append(True)
        if len(calls) == call:
            os.kill(os.getpid(), signal.SIGKILL)
        return honest(*arguments, **options)

    setattr(owner, method, deadly)
    step()


@pytest.mark.parametrize(
    ("step", "owner", "method", "call"),
    [
        (version, DvcWorkspace, "push", 2),
        (version, Repository, "push", 1),
        (version, Repository, "fetch", 3),  # when the commit is pushed and not yet seen to be there
        (upload, ObjectStore, "put_file_once", 1),
        (upload, ObjectStore, "put_file_once", 2),
        (upload, ObjectStore, "delete", 1),
        (upload, ObjectStore, "delete", 2),
    ],
)
def test_d8_a_run_killed_between_its_effects_is_completed_by_the_next(
    step: Callable[[], Any],
    owner: type,
    method: str,
    call: int,
    accept: Callable[[int], str],
    clone: Callable[[], Path],
    store: ObjectStore,
) -> None:
    wanted = {accept(1), accept(2)}
    if step is upload:
        version()
    process = multiprocessing.get_context("fork").Process(
        target=killed_before, args=(owner, method, call, step)
    )
    process.start()
    process.join(120)
    assert process.exitcode == -signal.SIGKILL
    wanted.add(accept(3))
    version()
    upload()
    assert names(store, SONGS.uri) == wanted
    assert names(store, SONGS.accepted_uri) == set()
    folder = clone()
    dvc_pull(folder, store)
    assert files_of(folder) == wanted
    assert git(folder, "rev-list", "--count", "HEAD").strip() == "4"


def test_d10_no_secret_in_logs_facts_or_committed_files(
    accept: Callable[[int], str],
    clone: Callable[[], Path],
    store: ObjectStore,
    git_repository: Any,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
) -> None:
    accept(1)
    with caplog.at_level(logging.DEBUG):
        said = [version(), upload()]
    assert store.secret_key
    folder = clone()
    committed = "".join(git(folder, "show", f"HEAD:{path}") for path in git(folder, "ls-files").split())
    everything = caplog.text + "".join(capfd.readouterr()) + repr(said) + committed + git(folder, "log")
    assert len(caplog.text) > 100
    for secret in (store.secret_key, git_repository.password):
        assert secret not in everything
    assert store.access_key not in committed
    assert str(store.endpoint_url) not in committed


def test_d10_a_wrong_git_password_fails_without_a_retry_and_without_telling_it(
    accept: Callable[[int], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    accept(1)
    connection = os.environ["AIRFLOW_CONN_GIT_DEFAULT"]
    wrong = {**json.loads(connection), "password": "wrong-s3cret"}
    monkeypatch.setenv("AIRFLOW_CONN_GIT_DEFAULT", json.dumps(wrong))
    with pytest.raises(AirflowFailException, match="check the connection git_default") as caught:
        version()
    assert "wrong-s3cret" not in str(caught.value)


def test_a_typed_repository_elsewhere_is_refused() -> None:
    with pytest.raises(AirflowFailException, match="is not on the server of the connection"):
        run(VersionWithDvcOperator, repo_url="http://evil.example.com/jukebox.git")


@pytest.mark.parametrize(
    "wrong", [{"secret_access_key": "wrong-s3cret"}, {"endpointurl": "http://127.0.0.1:9"}]
)
def test_a_dvc_remote_that_takes_nothing_is_named_without_secrets(
    wrong: dict[str, str], store: ObjectStore, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    remote = get_settings().dvc_remote_uri
    (tmp_path / "file.parquet").write_bytes(b"rows")
    workspace = DvcWorkspace(tmp_path, {**remote_options(remote, store), **wrong})
    with pytest.raises(FeatureOpsError, match=remote) as caught:
        workspace.push(tmp_path / "file.parquet")
    for secret in (store.secret_key, "wrong-s3cret"):
        assert str(secret) not in str(caught.value) + caplog.text
        written = [path for path in tmp_path.rglob("*") if path.is_file()]
        assert not [path for path in written if str(secret).encode() in path.read_bytes()]


def test_work_folders_are_gone_afterwards(
    accept: Callable[[int], str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FEATURE_OPS_WORK_DIR", str(tmp_path / "work"))
    get_settings.cache_clear()
    accept(1)
    version()
    upload()
    assert list((tmp_path / "work").iterdir()) == []
