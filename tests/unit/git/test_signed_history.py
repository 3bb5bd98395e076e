"""Which commits of a history must be signed: merges, rebases, force pushes, unknown and trusted commits."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from feature_ops.exceptions import BadInputError
from feature_ops.git.commits import Commits
from feature_ops.git.errors import GitError
from feature_ops.git.repository import Remote
from feature_ops.git.signatures.errors import SignatureSetupError, UnsignedCommitError
from feature_ops.git.signatures.graph import CommitGraph, changed_folders
from feature_ops.git.signatures.policy import Span, must_be_signed
from tests.unit.git.signing import CODE, FOLDER, Keys, Team


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Keys:
    return Keys(tmp_path_factory.mktemp("keys"))


@pytest.fixture
def team(tmp_path: Path, keys: Keys) -> Team:
    return Team(tmp_path, keys)


def refused(team: Team, head: str, applied: str | None, *named: str, trusted: str | None = None) -> str:
    """Check that exactly these commits are named in the refusal; returns its message."""
    with pytest.raises(UnsignedCommitError) as caught:
        team.check(head, applied, trusted)
    message = str(caught.value)
    assert [part.split()[0] for part in message.split("commit ")[1:] if "“" in part] == [
        commit[:10] for commit in named
    ]
    return message


def branch(team: Team, name: str, start: str) -> None:
    team.clone.git("checkout", "-q", "-B", name, start)


def merge(team: Team, *others: str, signer: str | None = "ada", options: tuple[str, ...] = ()) -> str:
    return team.git("merge", "-q", "--no-ff", "-m", "merge", *options, *others, signer=signer)


def test_unsigned_commits_that_change_nothing_watched_are_allowed(team: Team) -> None:
    applied = team.commit({CODE: "1"})
    team.commit({"README.md": "2"}, None)
    signed = team.commit({CODE: "2"})
    head = team.commit({"data/x.dvc": "3", f"{FOLDER}.md": "3"}, None)
    assert list(team.check(head, applied)) == [signed]


def test_every_commit_since_the_applied_one_counts_and_not_only_the_newest(team: Team) -> None:
    applied = team.commit({CODE: "1"})
    bad = team.commit({CODE: "evil"}, None)
    head = team.commit({CODE: "2"})
    assert "changes feature_repo" in refused(team, head, applied, bad)


def test_a_change_that_is_taken_back_counts_as_well(team: Team) -> None:
    applied = team.commit({CODE: "1"})
    bad = team.commit({CODE: "evil"}, None)
    head = team.commit({CODE: "1"}, None)
    refused(team, head, applied, bad, head)


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(lambda team: team.clone.git("rm", "-q", CODE), id="removed"),
        pytest.param(lambda team: team.clone.git("mv", CODE, f"{FOLDER}/other.py"), id="renamed"),
        pytest.param(lambda team: team.clone.git("mv", FOLDER, "elsewhere"), id="folder moved"),
        pytest.param(lambda team: team.clone.git("update-index", "--chmod=+x", CODE), id="mode"),
    ],
)
def test_removing_renaming_and_modes_are_changes(team: Team, change: Callable[[Team], str]) -> None:
    applied = team.commit({CODE: "1", f"{FOLDER}/rest.py": "1"})
    change(team)
    head = team.git("commit", "-q", "-m", "change", signer=None)
    refused(team, head, applied, head)


def test_several_folders_and_the_whole_repository(team: Team) -> None:
    applied = team.commit({CODE: "1", "model/train.py": "1"})
    head = team.commit({"model/train.py": "2"}, None)
    assert team.check(head, applied) == {}
    for folders in ((FOLDER, "model"), ("",), ("/model/",), (".",)):
        with pytest.raises(UnsignedCommitError, match=head[:10]):
            team.check(head, applied, folders=folders)
    with pytest.raises(BadInputError, match="is no folder of the repository"):
        team.check(head, applied, folders=("../model",))


def test_a_merge_of_an_unsigned_side_branch_is_refused_even_if_the_merge_is_signed(team: Team) -> None:
    applied = team.commit({CODE: "1"})
    branch(team, "side", applied)
    bad = team.commit({CODE: "evil"}, None)
    branch(team, "main", applied)
    team.commit({"README.md": "x"})
    refused(team, merge(team, "side"), applied, bad)


def test_a_side_branch_that_left_before_the_applied_commit_is_checked(team: Team) -> None:
    base = team.commit({CODE: "1"})
    branch(team, "side", base)
    bad = team.commit({f"{FOLDER}/side.py": "evil"}, None)
    branch(team, "main", base)
    applied = team.commit({CODE: "2"})
    refused(team, merge(team, "side"), applied, bad)


def test_a_merge_that_changes_the_folder_on_any_side_must_be_signed(team: Team) -> None:
    applied = team.commit({CODE: "1"})
    branch(team, "side", applied)
    signed = team.commit({CODE: "2"})
    branch(team, "main", applied)
    team.commit({"README.md": "x"}, None)
    unsigned = merge(team, "side", signer=None)
    refused(team, unsigned, applied, unsigned)
    team.clone.git("reset", "-q", "--hard", "HEAD^")
    head = merge(team, "side", signer="bob")
    assert list(team.check(head, applied)) == [signed, head]


def test_a_merge_that_changes_nothing_watched_needs_no_signature(team: Team) -> None:
    applied = team.commit({CODE: "1"})
    branch(team, "side", applied)
    team.commit({"a": "2"}, None)
    branch(team, "main", applied)
    team.commit({"b": "x"}, None)
    assert team.check(merge(team, "side", signer=None), applied) == {}


@pytest.mark.parametrize("first_parent", ["old", "new"])
def test_a_merge_cannot_bring_back_old_content_without_a_signature(team: Team, first_parent: str) -> None:
    old = team.commit({CODE: "hole"})
    applied = team.commit({CODE: "repaired"})
    branch(team, "aside", old)
    team.commit({"README.md": "x"}, None)
    if first_parent == "old":
        head = merge(team, applied, signer=None, options=("-s", "ours"))
    else:
        tree = team.clone.git("rev-parse", "aside^{tree}")
        head = team.clone.git("commit-tree", tree, "-p", applied, "-p", "aside", "-m", "x")
    refused(team, head, applied, head)


def test_an_octopus_is_checked_on_all_sides(team: Team) -> None:
    applied = team.commit({CODE: "1"})
    sides = []
    for name, signer in (("one", "ada"), ("two", None), ("three", "bob")):
        branch(team, name, applied)
        sides.append(team.commit({f"{FOLDER}/{name}.py": "1"}, signer))
    branch(team, "main", applied)
    head = merge(team, "one", "two", "three")
    refused(team, head, applied, sides[1])


def test_a_rebase_loses_signatures_and_must_be_signed_again(team: Team) -> None:
    base = team.commit({CODE: "1"})
    branch(team, "work", base)
    team.commit({f"{FOLDER}/a.py": "1"})
    team.commit({f"{FOLDER}/b.py": "1"})
    branch(team, "main", base)
    applied = team.commit({CODE: "2"})
    branch(team, "rebased", "work")
    head = team.git("rebase", "-q", "main", signer=None)
    refused(team, head, applied, team.clone.git("rev-parse", "HEAD^"), head)
    # The committer of a rebased commit is whoever rebased it; the author stays.
    branch(team, "again", "work")
    head = team.git("rebase", "-q", "main", signer="bob")
    assert all(signer.startswith("bob") for signer in team.check(head, applied).values())


def test_a_rewritten_branch_needs_a_signed_newest_commit(team: Team) -> None:
    base = team.commit({CODE: "1"})
    applied = team.commit({CODE: "2"})
    branch(team, "main", base)
    head = team.commit({"README.md": "x"}, None)
    assert "is the newest commit of a branch that was rewritten" in refused(team, head, applied, head)
    signed = team.commit({"README.md": "y"})
    assert list(team.check(signed, applied)) == [signed]


def test_an_old_unsigned_commit_cannot_be_pushed_again(team: Team) -> None:
    old = team.commit({CODE: "hole"}, None)
    applied = team.commit({CODE: "repaired"})
    refused(team, old, applied, old)


def test_without_an_applied_commit_the_whole_history_must_be_signed(team: Team) -> None:
    root = team.commit({CODE: "1"})
    head = team.commit({CODE: "2"})
    assert list(team.check(head, None)) == [root, head]


def test_an_unsigned_root_commit_is_refused_unless_a_later_one_is_trusted(team: Team) -> None:
    root = team.commit({CODE: "1"}, None)
    later = team.commit({CODE: "2"}, None)
    head = team.commit({CODE: "3"})
    assert "FEATURE_OPS_GIT_SIGNED_SINCE" in refused(team, head, None, root, later)
    assert list(team.check(head, None, trusted=later)) == [head]
    refused(team, head, None, later, trusted=root)
    assert team.check(later, None, trusted=later) == {}


def test_a_root_commit_without_the_folder_needs_no_signature(team: Team) -> None:
    team.commit({"README.md": "1"}, None)
    head = team.commit({CODE: "1"})
    assert list(team.check(head, None)) == [head]


def test_with_a_trusted_commit_an_older_state_cannot_be_brought_in(team: Team) -> None:
    old = team.commit({CODE: "hole"}, None)
    trusted = team.commit({CODE: "repaired"}, None)
    refused(team, old, None, old, trusted=trusted)


def test_a_trusted_commit_that_does_not_exist_is_an_error_of_the_deployment(team: Team) -> None:
    head = team.commit({CODE: "1"})
    with pytest.raises(
        SignatureSetupError, match="FEATURE_OPS_GIT_SIGNED_SINCE is ffffffffff, which does not"
    ):
        team.check(head, None, trusted="f" * 40)


def test_if_the_server_has_lost_the_applied_commit_all_of_the_history_counts(team: Team) -> None:
    lost = "e" * 40
    bad = team.commit({CODE: "1"}, None)
    signed = team.commit({CODE: "2"})
    refused(team, signed, lost, bad)
    unsigned = team.commit({"README.md": "x"}, None)
    refused(team, unsigned, lost, unsigned, trusted=signed)
    assert team.check(signed, lost, trusted=signed) == {}


def test_a_commit_that_hides_its_parents_is_a_root_and_must_be_signed(team: Team) -> None:
    applied = team.commit({CODE: "1"})
    plain = team.object(team.commit({CODE: "2"}, None))
    parent = f"parent {applied}\n".encode()
    head = team.forge(plain.replace(parent, b"").replace(b"\n\n", b"\n" + parent + b"\n", 1))
    refused(team, head, applied, head)


@pytest.mark.parametrize("serves", ["filters", "no filters", "heads only"])
def test_what_a_server_can_do_does_not_matter(team: Team, serves: str, tmp_path: Path) -> None:
    base = team.commit({CODE: "1"}, None)
    applied = team.commit({CODE: "2"})
    team.commit({"deep/er/file": "x"}, None)
    bad, head = team.commit({CODE: "3"}, None), team.commit({CODE: "4"})
    team.clone.allow_filter(serves == "filters")
    old_protocol = {}
    if serves == "heads only":
        team.clone.serve("config", "uploadpack.allowAnySHA1InWant", "false")
        old_protocol = {
            "GIT_CONFIG_COUNT": "1",
            "GIT_CONFIG_KEY_0": "protocol.version",
            "GIT_CONFIG_VALUE_0": "0",
        }
    team.clone.git("push", "-q", "-f", "origin", "HEAD:refs/heads/main")
    commits = Commits(tmp_path / "fresh", Remote(team.clone.url, "main", credentials=old_protocol))
    graph = commits.history(head, applied, None)
    span = Span(head, applied, None, (FOLDER,))
    needed = must_be_signed(graph, span, lambda involved: commits.fetch_trees(graph, involved))
    assert list(needed) == [bad, head]
    assert base not in needed


def test_only_the_commits_are_fetched_of_a_history_and_no_files(team: Team, tmp_path: Path) -> None:
    for text in "123456":
        team.commit({CODE: text, f"other/{text}": text})
    head, applied = team.head, team.clone.git("rev-parse", "HEAD^")
    team.clone.git("push", "-q", "-f", "origin", "HEAD:refs/heads/main")
    commits = team.clone.commits(str(tmp_path / "fresh"))
    graph = commits.history(head, applied)
    span = Span(head, applied, None, (FOLDER,))
    assert must_be_signed(graph, span, lambda involved: commits.fetch_trees(graph, involved))
    kinds = graph.git.run("cat-file", "--batch-all-objects", "--batch-check=%(objecttype)").decode().split()
    assert kinds.count("commit") == 6
    # Of the two commits that are compared: the root, the watched folder, the other one.
    assert kinds.count("tree") == 6
    assert kinds.count("blob") == 0


def test_a_shallow_repository_is_refused_with_the_remedy(team: Team, tmp_path: Path) -> None:
    applied, head = team.commit({CODE: "1"}), team.commit({CODE: "2"})
    team.clone.git("push", "-q", "-f", "origin", "HEAD:refs/heads/main")
    team.clone.git("clone", "-q", "--bare", "--depth=1", team.clone.url, str(tmp_path / "shallow.git"))
    commits = Commits(tmp_path / "fresh", Remote(f"file://{tmp_path}/shallow.git", "main"))
    graph = commits.history(head, applied)
    with pytest.raises((BadInputError, GitError), match=r"incomplete \(shallow\) history.*whole history"):
        must_be_signed(graph, Span(head, applied, None, (FOLDER,)), lambda involved: None)


def test_a_hash_that_is_none_is_never_handed_to_git(team: Team) -> None:
    head = team.commit({CODE: "1"})
    with pytest.raises(BadInputError, match="not the full hash of a commit"):
        team.check(head, "--upload-pack=touch /tmp/x")


def test_a_history_that_is_too_long_names_the_setting(team: Team, monkeypatch: pytest.MonkeyPatch) -> None:
    team.commit({CODE: "1"})
    head = team.commit({CODE: "2"})
    monkeypatch.setattr("feature_ops.git.signatures.graph.MAX_COMMITS", 1)
    with pytest.raises(BadInputError, match="FEATURE_OPS_GIT_SIGNED_SINCE"):
        team.check(head, None)


def test_a_commit_changes_what_differs_from_any_parent() -> None:
    parents = {"m": ("a", "b"), "n": ("a",), "r": (), "s": ()}
    contents = {
        "a": ("1", "x"),
        "b": ("2", "x"),
        "m": ("2", "x"),
        "n": ("1", "x"),
        "r": ("missing", "y"),
        "s": ("missing", "missing"),
    }
    assert changed_folders(parents, contents, ("f", "g")) == {"m": ("f",), "r": ("g",)}


def test_grafts_and_replacements_in_a_repository_hide_nothing(team: Team) -> None:
    applied = team.commit({CODE: "1"})
    bad = team.commit({CODE: "evil"}, None)
    head = team.commit({CODE: "2"})
    team.clone.git("replace", "--graft", head, applied)
    (team.clone.folder / ".git/info/grafts").write_text(f"{head} {applied}\n")
    from feature_ops.git.command import Git

    graph = CommitGraph(Git(team.clone.folder / ".git"))
    needed = must_be_signed(graph, Span(head, applied, None, (FOLDER,)), lambda involved: None)
    assert list(needed) == [bad, head]
