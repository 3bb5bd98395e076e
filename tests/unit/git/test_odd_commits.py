"""No property of a single commit holds up the watcher, or a run that takes the commit."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from feature_ops.git.commit_info import INVALID_DATE, NO_AUTHOR, NO_SUBJECT, CommitInfo, commit_info
from feature_ops.git.heads import Change
from feature_ops.git.path_watch import PathWatch
from feature_ops.git.repository import Author, Remote, Repository
from feature_ops.git.trigger import GitPathTrigger, change_event, describe
from feature_ops.settings import get_settings
from tests.unit.git.clone import Clone
from tests.unit.git.odd_commits import commit_object, named_commits, random_commits, write_object
from tests.unit.git.watching import Store, triggerer, until

TREE, SHA = "a" * 40, "b" * 40


def expect_harmless(info: CommitInfo) -> None:
    """Fail unless a commit's properties can be logged, stored, sent and shown."""
    json.dumps(asdict(info), ensure_ascii=False).encode()
    for line, length in ((info.author, 100), (info.subject, 300), (info.committed_at, 40)):
        assert 0 < len(line) <= length
        assert len(line.splitlines()) == 1
        assert all(sign.isprintable() or sign in "\u200c\u200d" for sign in line)
    event = change_event(
        Change("https://git", "", info, ("feature_repo/a.py",)), PathWatch("main", ("*.py",))
    )
    assert json.loads(json.dumps(event)) == event
    assert len(describe(event).splitlines()) == 1


@pytest.mark.parametrize("content", named_commits(TREE, ["c" * 40] * 1000).items(), ids=lambda item: item[0])
def test_every_odd_commit_is_described_in_short_printable_lines(content: tuple[str, bytes]) -> None:
    expect_harmless(commit_info(SHA, content[1]))


