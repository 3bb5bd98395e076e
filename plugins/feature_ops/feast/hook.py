"""Feast, by way of Airflow's connections."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from airflow.sdk import BaseHook
from airflow.sdk.exceptions import AirflowNotFoundException
from airflow.sdk.log import mask_secret

from feature_ops.advisory_lock import advisory_lock
from feature_ops.database import database_failures
from feature_ops.exceptions import BadInputError
from feature_ops.feast.configuration import (
    FeatureStoreConfiguration,
    configuration_file,
    read_configuration,
)
from feature_ops.feast.without_functions import import_feast_without_functions
from feature_ops.object_store import ObjectStore
from feature_ops.settings import get_settings

if TYPE_CHECKING:
    from feast import FeatureStore


_DEFAULT_ENGINE = "feature_ops.feast.engine.ArrowEngine"


class FeastHook(BaseHook):
    """
    Opens the feature store of a feature repository.

    :param feast_conn_id: its ``extra.environment`` fills the ``${...}`` of feature_store.yaml. If
        there is no such connection, the process's own environment does.
    :param aws_conn_id: how Feast reaches object storage.
    :param feature_repo: folder that holds feature_store.yaml.
    """

    def __init__(
        self,
        feast_conn_id: str | None = None,
        aws_conn_id: str | None = None,
        feature_repo: Path | None = None,
    ) -> None:
        super().__init__()
        settings = get_settings()
        self.feast_conn_id = feast_conn_id or settings.feast_conn_id
        self.aws_conn_id = aws_conn_id or settings.aws_conn_id
        self.feature_repo = feature_repo or settings.feature_repo

    @cached_property
    def object_store(self) -> ObjectStore:
        """The object store that holds the history."""
        return ObjectStore.from_connection(self.aws_conn_id)

    @cached_property
    def configuration(self) -> FeatureStoreConfiguration:
        """What feature_store.yaml says; raises :class:`BadInputError` where it can't be used."""
        return read_configuration(self.feature_repo, {**os.environ, **self._variables})

    def environment(self) -> dict[str, str]:
        """Return the variables that Feast needs: those of object storage and of the connection."""
        return {**self.object_store.environment(), **self._variables}

    def secrets(self) -> set[str]:
        """Return what must not show in what another process says."""
        of_store = {self.object_store.secret_key, self.object_store.session_token}
        of_feast = {secret for value in self._variables.values() for secret in secrets_in(value)}
        return {secret for secret in of_store | of_feast if secret}

    def configure(self) -> None:
        """
        Put the variables into this process's environment.

        Feast, s3fs and pyarrow read them there and nowhere else. A task has a process of its own,
        so no other task ever sees them.
        """
        os.environ.update(self.environment())

    def registry_url(self) -> str:
        """Return the SQLAlchemy URL of the registry's database."""
        return self.configuration.registry_url

    def project(self) -> str:
        """Return the name of Feast's project."""
        return self.configuration.project

    def store(self) -> FeatureStore:
        """
        Return the feature store, with the environment configured.

        The objects of its registry have no functions, which no process of Airflow loads. It materializes by
        the Arrow engine if its configuration names no other.
        """
        # Says what is wrong better than Feast does, and seconds sooner.
        self.log.info("Opening the feature store of project %s", self.project())
        self.configure()
        feast = import_feast_without_functions()
        with database_failures(self.registry_url()):
            store: FeatureStore = feast.FeatureStore(
                repo_path=str(self.feature_repo), fs_yaml_file=configuration_file(self.feature_repo)
            )
        if not self.configuration.names_engine:
            # Feast looks at it when it first materializes.
            store.config.batch_engine_config = {"type": _DEFAULT_ENGINE}
        return store

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Be the only one of this package's tasks that writes to the feature store."""
        timeout = get_settings().lock_timeout
        with advisory_lock(self.registry_url(), self.configuration.lock_name, timeout):
            yield

    @cached_property
    def _variables(self) -> dict[str, str]:
        try:
            connection = self.get_connection(self.feast_conn_id)
        except AirflowNotFoundException:
            self.log.info("No connection %s: Feast uses the process's environment", self.feast_conn_id)
            return {}
        variables = connection.extra_dejson.get("environment", {})
        if not isinstance(variables, Mapping):
            raise BadInputError(
                f"extra.environment of the connection {self.feast_conn_id} must be a JSON object "
                'such as {"FEAST_REGISTRY_URL": "postgresql+psycopg://..."}'
            )
        values = {str(name): str(value) for name, value in variables.items()}
        for value in values.values():
            for secret in secrets_in(value):
                mask_secret(secret)
        return values


def secrets_in(value: str) -> Iterator[str]:
    """Yield what must not show in a log: the value, and each password in it on its own."""
    yield value
    for part in value.split(","):
        if part.startswith("password="):
            yield part.removeprefix("password=")
    if "://" in value:
        password = urlsplit(value).password
        if password:
            yield password
            yield unquote(password)
