"""Files leave a commit in one way only: from a server and from a local repository, whoever wrote it."""

from __future__ import annotations

import random
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from feature_ops.exceptions import BadInputError
from feature_ops.feast.diff.exporting import LocalRepository
from feature_ops.git import commits as commits_module
from feature_ops.git import tree_files
from feature_ops.git.commits import Commits
from feature_ops.git.heads import _paths
from tests.unit.git.clone import Clone
from tests.unit.git.odd_commits import commit_object, write_object

FILE, PROGRAM, LINK, SUBMODULE, FOLDER = b"100644", b"100755", b"120000", b"160000", b"40000"
# Entries of a tree: name, mode, and content (of a file), goal (of a link) or the entries below.
Entries = list[tuple[bytes, bytes, Any]]

LEADS_OUT = "is a symbolic link that leads out of the folder"
NO_FILE = "is a symbolic link to no file of the folder"
IMPOSSIBLE = "impossible name"
ONE_FILE = "are one file on some systems"

REFUSED: Mapping[str, tuple[Entries, str]] = {
    "a name that climbs out": ([(b"../../x.py", FILE, b"x")], IMPOSSIBLE),
    "a folder that climbs out": ([(b"..", FOLDER, [(b"x.py", FILE, b"x")])], IMPOSSIBLE),
    "a dot": ([(b".", FILE, b"x")], IMPOSSIBLE),
    "an absolute name": ([(b"/tmp/x.py", FILE, b"x")], IMPOSSIBLE),
    "a name with an empty part": ([(b"a//b", FILE, b"x")], IMPOSSIBLE),
    "a name that ends with a slash": ([(b"a/", FILE, b"x")], IMPOSSIBLE),
    "git's own folder": ([(b".git", FOLDER, [(b"config", FILE, b"x")])], IMPOSSIBLE),
    "git's own folder in capitals": ([(b".GiT", FOLDER, [(b"config", FILE, b"x")])], IMPOSSIBLE),
    "git's own folder on Windows": ([(b"GIT~1", FOLDER, [(b"config", FILE, b"x")])], IMPOSSIBLE),
    "git's own folder with a dot": ([(b".git. ", FOLDER, [(b"config", FILE, b"x")])], IMPOSSIBLE),
    "git's own folder on macOS": ([(".g\u200cit".encode(), FOLDER, [(b"a", FILE, b"x")])], IMPOSSIBLE),
    "git's short name after it is taken": ([(b"git~2", FOLDER, [(b"config", FILE, b"x")])], IMPOSSIBLE),
    "git's own folder as a stream": (
        [(b".git::$INDEX_ALLOCATION", FOLDER, [(b"config", FILE, b"x")])],
        IMPOSSIBLE,
    ),
    "git's own folder with an invisible sign": (
        [(".gi\u2060t".encode(), FOLDER, [(b"config", FILE, b"x")])],
        IMPOSSIBLE,
    ),
    "a file named like git's own folder": ([(b".GIT", FILE, b"gitdir: /tmp/x")], IMPOSSIBLE),
    "a link named like git's own folder": ([(b".git", LINK, b"a"), (b"a", FILE, b"x")], IMPOSSIBLE),
    "a name that climbs out on Windows": ([(b"..\\..\\x.py", FILE, b"x")], IMPOSSIBLE),
    "git's own folder in a name on Windows": ([(b"a\\.git\\config", FILE, b"x")], IMPOSSIBLE),
    "an absolute name on Windows": ([(b"\\x.py", FILE, b"x")], IMPOSSIBLE),
    "a drive": ([(b"C:\\x.py", FILE, b"x")], IMPOSSIBLE),
    "a drive without a path": ([(b"c:x.py", FILE, b"x")], IMPOSSIBLE),
    "git's own folder below": ([(b"a", FOLDER, [(b".git", FOLDER, [(b"x", FILE, b"x")])])], IMPOSSIBLE),
    "a name that is too long": ([(b"x" * 256, FILE, b"x")], IMPOSSIBLE),
    "a path that is too long": (
        [(b"x" * 250, FOLDER, [(b"y" * 250 + b"/" + b"z" * 600, FILE, b"")])],
        IMPOSSIBLE,
    ),
    "too many folders in each other": ([(b"/".join([b"d"] * 60), FILE, b"x")], IMPOSSIBLE),
    "the same name twice": ([(b"a", FILE, b"1"), (b"a", FILE, b"2")], ONE_FILE),
    "two spellings of a name": ([(b"A.py", FILE, b"1"), (b"a.py", FILE, b"2")], ONE_FILE),
    "two spellings of a letter": ([("\xe4".encode(), FILE, b""), ("a\u0308".encode(), FILE, b"")], ONE_FILE),
    "two spellings of a folder": (
        [(b"A", FOLDER, [(b"x", FILE, b"")]), (b"a", FOLDER, [(b"y", FILE, b"")])],
        ONE_FILE,
    ),
    "two names, one with an invisible sign": (
        [(b"a.py", FILE, b""), ("a\u2060.py".encode(), FILE, b"")],
        ONE_FILE,
    ),
    "two names, one with a dot at its end": ([(b"a.py", FILE, b""), (b"a.py.", FILE, b"")], ONE_FILE),
    "two names, one with a space at its end": (
        [(b"d ", FOLDER, [(b"x", FILE, b"")]), (b"d", FILE, b"")],
        ONE_FILE,
    ),
    "two names, one a stream of the other": ([(b"ab.py", FILE, b""), (b"ab.py:x", FILE, b"")], ONE_FILE),
    "two spellings of a sharp s": ([("\xdf".encode(), FILE, b""), (b"SS", FILE, b"")], ONE_FILE),
    "two spellings of a k": ([(b"K", FILE, b""), ("\u212a".encode(), FILE, b"")], ONE_FILE),
    "two spellings of a syllable": (
        [("\uac00".encode(), FILE, b""), ("\u1100\u1161".encode(), FILE, b"")],
        ONE_FILE,
    ),
    "a file that is a folder": ([(b"a", FILE, b"1"), (b"a", FOLDER, [(b"b", FILE, b"2")])], ONE_FILE),
    "a folder that is a file": ([(b"a", FOLDER, [(b"b", FILE, b"2")]), (b"a", FILE, b"1")], ONE_FILE),
    "a link and a file of one name": ([(b"a", LINK, b"b"), (b"a", FILE, b"1"), (b"b", FILE, b"2")], ONE_FILE),
    "a submodule": ([(b"sub", SUBMODULE, "1" * 40)], "is a submodule"),
    # Which git takes for that of a submodule.
    "an unknown mode": ([(b"a", b"20644", b"x")], "is a submodule"),
    "a link out": ([(b"a", LINK, b"../../secret")], LEADS_OUT),
    "a link to the folder's parent": ([(b"a", LINK, b"..")], LEADS_OUT),
    "an absolute link": ([(b"a", LINK, b"/etc/passwd")], LEADS_OUT),
    "an empty link": ([(b"a", LINK, b"")], LEADS_OUT),
    "a link with a NUL": ([(b"a", LINK, b"b\0c"), (b"b", FILE, b"")], LEADS_OUT),
    "a link out by way of a link": ([(b"a", LINK, b"b"), (b"b", LINK, b"../x")], LEADS_OUT),
    "a link out and in again": ([(b"a", LINK, b"../repo/b"), (b"b", FILE, b"x")], LEADS_OUT),
    "a long chain that leads out": (
        [
            *((b"%d" % number, LINK, b"%d" % (number + 1)) for number in range(5)),
            (b"5", LINK, b"/etc/passwd"),
        ],
        LEADS_OUT,
    ),
    "a chain that is too long": (
        [*((b"%02d" % number, LINK, b"%02d" % (number + 1)) for number in range(20)), (b"20", FILE, b"x")],
        NO_FILE,
    ),
    "a link through a link to a folder": (
        [(b"a", LINK, b"d/x"), (b"d", LINK, b"e"), (b"e", FOLDER, [(b"x", FILE, b"1")])],
        NO_FILE,
    ),
    "a submodule below": ([(b"d", FOLDER, [(b"sub", SUBMODULE, "1" * 40)])], "is a submodule"),
    "a link to itself": ([(b"a", LINK, b"a")], NO_FILE),
    "links in a circle": ([(b"a", LINK, b"b"), (b"b", LINK, b"a")], NO_FILE),
    "a link to nothing": ([(b"a", LINK, b"b")], NO_FILE),
    "a link to a folder": ([(b"a", LINK, b"d"), (b"d", FOLDER, [(b"x", FILE, b"1")])], NO_FILE),
    "a link of a megabyte": ([(b"a", LINK, b"x" * 1_000_000)], "impossible goal"),
}