def test_odd_parts_in_any_combination_are_described_in_short_printable_lines() -> None:
    for content in random_commits(TREE, 1000):
        expect_harmless(commit_info(SHA, content))
        # As much of it as was read may end anywhere.
        expect_harmless(commit_info(SHA, content[: len(content) // 2]))


def test_an_event_is_small_however_many_and_long_the_paths() -> None:
    paths = tuple(f"{number}{'x' * 100_000}.py" for number in range(60))
    info = commit_info(SHA, commit_object(TREE, message=b"m" * 1_000_000))
    event = change_event(Change("https://git", "", info, paths), PathWatch("main", ("*.py",)))
    assert (event["changed"], len(event["paths"])) == (60, 50)
    assert len(json.dumps(event)) < 60_000


def test_bytes_that_are_no_commit_are_described_all_the_same() -> None:
    for content in (
        b"",
        b"tree 1\n",
        b"\n\n",
        b"\0" * 100,
        b"author",
        b"committer \n\n",
        bytes(range(256)) * 9,
    ):
        expect_harmless(commit_info(SHA, content))
    assert commit_info(SHA, b"") == CommitInfo(SHA, NO_AUTHOR, NO_SUBJECT, INVALID_DATE)


@pytest.mark.parametrize(
    ("date", "shown"),
    [
        (b"1795564800 +0900", "2026-11-25T00:00:00+00:00"),
        (b"1795564800 -9999", "2026-11-25T00:00:00+00:00"),
        (b"1795564800", "2026-11-25T00:00:00+00:00"),
        (b"0 +0000", "1970-01-01T00:00:00+00:00"),
        (b"253402300799 +0000", "9999-12-31T23:59:59+00:00"),
        (b"253402300800 +0000", INVALID_DATE),  # one second later
        (b"99999999999999 +0000", INVALID_DATE),  # the year 3170843
        (b"18446744073709551615 +0000", INVALID_DATE),
        (b"-1 +0000", INVALID_DATE),  # 1969, which git does not know either
        (b"soon", INVALID_DATE),
        (b"", INVALID_DATE),
    ],
)
def test_a_broken_date_is_shown_as_such(date: bytes, shown: str) -> None:
    content = commit_object(TREE, committer=b"Ada <ada@localhost> " + date)
    assert commit_info(SHA, content).committed_at == shown


@pytest.mark.parametrize(
    ("parts", "author", "subject"),
    [
        ({"author": "Ada Ü <ada@localhost> 1 +0000".encode()}, "Ada Ü", "Louder"),
        ({"author": b" <ada@localhost> 1 +0000"}, "ada@localhost", "Louder"),
        ({"author": b"<> 1 +0000"}, NO_AUTHOR, "Louder"),
        ({"message": b""}, "Ada", NO_SUBJECT),
        ({"message": b"\n\nfirst\nsecond\n \nthird"}, "Ada", "first second"),
        ({"message": "Grün".encode("latin-1"), "header": (b"encoding ISO-8859-1",)}, "Ada", "Grün"),
        ({"message": "크게".encode("cp949"), "header": (b"encoding cp949",)}, "Ada", "크게"),
        ({"message": "Grün".encode("latin-1")}, "Ada", r"Gr\xfcn"),
        ({"message": b"m" * 301}, "Ada", "m" * 299 + "…"),
        ({"message": "\u202eevil\x1b[0m".encode()}, "Ada", "evil [0m"),
        ({"header": (b"gpgsig x\n author Eve <eve@localhost> 1 +0000",)}, "Ada", "Louder"),
        ({"header": (b"author Eve <eve@localhost> 1 +0000",)}, "Ada", "Louder"),
    ],
)
def test_what_a_commit_says_is_shown(parts: dict[str, Any], author: str, subject: str) -> None:
    info = commit_info(SHA, commit_object(TREE, **parts))
    assert (info.author, info.subject) == (author, subject)


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Clone:
    made = Clone(tmp_path_factory.mktemp("odd"))
    made.commit("first", {"feature_repo/a.py": "1"})
    return made


@pytest.fixture(scope="module")
def tree(clone: Clone) -> str:
    """A tree in which another file has changed."""
    clone.commit("second", {"feature_repo/b.py": "2"})
    return clone.git("rev-parse", "HEAD^{tree}")


@pytest.fixture(scope="module")
def odd(clone: Clone, tree: str) -> dict[str, str]:
    """The name and hash of each odd commit; each is a branch."""
    first = clone.git("rev-parse", "HEAD~1")
    parents = [
        write_object(
            clone.bare, "commit", commit_object(tree, parents=(first,), message=f"{number}".encode())
        )
        for number in range(1000)
    ]
    contents = {
        **named_commits(tree, parents),
        **{f"random {number}": content for number, content in enumerate(random_commits(tree, 10))},
    }
    commits = {name: write_object(clone.bare, "commit", content) for name, content in contents.items()}
    lines = [f"{sha} refs/heads/odd/{sha}\n" for sha in sorted(set(commits.values()))]
    (clone.bare / "packed-refs").write_text(f"# pack-refs with: sorted\n{''.join(lines)}")
    return commits


def test_every_odd_commit_is_fetched_compared_and_exported(
    clone: Clone, odd: dict[str, str], tmp_path: Path
) -> None:
    first = clone.git("rev-parse", "HEAD~1")
    commits = clone.commits("odd")
    assert set(odd.values()) <= set(commits.heads().values())
    # In one fetch, since git itself is not what is tested.
    commits._run(
        "fetch", "--quiet", "--no-tags", "--depth=1", "--filter=blob:none", "origin", "refs/heads/*:refs/*"
    )
    commits._fetched.update(odd.values())
    for name, sha in odd.items():
        expect_harmless(commits.info(sha))
        assert commits.changed_paths(first, sha) == ["feature_repo/b.py"], name
    commits.export(odd["a thousand parents"], "feature_repo", tmp_path / "out")
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["a.py", "b.py"]


HARD = (
    "date b'99999999999999 +0000'",
    "date b'-1 +0000'",
    "date b'18446744073709551615 +00'",
    "no author and no committer",
    "message b'mmmmmmmmmmmm'",
    "a thousand parents",
)


@pytest.mark.parametrize("name", HARD)
def test_a_pointer_is_committed_on_top_of_an_odd_commit(
    clone: Clone, odd: dict[str, str], tmp_path: Path, name: str
) -> None:
    clone.serve("update-ref", "refs/heads/pointers", odd[name])
    repository = Repository(tmp_path / "work", Remote(clone.url, "pointers"))
    made = repository.publish(lambda: repository.commit({"p.dvc": b"1"}, "p", Author("Ada", "ada@localhost")))
    assert clone.serve("rev-parse", "refs/heads/pointers", f"{made}^") == f"{made}\n{odd[name]}"


@pytest.fixture
def connected(clone: Clone, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("AIRFLOW_CONN_GIT_DEFAULT", json.dumps({"conn_type": "git", "host": clone.url}))
    monkeypatch.setenv("FEATURE_OPS_WORK_DIR", str(tmp_path / "work"))
    get_settings.cache_clear()
    yield
    get_settings.cache_clear()


@pytest.mark.usefixtures("connected")
def test_the_watcher_reports_each_odd_head(clone: Clone, odd: dict[str, str]) -> None:
    first = clone.git("rev-parse", "HEAD~1")
    clone.serve("update-ref", "refs/heads/watched", first)

    async def watched() -> list[str]:
        store = Store()
        async with triggerer() as running:
            events = running.start(GitPathTrigger(paths=["*.py"], ref="watched", interval=0.02), store)
            await until(lambda: store, "the watch has its baseline")
            for name in HARD:
                clone.serve("update-ref", "refs/heads/watched", first)
                await until(lambda: store.commits == [first], "back at the first commit")
                clone.serve("update-ref", "refs/heads/watched", odd[name])
                await until(lambda name=name: store.commits == [odd[name]], f"the watcher is at {name}")
            return [event["new"] for event in events if event["new"] != first]

    assert asyncio.run(watched()) == [odd[name] for name in HARD]


@pytest.mark.usefixtures("connected")
@pytest.mark.parametrize("name", HARD)
def test_a_run_resolves_each_odd_head(
    clone: Clone, odd: dict[str, str], monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    from feature_ops.feast import applied_commit, hook
    from feature_ops.feast.definition_operators import ResolveCommitsOperator
    from tests.unit.test_operator import StateStoreStandIn

    class Feast:
        def registry_url(self) -> str:
            return "sqlite://"

        def project(self) -> str:
            return "songs"

    monkeypatch.setattr(hook, "FeastHook", Feast)
    monkeypatch.setattr(
        applied_commit.AppliedCommit, "state", lambda self: applied_commit.AppliedState(applied="c" * 40)
    )
    context: Any = {"task_state_store": StateStoreStandIn()}
    operator = ResolveCommitsOperator(task_id="resolve_commits", revision=odd[name])
    facts = operator.execute(context)
    assert facts["commit"] == odd[name]
    json.dumps(facts, ensure_ascii=False).encode()
    assert len(context["task_state_store"]["summary"].splitlines()) == 1
