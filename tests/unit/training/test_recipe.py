"""What makes another model: the definition of its features and the code, not the words beside it."""

from __future__ import annotations

import pytest

from feature_ops.git.path_watch import PathWatch
from feature_ops.training.declaration import Model
from feature_ops.training.recipe import Recipe, code_hash, what_changed
from feature_ops.triggers import Cause

MODEL = Model(name="toy", feature_service="tracks_fs", command=("-m", "toy"))
FILES = {"toy/train.py": "a1", "README.md": "b2", "toy/notes.md": "c3"}


def hashed(**changes: str) -> str:
    return code_hash({**FILES, **{name.replace("__", "/") + ".py": to for name, to in changes.items()}}, ())


def test_a_changed_a_moved_and_a_new_file_are_other_code() -> None:
    assert len({hashed(), hashed(toy__train="a2"), hashed(toy__more="a1")}) == 3
    assert code_hash({"a.py": "1", "b.py": "2"}, ()) != code_hash({"a.py": "2", "b.py": "1"}, ())


def test_words_and_the_order_of_files_are_no_code() -> None:
    before = code_hash(FILES, MODEL.not_code)
    words = FILES | {"README.md": "other", "toy/notes.md": "other"}
    assert code_hash(dict(reversed(words.items())), MODEL.not_code) == before


@pytest.mark.parametrize(
    ("recipe", "told"),
    [
        (Recipe("a", "b"), ()),
        (Recipe("x", "b"), (Cause.FEATURES,)),
        (Recipe("a", "x"), (Cause.CODE,)),
        (Recipe("x", "x"), (Cause.FEATURES, Cause.CODE)),
    ],
)
def test_what_changed_is_features_or_code(recipe: Recipe, told: tuple[Cause, ...]) -> None:
    assert what_changed(recipe, Recipe("a", "b")) == told


def test_what_is_watched_is_what_counts() -> None:
    watch = PathWatch("main", tuple(MODEL.watched))
    changed = [f"model/{name}" for name in FILES] + ["README.md", "feature_repo/features.py"]
    assert watch.matching(changed) == ["model/toy/train.py"]
