"""Web addresses that the page links to."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import quote


@dataclass(frozen=True)
class Addresses:
    """
    Where the page's links lead; None where no address is set.

    :param commit: with ``{commit}``.
    :param services: page of the service that follows an alias, by alias.
    """

    commit: str | None = None
    mlflow: str | None = None
    services: Mapping[str, str | None] = field(default_factory=dict)

    def of_commit(self, commit: str | None) -> str | None:
        """Return the commit's web page."""
        return self.commit.replace("{commit}", commit) if self.commit and commit else None

    def of_version(self, model: str, version: str) -> str | None:
        """Return the version's page in MLflow."""
        if not self.mlflow:
            return None
        return f"{self.mlflow}/#/models/{quote(model, safe='')}/versions/{quote(version, safe='')}"
