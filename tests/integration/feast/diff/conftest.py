"""Loads many small repositories in this process, since importing Feast for each would take minutes."""

from __future__ import annotations

import importlib
import itertools
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from feature_ops.feast.diff import sandbox
from feature_ops.feast.diff.definitions import Definitions
from feature_ops.feast.diff.foreign import collected

#: code of a repository, folder of its file → Feast's own contents of it, and its definitions
Parse = Callable[..., tuple[Any, Definitions]]


# Python would take a module of the same name for the same module.
_NUMBERS = itertools.count()


@pytest.fixture(scope="session")
def parse(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Parse]:
    """Feast's own reading of a repository, then what the sandboxed process does with it."""
    from feast.repo_operations import parse_repo

    home, path = Path.cwd(), list(sys.path)

    def parsed(code: str, inner: str = "") -> tuple[Any, Definitions]:
        folder = tmp_path_factory.mktemp("repo")
        file = folder / inner / f"definitions_{next(_NUMBERS)}.py"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(code)
        sys.path[:] = [*path, str(folder)]
        importlib.invalidate_caches()
        os.chdir(folder)
        try:
            contents = parse_repo(folder)
        finally:
            os.chdir(home)
        return contents, Definitions.from_json(sandbox._definitions(collected(contents, folder, ""), ""))

    yield parsed
    sys.path[:] = path
