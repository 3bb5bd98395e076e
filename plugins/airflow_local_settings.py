"""Imported by each of Airflow's processes when it starts; see ``feature_ops.preload``."""

from __future__ import annotations

import sys

from airflow.configuration import conf

from feature_ops.preload import preload_for_tasks

# Nothing of this replaces a setting of Airflow's.
__all__: list[str] = []

preload_for_tasks(sys.argv, conf.get("core", "executor"))
