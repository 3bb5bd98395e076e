"""What Airflow's UI is told about the feature store."""

from __future__ import annotations

from airflow.plugins_manager import AirflowPlugin


class FeatureStorePlugin(AirflowPlugin):
    """Registers the links from tasks to what they made."""

    name = "feature_store"
