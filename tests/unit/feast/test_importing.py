"""Feast is imported once, quickly, and works as it does when it is imported plainly."""

from __future__ import annotations

import subprocess
import sys


def run(code: str) -> str:
    """Run code in a fresh interpreter; returns its last line."""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()[-1]


def test_feast_is_imported_without_recompiling_its_methods() -> None:
    assert (
        run("""
from feature_ops.feast.importing import import_feast
feast = import_feast()
print(any("check_argument_types" in name for name in feast.Entity.__init__.__code__.co_names))
""")
        == "False"
    )


def test_typeguard_checks_again_afterwards() -> None:
    assert (
        run("""
from feature_ops.feast.importing import import_feast
import_feast()
import typeguard
print(typeguard.typechecked.__module__.split(".")[0])
""")
        == "typeguard"
    )


def test_a_plain_import_that_came_first_stays_as_it_is() -> None:
    assert (
        run("""
import feast
from feature_ops.feast.importing import import_feast
print(import_feast() is feast)
""")
        == "True"
    )
