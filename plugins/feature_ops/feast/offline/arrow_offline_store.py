"""
The offline store: Feast's ``file`` store, with a way of its own to make training sets.

Feast finds it by its dotted path and its configuration beside it. Whatever it does not join itself goes
the way of Feast's own store, with one line in the log that says why.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from feast.infra.offline_stores.dask import DaskOfflineStore, DaskOfflineStoreConfig, DaskRetrievalJob
from feast.utils import (
    _get_requested_feature_views_to_features_dict,
    _get_requested_on_demand_feature_views,
)
from pydantic import Field, PositiveInt

from feature_ops.feast.engine.bounded_duckdb import Limits
from feature_ops.feast.offline.historical_features import HistoricalFeatures

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa
    from feast import FeatureView, RepoConfig
    from feast.infra.registry.base_registry import BaseRegistry

log = logging.getLogger(__name__)


class ArrowOfflineStoreConfig(DaskOfflineStoreConfig):  # type: ignore[misc]
    """Settings under ``offline_store`` in ``feature_store.yaml``; the defaults are for two cores and 1 GB."""

    type: str = "feature_ops.feast.offline.ArrowOfflineStore"

    memory_limit: str = Field(default="400MB", description="What finding the rows may take in memory")
    threads: PositiveInt = Field(default=2, description="Threads that find the rows")
    temp_directory: str | None = Field(default=None, description="Where to put what memory does not hold")

    def limits(self) -> Limits:
        """Return what reading may take."""
        return Limits(memory=self.memory_limit, threads=self.threads, folder=self.temp_directory)


class ArrowRetrievalJob(DaskRetrievalJob):  # type: ignore[misc]
    """
    A training set that is made when it is asked for.

    :param stock: the same of Feast's own store.
    :param make: returns the training set without features on demand, or why Feast has to make it.
    """

    def __init__(self, stock: DaskRetrievalJob, make: Callable[[], pa.Table | str]) -> None:
        super().__init__(
            evaluation_function=stock.evaluation_function,
            full_feature_names=stock.full_feature_names,
            repo_path=stock.repo_path,
            on_demand_feature_views=stock.on_demand_feature_views,
            metadata=stock.metadata,
        )
        self._make = make

    def _to_arrow_internal(self, timeout: int | None = None) -> Any:
        made = self._make()
        if isinstance(made, str):
            log.info("the training set is made by stock Feast: %s", made)
            return super()._to_arrow_internal(timeout)
        return made

    def _to_df_internal(self, timeout: int | None = None) -> Any:
        return self._to_arrow_internal(timeout).to_pandas()


class ArrowOfflineStore(DaskOfflineStore):  # type: ignore[misc]
    """Feast's ``file`` store, whose training sets are joined by DuckDB over Arrow."""

    @staticmethod
    def get_historical_features(
        config: RepoConfig,
        feature_views: list[FeatureView],
        feature_refs: list[str],
        entity_df: pd.DataFrame | None,
        registry: BaseRegistry,
        project: str,
        full_feature_names: bool = False,
        filter_by_created_timestamp: bool = False,
        **kwargs: Any,
    ) -> DaskRetrievalJob:
        """Return a job that makes the training set; see :class:`feast.FeatureStore`."""
        # It reads nothing yet, and knows what is wrong with the labels and which column has their times.
        stock = DaskOfflineStore.get_historical_features(
            *(config, feature_views, feature_refs, entity_df, registry, project),
            full_feature_names=full_feature_names,
            filter_by_created_timestamp=filter_by_created_timestamp,
            **kwargs,
        )
        if entity_df is None:
            log.info("the features are listed by stock Feast: there are no labels")
            return stock
        (event_time,) = set(entity_df.columns) - set(stock.metadata.keys)
        on_demand = _get_requested_on_demand_feature_views(feature_refs, config.project, registry)
        views, _ = _get_requested_feature_views_to_features_dict(feature_refs, feature_views, on_demand)
        asked = HistoricalFeatures(
            labels=entity_df,
            event_time=event_time,
            views=views,
            repo_path=config.repo_path,
            full_names=full_feature_names,
            once_created=filter_by_created_timestamp,
            limits=config.offline_store.limits(),
        )
        return ArrowRetrievalJob(stock, asked.table)