ODD_NAMES = ("\n", " ", "-x", "...", ".gitignore", "a\tb", "a\\b", "é\u2028")

WRITTEN: Mapping[str, tuple[Entries, dict[str, bytes]]] = {
    "nothing": ([], {}),
    "files and folders": (
        [
            (b"a.py", FILE, b"1"),
            (b"d", FOLDER, [(b"b.py", PROGRAM, b"2"), (b"e", FOLDER, [(b"c", FILE, b"")])]),
        ],
        {"a.py": b"1", "d/b.py": b"2", "d/e/c": b""},
    ),
    "odd names": (
        [(name.encode(), FILE, name.encode()) for name in ODD_NAMES],
        {name: name.encode() for name in ODD_NAMES},
    ),
    "a name that is no text": ([(b"\xff", FILE, b"1")], {"\udcff": b"1"}),
    "sources without their byte code": (
        [
            (b"__pycache__", FOLDER, [(b"a.cpython-311.pyc", FILE, b"evil"), (b"b.py", FILE, b"evil")]),
            (b"a.py", FILE, b"1"),
            (b"b.PYC", FILE, b"evil"),
            (b"d", FOLDER, [(b"__PyCache__", FOLDER, [(b"x", FILE, b"evil")]), (b"e.pyo", FILE, b"evil")]),
            (b"pyc", FILE, b"2"),
        ],
        {"a.py": b"1", "pyc": b"2"},
    ),
    "an old mode": ([(b"a", b"100664", b"1")], {"a": b"1"}),
    "one content many times": (
        [(f"{number:03}".encode(), FILE, b"x") for number in range(50)],
        {f"{number:03}": b"x" for number in range(50)},
    ),
    "links to files": (
        [
            (b"a", LINK, b"d/x"),
            (b"b", LINK, b"./a"),
            (b"d", FOLDER, [(b"up", LINK, b"../z"), (b"x", FILE, b"1")]),
            (b"z", FILE, b"2"),
        ],
        {"a": b"1", "b": b"1", "d/up": b"2", "d/x": b"1", "z": b"2"},
    ),
}


