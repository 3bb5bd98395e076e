"""Programs that came in wheels."""

from __future__ import annotations

import importlib.util
from pathlib import Path

from demo.errors import DemoError


def package_folder(package: str) -> Path:
    """
    Return the folder of an installed package without importing it.

    Importing would run the wrappers of PostgreSQL and Valkey, which the demo does not use: they
    make folders and locks of their own.
    """
    spec = importlib.util.find_spec(package)
    if spec is None or spec.origin is None:
        raise DemoError(f"{package} is not installed: run `make demo`, which installs what it needs.")
    return Path(spec.origin).parent
