"""
Libraries that are loaded before tasks are forked, so that no task loads them again.

An executor on the scheduler's machine, and a Celery worker, fork a process for each task. What they have
loaded by then, each task has at once and shares in memory; without it, Feast alone takes two seconds of every
task that uses it. Called by ``airflow_local_settings.py``, which Airflow imports in all of its processes.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from importlib import import_module

log = logging.getLogger(__name__)

# What the package's tasks use, with what the libraries themselves would import while they run; none opens a
# connection or starts a thread of Python's when it is imported.
_LIBRARIES = (
    "airflow.providers.amazon.aws.assets.s3",
    "airflow.providers.amazon.aws.hooks.base_aws",
    "airflow.providers.amazon.aws.hooks.s3",
    "airflow.providers.common.io.assets.file",
    "airflow.providers.git.hooks.git",
    "airflow.sdk.execution_time.supervisor",
    "duckdb",
    "dvc.cachemgr",
    "dvc.data_cloud",
    "dvc.dirs",
    "dvc.lock",
    "dvc.repo.artifacts",
    "dvc.repo.datasets",
    "dvc.repo.index",
    "dvc.repo.init",
    "dvc.repo.metrics",
    "dvc.repo.params",
    "dvc.repo.plots",
    "dvc.repo.stage",
    "dvc.repo.worktree",
    "dvc.rwlock",
    "dvc.utils.strictyaml",
    "dvc_data.hashfile.db.local",
    "dvc_data.hashfile.status",
    "dvc_data.index.checkout",
    "dvc_data.index.push",
    "dvc_s3",
    "feast.infra.compute_engines.local.compute",
    "feast.infra.offline_stores.dask",
    "feast.infra.online_stores.redis",
    "feast.infra.registry.sql",
    "fsspec.implementations.memory",
    "mlflow",
    "networkx",
    "psycopg",
    "pyarrow.dataset",
    "redis",
    "s3fs",
)


def preload_for_tasks(arguments: Sequence[str], executor: str) -> bool:
    """
    Load what tasks use, if this process forks them; returns whether it does.

    A library that can't be loaded is left to the tasks that use it: they fail and say why.

    :param arguments: of the command line: ``airflow scheduler …``.
    :param executor: the setting of that name in Airflow's ``core`` section.
    """
    command = list(arguments[1:3])
    forks_tasks = command == ["celery", "worker"] or (
        command[:1] == ["scheduler"] and "LocalExecutor" in executor
    )
    if not forks_tasks:
        return False
    try:
        preload()
    except Exception:
        log.warning("Tasks load their libraries themselves", exc_info=True)
    return True


def preload() -> None:
    """Load what tasks use; raises what an import raises."""
    from feature_ops.feast.without_functions import import_feast_without_functions

    import_feast_without_functions()
    for library in _LIBRARIES:
        import_module(library)