def write_tree(bare: Path, entries: Entries) -> str:
    content = b""
    for name, mode, below in entries:
        if mode == FOLDER:
            sha = write_tree(bare, below)
        else:
            sha = below if mode == SUBMODULE else write_object(bare, "blob", below)
        content += mode + b" " + name + b"\0" + bytes.fromhex(sha)
    return write_object(bare, "tree", content)


def random_entries(draw: random.Random, depth: int = 0) -> Entries:
    """Return a tree of mostly harmless names, with a chance of everything else."""
    names = [
        b"a",
        b"b.py",
        b"c",
        b"\xc3\xa4",
        b"A",
        b"..",
        b".git",
        b"x/../y",
        b"x/y",
        b"c.pyc",
        b"c.",
        b"d\\..",
    ]
    weights = [30, 30, 30, 5, 2, 1, 1, 1, 3, 3, 1, 1]
    entries: Entries = []
    for name in draw.choices(names, weights, k=draw.randrange(1, 4)):
        kind = draw.choices([FILE, LINK, FOLDER, SUBMODULE], [60, 15, 24, 1])[0]
        goal = draw.choice([b"a", b"b.py", b"../a", b"../../a", b"/a", b"c/a", b"."])
        below = random_entries(draw, depth + 1) if kind == FOLDER and depth < 3 else []
        content = {FILE: b"text", LINK: goal, FOLDER: below, SUBMODULE: "1" * 40}[kind]
        entries.append((name, kind, content))
    return entries


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Clone:
    return Clone(tmp_path_factory.mktemp("trees"))


