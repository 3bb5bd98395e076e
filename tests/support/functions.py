"""Feast in a test process, which plays one of Airflow's processes only while a step runs."""

from __future__ import annotations

import sys


def load_functions_again() -> None:
    """Undo ``refuse_functions``: the next test may play a process that is not Airflow's."""
    module = sys.modules.get("feature_ops.feast.without_functions")
    for owner, name, original in module._replaced if module else ():
        setattr(owner, name, original)
    if module:
        module._replaced.clear()
