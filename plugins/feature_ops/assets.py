"""The assets that tie the DAGs together, named once."""

from __future__ import annotations

from collections.abc import Iterable

from airflow.sdk import Asset, AssetWatcher
from airflow.sdk.definitions.asset import AssetNameRef, BaseAsset

from feature_ops.datasets.dataset import Dataset
from feature_ops.settings import get_settings
from feature_ops.training.declaration import Model

FEATURE_DEFINITIONS = AssetNameRef("feature_definitions")


def dataset_asset(dataset: Dataset) -> Asset:
    """Return the asset that stands for a dataset's rows being fresh in the online store."""
    return Asset(name=dataset.name, uri=dataset.uri)


def model_candidate_asset(model: Model) -> Asset:
    """Return the asset that stands for a model's version that answers in test and may go to production."""
    return Asset(name=f"{model.name}_candidate", uri=f"feature-ops://models/{model.name}/candidate")


def training_schedule(
    model: Model, datasets: Iterable[Dataset], evaluated_by: str | None = None
) -> BaseAsset:
    """
    Return what starts a training by itself: a commit, and new data if the settings say so.

    :param datasets: whose new rows count then.
    :param evaluated_by: see :func:`feature_definitions_asset`.
    """
    schedule: BaseAsset = feature_definitions_asset([model], evaluated_by)
    if get_settings().retrain_on_new_data:
        # "|": either of them is enough, where a list would wait for all.
        for dataset in datasets:
            schedule = schedule | dataset_asset(dataset)
    return schedule


def feature_definitions_asset(models: Iterable[Model] = (), evaluated_by: str | None = None) -> Asset:
    """
    Return the asset that stands for the feature definitions on the watched branch.

    It has a watcher: a commit that changes a file of the feature repository is an event.

    :param models: whose code is watched, too.
    :param evaluated_by: id of the DAG that acknowledges each commit with an
        :class:`~feature_ops.feast.acknowledge_operator.AcknowledgeOperator`: a commit is reported until then,
        also after the DAG was paused or a run failed. None: each commit is reported once.
    """
    # The DAGs without a watcher have no use for the import.
    from feature_ops.git.trigger import GitPathTrigger

    settings = get_settings()
    trigger = GitPathTrigger(
        git_conn_id=settings.git_conn_id,
        ref=settings.git_branch,
        paths=[
            f"{settings.feature_repo_path.strip('/')}/**",
            *(pattern for model in models for pattern in model.watched),
        ],
        interval=settings.watch_interval,
        baseline="feature_ops.feast.applied_commit:applied_commit",
        evaluated_by=evaluated_by,
    )
    return Asset(
        name=FEATURE_DEFINITIONS.name,
        uri=f"feature-ops://{settings.git_conn_id}/{settings.git_branch}/{settings.feature_repo_path}",
        watchers=[AssetWatcher(name="commits", trigger=trigger)],
    )