@pytest.fixture(scope="module")
def shas(clone: Clone) -> dict[str, str]:
    """The commit of each tree, which is its folder ``repo``."""
    draw = random.Random(20261130)
    trees: dict[str, Entries] = {
        **{name: entries for name, (entries, _) in REFUSED.items()},
        **{name: entries for name, (entries, _) in WRITTEN.items()},
        **{f"random {number}": random_entries(draw) for number in range(20)},
    }
    made = {}
    for name, entries in trees.items():
        tree = write_tree(clone.bare, [(b"repo", FOLDER, entries)])
        made[name] = write_object(clone.bare, "commit", commit_object(tree, message=name.encode()))
    lines = [f"{sha} refs/heads/t/{sha}\n" for sha in sorted(made.values())]
    (clone.bare / "packed-refs").write_text(f"# pack-refs with: sorted\n{''.join(lines)}")
    return made


@pytest.fixture(scope="module")
def served(clone: Clone, shas: dict[str, str]) -> Commits:
    """The commits on a server; all of them fetched in one request."""
    commits = clone.commits("served")
    commits._fetch("--depth=1", "--filter=blob:none", "origin", "refs/heads/*:refs/*")
    commits._fetched.update(shas.values())
    return commits


def outcome(source: Commits | LocalRepository, sha: str, home: Path) -> str | dict[str, bytes]:
    """Export a commit; returns the files, or why it is refused, and fails if anything else was written."""
    out = home / "deep" / "out"
    out.parent.mkdir(parents=True)
    try:
        source.export(sha, "repo", out)
    except BadInputError as error:
        assert list(home.rglob("*")) == [out.parent]
        return str(error)
    assert not [path for path in home.rglob("*") if path.is_symlink()]
    assert all(path.is_relative_to(out) or path == out.parent for path in home.rglob("*"))
    assert len({path.stat().st_mtime for path in out.rglob("*") if path.is_file()}) < 2
    return {str(path.relative_to(out)): path.read_bytes() for path in out.rglob("*") if path.is_file()}


@pytest.fixture
def outcomes(clone: Clone, served: Commits, shas: dict[str, str], tmp_path: Path) -> Any:
    """Export a commit in both ways; returns what both have done."""

    def both(name: str) -> str | dict[str, bytes]:
        found = outcome(served, shas[name], tmp_path / name.replace(" ", "-") / "served")
        assert (
            outcome(LocalRepository(clone.bare), shas[name], tmp_path / name.replace(" ", "-") / "local")
            == found
        )
        return found

    return both


@pytest.mark.parametrize("name", REFUSED)
def test_what_could_do_harm_is_refused_and_nothing_is_written(
    name: str, outcomes: Any, shas: dict[str, str]
) -> None:
    found = outcomes(name)
    assert isinstance(found, str), found
    assert REFUSED[name][1] in found
    assert shas[name] in found
    assert found.isprintable()


@pytest.mark.parametrize("name", WRITTEN)
def test_all_else_is_written_as_it_is(name: str, outcomes: Any) -> None:
    assert outcomes(name) == WRITTEN[name][1]


def test_both_ways_do_the_same_with_any_tree(outcomes: Any) -> None:
    found = [outcomes(f"random {number}") for number in range(20)]
    assert {type(one) for one in found} == {str, dict}


