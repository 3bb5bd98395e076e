"""DVC itself, on a remote in a local folder."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from pathlib import Path

import pytest

from feature_ops.dvc.pointers import Pointer, parse_pointer
from feature_ops.dvc.workspace import DvcWorkspace, remote_options
from feature_ops.exceptions import FeatureOpsError
from feature_ops.object_store import ObjectStore

NAME = f"{'0' * 20}.parquet"
STORE = ObjectStore("the-key", "the-secret", "the-token", "us-east-1", "http://127.0.0.1:9")


def written(folder: Path, content: bytes = b"rows") -> Path:
    file = folder / "data" / "songs" / NAME
    file.parent.mkdir(parents=True)
    file.write_bytes(content)
    return file


def test_content_goes_to_the_remote_and_its_pointer_comes_back(tmp_path: Path) -> None:
    before = dict(os.environ)
    remote = tmp_path / "remote"
    pointer = DvcWorkspace(tmp_path / "w", {"url": str(remote)}).push(written(tmp_path / "w"))
    md5 = hashlib.md5(b"rows").hexdigest()
    assert parse_pointer(f"data/songs/{NAME}.dvc", pointer) == Pointer(NAME, md5, 4)
    assert (remote / "files" / "md5" / md5[:2] / md5[2:]).read_bytes() == b"rows"
    assert dict(os.environ) == before


def test_pushing_again_changes_nothing(tmp_path: Path) -> None:
    options = {"url": str(tmp_path / "remote")}
    first = DvcWorkspace(tmp_path / "a", options).push(written(tmp_path / "a"))
    again = DvcWorkspace(tmp_path / "b", options).push(written(tmp_path / "b"))
    assert again == first


def test_a_push_that_fails_is_an_error_that_names_the_remote(tmp_path: Path) -> None:
    (tmp_path / "remote").write_text("a file where the remote's folder would be")
    workspace = DvcWorkspace(tmp_path / "w", {"url": str(tmp_path / "remote")})
    with pytest.raises(FeatureOpsError, match="remote"):
        workspace.push(written(tmp_path / "w"))


def test_a_users_own_dvc_configuration_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "global").mkdir()
    (tmp_path / "global" / "config").write_text("[core]\n    remote = elsewhere\n    no_such_option = 1\n")
    monkeypatch.setenv("DVC_GLOBAL_CONFIG_DIR", str(tmp_path / "global"))
    DvcWorkspace(tmp_path / "w", {"url": str(tmp_path / "remote")}).push(written(tmp_path / "w"))


def test_d10_the_sign_in_is_for_s3_only_and_for_memory_only() -> None:
    assert remote_options("s3://cache", STORE) == {
        "url": "s3://cache",
        "access_key_id": "the-key",
        "secret_access_key": "the-secret",
        "session_token": "the-token",
        "region": "us-east-1",
        "endpointurl": "http://127.0.0.1:9",
    }
    assert remote_options("/local", STORE) == {"url": "/local"}


def test_dvc_is_not_imported_before_there_is_something_to_version() -> None:
    code = (
        "import sys, feature_ops.dvc.operators\n"
        "print([m for m in sys.modules if m.partition('.')[0] in {'dvc', 'dulwich', 's3fs', 'boto3'}])"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout.splitlines()[-1] == "[]"
