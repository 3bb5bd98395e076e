"""
The features of songs, read from Feast's online store for one model.

Predictions never read the registry. Definitions are copied from it now and then, and a reader keeps
the copy with which it was opened: a registry that is away, or definitions that no longer have what a
model asks for, can't fail a model that answers.
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from feature_ops.feast.importing import import_feast
from jukebox.entity_columns import entity_columns
from jukebox.serving.problems import RefusedError, StoreUnavailableError, UnavailableError

_KEPT_SETTINGS = ("serve_features_while_materializing", "enable_online_feature_view_versioning")
# Of redis-py, unless feature_store.yaml sets them: by default it waits without limit, and tries four times. A
# read that failed is repeated once, by Feast.
_REDIS_LIMITS = {"socket_timeout": "0.3", "socket_connect_timeout": "0.3", "retry": "null"}
_NAN = float("nan")


@dataclass(frozen=True)
class SongFeatures:
    """
    What the store holds of one song, in the order of the model's inputs.

    :param values: NaN where the store holds null.
    :param event_times: when each value was true, in seconds since 1970; 0 if the store has no row.
    """

    values: list[float]
    event_times: list[float]


class Definitions:
    """
    The feature definitions in the registry.

    :param repo: folder with ``feature_store.yaml``.
    """

    def __init__(self, repo: Path) -> None:
        self._repo = repo
        self._store: Any = None

    def copy(self) -> bytes:
        """
        Return the registry's content as it is now.

        :raises UnavailableError: the registry can't be read.
        """
        try:
            if self._store is None:
                self._store = import_feast().FeatureStore(repo_path=str(self._repo))
            registry = self._store.registry
            # A registry in a file answers from memory until it is told otherwise; refreshing the
            # others would read twice, and hide why it failed.
            if self._store.config.registry.registry_type == "file":
                registry.refresh()
            content: bytes = registry.proto().SerializeToString(deterministic=True)
        except Exception as error:  # drivers of databases and object stores share no base class
            raise UnavailableError(f"the feature registry can't be read ({type(error).__name__})") from error
        return content


class FeatureReader:
    """
    Reads what one model asks for.

    :param repo: folder with ``feature_store.yaml``, which names the online store.
    :param definitions: file with a copy of the registry.
    :param refs: ``view:feature`` references, in the order of the model's inputs.
    :raises RefusedError: the definitions have no such feature.
    :raises UnavailableError: the online store does not answer.
    """

    def __init__(self, repo: Path, definitions: Path, refs: Sequence[str]) -> None:
        self._refs = list(refs)
        self._names = [ref.replace(":", "__") for ref in refs]
        self._store = _store(repo, definitions)
        views = self._checked_views()
        self._views = list(views.values())
        self._ages = [_max_age(views[ref.partition(":")[0]]) for ref in refs]
        keys = entity_columns(self._store, (view.projection for view in self._views))
        if len(keys) != 1:
            raise RefusedError(f"its features need the keys {sorted(keys)}, and a song has one")
        (self._key,) = keys
        # Whatever Feast refuses to serve, it refuses here: a view that is disabled, or not loaded yet.
        _answer(lambda: self._asked(["-"]))
        self._reader = _answer(lambda: _reader(self._store, self._refs))

    def read(self, songs: Sequence[str]) -> list[SongFeatures | None]:
        """
        Return what the store holds of each song; None for those that it does not know.

        :raises UnavailableError: the online store does not answer, or not with numbers.
        """
        columns = _answer(lambda: self._reader.read({self._key: list(songs)})).columns
        values = [[_number(value) for value in columns[name].values] for name in self._names]
        # Features of one view share their times.
        seen = {id(column.event_timestamps): column.event_timestamps for column in columns.values()}
        seconds = {place: [_seconds(time) for time in times] for place, times in seen.items()}
        times = [seconds[id(columns[name].event_timestamps)] for name in self._names]
        values = _without_expired(values, times, self._ages)
        return [
            SongFeatures(list(row), list(known))
            if any(known) or any(value == value for value in row)
            else None
            for row, known in zip(zip(*values, strict=True), zip(*times, strict=True), strict=True)
        ]

    def freshness(self) -> dict[str, datetime | None]:
        """Return up to which event time each view was loaded when the definitions were copied."""
        return {view.name: getattr(view, "most_recent_end_time", None) for view in self._views}

    def _asked(self, songs: Sequence[str]) -> Any:
        return self._store.get_online_features(
            self._refs, {self._key: list(songs)}, full_feature_names=True
        ).proto

    def _checked_views(self) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for ref in self._refs:
            name, _, feature = ref.partition(":")
            try:
                view = found.get(name) or self._store.registry.get_any_feature_view(
                    name.partition("@")[0], self._store.project, allow_cache=True
                )
            except Exception as error:
                raise RefusedError(f"the feature store has no view {name} ({type(error).__name__})") from None
            if feature not in {item.name for item in view.features}:
                raise RefusedError(f"the feature store has no feature {ref}")
            found[name] = view
        return found


def _max_age(view: Any) -> float | None:
    """Return the ttl of a view in seconds; older values are null in training sets, and so in predictions."""
    ttl: timedelta | None = getattr(view, "ttl", None)
    return ttl.total_seconds() if ttl else None


def _without_expired(
    values: Sequence[list[float]], times: Sequence[list[float]], ages: Sequence[float | None]
) -> list[list[float]]:
    """Return columns of values with NaN for those that are older than their ttl; Feast itself serves them."""
    now = time.time()
    return [
        column
        if age is None
        else [value if now - at <= age else _NAN for value, at in zip(column, known, strict=True)]
        for column, known, age in zip(values, times, ages, strict=True)
    ]


def _answer(ask: Callable[[], Any]) -> Any:
    try:
        return ask()
    except Exception as error:  # drivers of online stores share no base class
        raise StoreUnavailableError(f"the online store does not answer ({type(error).__name__})") from error


def _reader(store: Any, refs: Sequence[str]) -> Any:
    # It imports Feast, which is to be imported in the service's own way first.
    from feature_ops.feast.reader import OnlineReader

    return OnlineReader.of(store, list(refs), full_feature_names=True)


def _store(repo: Path, definitions: Path) -> Any:
    feast = import_feast()
    import yaml
    from feast.utils import get_default_yaml_file_path

    settings = yaml.safe_load(
        os.path.expandvars(get_default_yaml_file_path(repo).read_text(encoding="utf-8"))
    )
    registry = settings.get("registry")
    kept = (
        {name: registry[name] for name in _KEPT_SETTINGS if name in registry}
        if isinstance(registry, dict)
        else {}
    )
    # Feast takes 0 seconds for never: the file is read once, when it is opened.
    settings["registry"] = {
        "registry_type": "file",
        "path": str(definitions.resolve()),
        "cache_ttl_seconds": 0,
        **kept,
    }
    settings["online_store"] = with_redis_limits(settings.get("online_store"))
    # A view may have been copied in the midst of being loaded; Feast warns that a file has no such views.
    logging.getLogger("feast.repo_config").addFilter(_is_no_warning_of_a_file)
    config = feast.RepoConfig(**settings)
    config.repo_path = repo
    return feast.FeatureStore(config=config, repo_path=str(repo))


def with_redis_limits(online_store: Any) -> Any:
    """Return the settings of an online store, with limits for waiting if it is Redis or Valkey."""
    if not isinstance(online_store, dict) or online_store.get("type") != "redis":
        return online_store
    parts = str(online_store.get("connection_string", "localhost:6379")).split(",")
    given = {name for name, is_option, _ in (part.partition("=") for part in parts) if is_option}
    parts += [f"{name}={value}" for name, value in _REDIS_LIMITS.items() if name not in given]
    return {**online_store, "connection_string": ",".join(parts)}


def _is_no_warning_of_a_file(record: logging.LogRecord) -> bool:
    return "`registry_type` is 'file'" not in record.getMessage()


def _number(value: Any) -> float:
    if value is None:
        return _NAN
    try:
        return float(value)
    except (TypeError, ValueError):
        raise UnavailableError(
            f"the online store holds {type(value).__name__} where a number is needed"
        ) from None


def _seconds(time: datetime | None) -> float:
    return 0.0 if time is None else time.timestamp()