def test_the_hash_of_a_models_code_sees_what_a_link_leads_to(served: Commits, shas: dict[str, str]) -> None:
    contents = served.contents_of(shas["links to files"], "repo")
    assert contents["a"] == contents["b"] == contents["d/x"] != contents["d/up"] == contents["z"]


def test_too_many_files_are_refused(
    clone: Clone, served: Commits, shas: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sha = shas["one content many times"]
    monkeypatch.setattr(tree_files, "MAX_FILES", 49)
    for source in (served, LocalRepository(clone.bare)):
        with pytest.raises(BadInputError, match="more than 49 files"):
            source.export(sha, "repo", tmp_path / "out")
    # The listing is cut where no allowed one can end.
    monkeypatch.setattr(tree_files, "_MAX_LISTING", 100)
    with pytest.raises(BadInputError, match="more than 49 files"):
        served.export(sha, "repo", tmp_path / "out")
    monkeypatch.undo()
    with pytest.raises(BadInputError, match="has 50 bytes; at most 49"):
        served.export(sha, "repo", tmp_path / "out", max_bytes=49)


def bomb(bare: Path, leaf: Entries) -> str:
    """Return a commit with ten to the power of twelve entries, in twelve small objects."""
    tree = write_tree(bare, leaf)
    for _ in range(12):
        content = b"".join(b"40000 %d\0" % number + bytes.fromhex(tree) for number in range(10))
        tree = write_object(bare, "tree", content)
    root = write_object(bare, "tree", b"40000 repo\0" + bytes.fromhex(tree))
    return write_object(bare, "commit", commit_object(root))


@pytest.mark.parametrize("leaf", [[(b"x", FILE, b"x")], []], ids=["of files", "of empty folders"])
def test_a_tree_that_repeats_itself_ends_neither_the_disk_nor_the_watcher(
    clone: Clone, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, leaf: Entries
) -> None:
    monkeypatch.setattr(tree_files, "_SECONDS", 0.5)
    monkeypatch.setattr(commits_module, "_LISTING_SECONDS", 0.5)
    first = clone.commit("first", {"a": "1"})
    sha = bomb(clone.bare, leaf)
    clone.serve("update-ref", "refs/heads/bomb", sha)
    commits = clone.commits(f"bomb-{len(leaf)}")
    for source in (commits, LocalRepository(clone.bare)):
        with pytest.raises(BadInputError, match="more than 10,000 files"):
            source.export(sha, "repo", tmp_path / "out")
    assert not (tmp_path / "out").exists()
    assert _paths(commits, first, sha) is None
    assert _paths(commits, "", sha) is None


def test_a_missing_content_is_named(clone: Clone, tmp_path: Path) -> None:
    blob = write_object(clone.bare, "blob", b"lost")
    tree = write_object(clone.bare, "tree", b"100644 a\0" + bytes.fromhex(blob))
    sha = write_object(clone.bare, "commit", commit_object(tree))
    (clone.bare / "objects" / blob[:2] / blob[2:]).unlink()
    with pytest.raises(BadInputError, match=f"the content {blob} of commit {sha} is missing"):
        LocalRepository(clone.bare).export(sha, "", tmp_path / "out")


def test_a_commit_is_what_its_hash_names_also_where_objects_are_replaced(
    clone: Clone, shas: dict[str, str], tmp_path: Path
) -> None:
    sha = shas["files and folders"]
    clone.serve("update-ref", f"refs/replace/{sha}", shas["odd names"])
    try:
        found = outcome(LocalRepository(clone.bare), sha, tmp_path)
    finally:
        clone.serve("update-ref", "-d", f"refs/replace/{sha}")
    assert found == WRITTEN["files and folders"][1]


def test_the_command_refuses_it_as_well(
    clone: Clone, shas: dict[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    from feature_ops.feast.diff.__main__ import main

    arguments = [shas["files and folders"], shas["a name that climbs out"], "--repo", str(clone.bare)]
    assert main([*arguments, "--path", "repo"]) == 1
    assert IMPOSSIBLE in capsys.readouterr().err
