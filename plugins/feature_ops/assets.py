"""The assets that tie the DAGs together, named once."""

from __future__ import annotations

from airflow.sdk import Asset

from feature_ops.datasets.dataset import Dataset


def dataset_asset(dataset: Dataset) -> Asset:
    """Return the asset that stands for a dataset's rows being fresh in the online store."""
    return Asset(name=dataset.name, uri=dataset.uri)
