"""The view model of the *Feature store* page: pure functions from reported endings to plain JSON."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any, TypeVar

from feature_ops.ui.status import TaskStatus
from feature_ops.ui.view_model.addresses import Addresses
from feature_ops.ui.view_model.commits import commits, no_commits
from feature_ops.ui.view_model.history import drift, freshness, loads, quarantine
from feature_ops.ui.view_model.models import models
from feature_ops.ui.view_model.pipelines import pipelines
from feature_ops.ui.view_model.readers import Readers
from feature_ops.ui.view_model.views import views

log = logging.getLogger(__name__)

__all__ = ["Addresses", "view_model"]


def view_model(
    tasks: Sequence[TaskStatus],
    addresses: Addresses,
    deployed: Mapping[str, Sequence[str]],
    quarantined_since: datetime,
) -> dict[str, Any]:
    """
    Return what the page shows, as plain JSON.

    :param deployed: references by the name of each deployed model, such as ``jukebox@test``.
    :param quarantined_since: refused files are kept from then on.
    """
    parts = _Parts()
    found: list[dict[str, Any]] = parts.made("models", list, lambda: models(tasks, addresses))
    readers = parts.made("services", Readers.none, lambda: Readers.found(tasks, found, deployed))
    shown = {
        "pipelines": parts.made("pipelines", list, lambda: pipelines(tasks)),
        "views": parts.made("views", list, lambda: views(tasks, readers)),
        "services": parts.made("services", list, readers.shown),
        "models": found,
        "commits": parts.made("commits", no_commits, lambda: commits(tasks, addresses)),
        "quarantine": parts.made("quarantine", list, lambda: quarantine(tasks, quarantined_since)),
        "loads": parts.made("loads", list, lambda: loads(tasks)),
        "freshness": parts.made("freshness", list, lambda: freshness(tasks)),
        "drift": parts.made("drift", list, lambda: drift(tasks)),
        "instances": [{"alias": alias, "url": url} for alias, url in addresses.services.items() if url],
        "mlflow": addresses.mlflow,
    }
    return {**shown, "unreadable": list(parts.unreadable)}


_Part = TypeVar("_Part")


class _Parts:
    """Makes the parts of the page; one that can't be made is left out, and the others are shown."""

    def __init__(self) -> None:
        self.unreadable: dict[str, None] = {}

    def made(self, name: str, empty: Callable[[], _Part], make: Callable[[], _Part]) -> _Part:
        try:
            return make()
        except Exception as error:
            # Status objects may come from other releases, or from anyone who may write to the bucket.
            log.warning("The part %s of the Feature store page can't be shown: %r", name, error)
            self.unreadable[name] = None
            return empty()
