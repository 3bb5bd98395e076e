"""The assets that tie the DAGs together, named once."""

from __future__ import annotations

from airflow.sdk import Asset, AssetWatcher

from feature_ops.datasets.dataset import Dataset
from feature_ops.settings import get_settings


def dataset_asset(dataset: Dataset) -> Asset:
    """Return the asset that stands for a dataset's rows being fresh in the online store."""
    return Asset(name=dataset.name, uri=dataset.uri)


def feature_definitions_asset() -> Asset:
    """
    Return the asset that stands for the feature definitions on the watched branch.

    It has a watcher: a commit that changes a file of the feature repository is an event.
    """
    # The DAGs without a watcher have no use for the import.
    from feature_ops.git.trigger import GitPathTrigger

    settings = get_settings()
    trigger = GitPathTrigger(
        git_conn_id=settings.git_conn_id,
        ref=settings.git_branch,
        paths=[f"{settings.feature_repo_path.strip('/')}/**"],
        interval=settings.watch_interval,
        baseline="feature_ops.feast.applied_commit:applied_commit",
    )
    return Asset(
        name="feature_definitions",
        uri=f"feature-ops://{settings.git_conn_id}/{settings.git_branch}/{settings.feature_repo_path}",
        watchers=[AssetWatcher(name="commits", trigger=trigger)],
    )
