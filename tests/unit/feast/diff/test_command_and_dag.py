"""The command line and the DAG give the same result for every commit."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.sdk.exceptions import AirflowFailException

from feature_ops.feast.diff.__main__ import main
from feature_ops.feast.diff.definitions import Definitions
from feature_ops.feast.diff.loading import DefinitionsError
from feature_ops.git.commits import Commits
from feature_ops.settings import get_settings
from tests.unit.git.clone import Clone
from tests.unit.git.odd_commits import commit_object, write_object
from tests.unit.git.test_tree_files import FILE, FOLDER, LINK, REFUSED, Entries, write_tree

BASE: Entries = [(b"README.md", FILE, b"x"), (b"features.txt", FILE, b"a b"), (b"x.csv", FILE, b"1")]
# Commits whose folder is exported; their definitions are the words in features.txt.
READ: Mapping[str, Entries] = {
    "the same tree": BASE,
    "a document": [(b"README.md", FILE, b"y"), *BASE[1:]],
    "byte code": [(b"__pycache__", FOLDER, [(b"a.pyc", FILE, b"x")]), *BASE],
    "a comment": [*BASE, (b"y.py", FILE, b"# y")],
    "more": [BASE[0], (b"features.txt", FILE, b"a b c"), BASE[2]],
    "less": [BASE[0], (b"features.txt", FILE, b"a"), BASE[2]],
    "a link to a file": [(b"features.txt", LINK, b"x.txt"), (b"x.txt", FILE, b"a d")],
    "nothing": [],
    "what does not load": [(b"features.txt", FILE, b"broken")],
}


def try_load(folders: Mapping[str, Path], **options: Any) -> dict[str, Definitions | DefinitionsError]:
    """Stand in for the sandbox, whose import of Feast takes seconds."""
    return {label: _loaded(label, folder) for label, folder in folders.items()}


def _loaded(label: str, folder: Path) -> Definitions | DefinitionsError:
    file = folder / "features.txt"
    words = file.read_text().split() if file.exists() else []
    if "broken" in words:
        return DefinitionsError(f"{label}: features.txt:1: broken")
    return Definitions("shop", {"entity": {word: {"join_key": word} for word in words}})


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Clone:
    return Clone(tmp_path_factory.mktemp("both"))


@pytest.fixture(scope="module")
def shas(clone: Clone) -> dict[str, str]:
    trees = {"base": BASE, **READ, **{name: entries for name, (entries, _) in REFUSED.items()}}
    made = {}
    for name, entries in trees.items():
        tree = write_tree(clone.bare, [(b"feature_repo", FOLDER, entries)])
        made[name] = write_object(clone.bare, "commit", commit_object(tree, message=name.encode()))
    root = write_tree(clone.bare, [(b"other", FOLDER, BASE)])
    made["no folder"] = write_object(clone.bare, "commit", commit_object(root))
    lines = [f"{sha} refs/heads/t/{sha}\n" for sha in sorted(set(made.values()))]
    (clone.bare / "packed-refs").write_text(f"# pack-refs with: sorted\n{''.join(lines)}")
    return made


@pytest.fixture(scope="module")
def served(clone: Clone, shas: dict[str, str]) -> Commits:
    """The repository as the DAG sees it; all commits fetched in one request."""
    commits = clone.commits("served")
    commits._fetch("--depth=1", "--filter=blob:none", "origin", "refs/heads/*:refs/*")
    commits._fetched.update(shas.values())
    return commits


@pytest.fixture(autouse=True)
def no_servers(served: Commits, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    store: dict[str, Definitions] = {}
    hook = SimpleNamespace(object_store=None, configuration=SimpleNamespace(versions_online=False))
    monkeypatch.setattr("feature_ops.feast.hook.FeastHook", lambda *_: hook)
    prefix = "feature_ops.feast.definitions_store.DefinitionsStore"
    monkeypatch.setattr(f"{prefix}.get", lambda _, commit: store.get(commit))
    monkeypatch.setattr(f"{prefix}.put", lambda _, commit, found: store.__setitem__(commit, found))
    monkeypatch.setattr(f"{prefix}.uri", lambda _, commit: f"s3://{commit}")
    monkeypatch.setattr("feature_ops.feast.diff.loading.try_load", try_load)
    monkeypatch.setattr("feature_ops.operator.report", lambda *_, **__: None)
    prefix = "feature_ops.git.hook.GitRepositoryHook"
    monkeypatch.setattr(f"{prefix}.__init__", lambda *_: None)
    monkeypatch.setattr(f"{prefix}.commits", lambda *_: nullcontext(served))
    monkeypatch.setenv("FEATURE_OPS_WORK_DIR", str(tmp_path / "work"))
    get_settings.cache_clear()
    yield
    get_settings.cache_clear()


def by_command(clone: Clone, old: str, new: str, capsys: pytest.CaptureFixture[str]) -> Any:
    code = main([old, new, "--repo", str(clone.bare), "--format", "json"])
    output = capsys.readouterr()
    if code:
        return output.err.strip().removeprefix(f"new commit {new}: ")
    found = json.loads(output.out)
    return found["verdict"], [change["sentence"] for change in found["changes"]], found["services"]


def by_dag(old: str, new: str) -> Any:
    from feature_ops.feast.definition_operators import DiffFeatureServiceOperator
    from tests.unit.test_operator import StateStoreStandIn

    resolved = {
        "commit": new,
        "applied": old,
        "begun": None,
        "applied_at": 1,
        "resolved_at": "now",
        **dict.fromkeys(("subject", "author", "committed_at", "commit_url"), "x"),
    }
    operator = DiffFeatureServiceOperator(task_id="diff", resolved=resolved)
    context: Any = {"task_state_store": StateStoreStandIn()}
    try:
        found = operator.execute(context)
    except AirflowFailException as error:
        return str(error).removeprefix(f"commit {new[:10]}: ")
    return found["verdict"], found["changes"], found["services"]


@pytest.mark.parametrize("name", [*READ, *REFUSED, "no folder"])
def test_both_give_the_same_result(
    name: str, clone: Clone, shas: dict[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    result = by_command(clone, shas["base"], shas[name], capsys)
    assert result == by_dag(shas["base"], shas[name])
    # None of the commits is classified without being read, and none that is refused has a class.
    assert isinstance(result, str) == (name in REFUSED or name in ("what does not load", "no folder"))
    if name in REFUSED:
        assert REFUSED[name][1] in result


def test_the_classes_are_those_of_the_definitions(
    clone: Clone, shas: dict[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    classes = {name: by_command(clone, shas["base"], shas[name], capsys)[0] for name in list(READ)[:-1]}
    assert classes == {
        **dict.fromkeys(("the same tree", "a document", "byte code", "a comment"), "none"),
        "more": "additive",
        "less": "breaking",
        "a link to a file": "breaking",
        "nothing": "breaking",
    }


def test_a_folder_that_is_refused_is_refused_also_if_nothing_changed_in_it(
    clone: Clone, shas: dict[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([shas["a submodule"], shas["a submodule"], "--repo", str(clone.bare)]) == 1
    assert "is a submodule" in capsys.readouterr().err
