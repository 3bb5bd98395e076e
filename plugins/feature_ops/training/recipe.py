"""What a model is made of, by meaning: the same recipe on the same data gives the same model."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pathspec import GitIgnoreSpec

from feature_ops.triggers import Cause


@dataclass(frozen=True)
class Recipe:
    """
    A definition of features and the code that learns from them.

    :param definition_hash: of the feature service, see :mod:`feature_ops.feast.diff.definitions`.
    :param code_hash: of the model's code, see :func:`code_hash`.
    """

    definition_hash: str
    code_hash: str

    @property
    def key(self) -> str:
        """A name for it, which can be part of a file's name."""
        return f"{self.definition_hash[:16]}-{self.code_hash[:16]}"


def code_hash(contents: Mapping[str, str], not_code: Sequence[str]) -> str:
    """
    Return what stands for a model's code.

    :param contents: what stands for the content of each file, by the file's path.
    :param not_code: patterns as in a ``.gitignore`` of files that no training reads.
    """
    left_out = GitIgnoreSpec.from_lines(not_code)
    lines = [f"{content} {path}" for path, content in contents.items() if not left_out.match_file(path)]
    return hashlib.sha256("\n".join(sorted(lines)).encode(errors="surrogateescape")).hexdigest()


def what_changed(recipe: Recipe, newest: Recipe) -> tuple[Cause, ...]:
    """Return what a recipe has other than the newest model's; nothing if they are the same."""
    parts = (
        (Cause.FEATURES, recipe.definition_hash == newest.definition_hash),
        (Cause.CODE, recipe.code_hash == newest.code_hash),
    )
    return tuple(cause for cause, same in parts if not same)
