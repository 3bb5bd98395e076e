"""What a watcher decides."""

from __future__ import annotations

import pytest

from feature_ops.git.path_watch import NO_COMMIT, PathWatch, Verdict

OLD, NEW = "1" * 40, "2" * 40


@pytest.mark.parametrize(
    ("patterns", "path", "watched"),
    [
        (["feature_repo/**"], "feature_repo/features.py", True),
        (["feature_repo/**"], "feature_repo/deep/er/x.py", True),
        (["feature_repo/**"], "old/feature_repo/features.py", False),
        (["feature_repo/**"], "feature_repo_2/features.py", False),
        (["feature_repo"], "feature_repo/features.py", True),
        (["feature_repo/"], "feature_repo/features.py", True),
        (["*.py"], "any/depth/x.py", True),
        (["*.py"], "x.pyc", False),
        (["/*.py"], "x.py", True),
        (["/*.py"], "deep/x.py", False),
        (["feature_repo/*.py"], "feature_repo/x.py", True),
        (["feature_repo/*.py"], "feature_repo/deep/x.py", False),
        (["feature_repo/**", "!*.md"], "feature_repo/README.md", False),
        (["feature_repo/**", "!*.md"], "feature_repo/x.py", True),
        (["feature repo/**"], "feature repo/größe\nzwei.py", True),
        (["größe/*.py"], "größe/é.py", True),
        (["a[bc].py"], "ab.py", True),
    ],
)
def test_patterns_are_those_of_a_gitignore(patterns: list[str], path: str, watched: bool) -> None:
    assert bool(PathWatch("main", tuple(patterns)).matching([path])) is watched


@pytest.mark.parametrize(
    ("ref", "patterns", "message"),
    [
        ("main", [], "at least one path"),
        ("main", ["!*.md"], "at least one path"),
        ("main", ["*.py", " "], "' ' in paths names no path"),
        ("main", ["*.py", "# note"], "names no path"),
        ("main", ["!"], "Invalid git pattern"),
        (" ", ["*.py"], "ref must be a branch or a tag"),
    ],
)
def test_a_watch_of_nothing_is_refused(ref: str, patterns: list[str], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        PathWatch(ref, tuple(patterns))


def test_a_ref_is_a_branch_or_a_tag_the_branch_first() -> None:
    heads = {"refs/heads/main": "1", "refs/tags/main": "2", "refs/tags/v1": "3", "refs/heads/a/v1": "4"}
    found = {ref: PathWatch(ref, ("*",)).head(heads) for ref in ("main", "refs/tags/main", "v1", "a/v1", "x")}
    assert found == {"main": "1", "refs/tags/main": "2", "v1": "3", "a/v1": "4", "x": None}


@pytest.mark.parametrize(
    ("handled", "head", "changed", "verdict"),
    [
        (OLD, OLD, None, Verdict.UNMOVED),
        (OLD, None, None, Verdict.GONE),
        (NO_COMMIT, None, None, Verdict.GONE),
        (OLD, NEW, [], Verdict.ELSEWHERE),
        (OLD, NEW, ["README.md"], Verdict.ELSEWHERE),
        (OLD, NEW, ["README.md", "feature_repo/x.py"], Verdict.CHANGED),
        (NO_COMMIT, NEW, ["feature_repo/x.py"], Verdict.CHANGED),
        (OLD, NEW, None, Verdict.CHANGED),
    ],
)
def test_an_event_is_for_a_moved_head_with_a_changed_path(
    handled: str, head: str | None, changed: list[str] | None, verdict: Verdict
) -> None:
    assert PathWatch("main", ("feature_repo/**",)).decide(handled, head, changed) is verdict
