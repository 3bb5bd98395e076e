"""What Airflow's UI is told about the feature store."""

from __future__ import annotations

from airflow.plugins_manager import AirflowPlugin

from feature_ops.git.links import GitCommitLink


class FeatureStorePlugin(AirflowPlugin):
    """Registers the links from tasks to what they made."""

    name = "feature_store"
    operator_extra_links = (GitCommitLink(),)
