"""Identities of the S3 server (SeaweedFS): who may do what with which bucket and prefix."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping

_DATASETS = ("song_properties", "song_rankings")
_RESULTS = "data/_training/jukebox/results"


def _whole(*buckets: str) -> list[str]:
    actions = ("Read", "Write", "List", "Tagging")
    return [f"{action}:{bucket}" for bucket in buckets for action in actions]


def _reading(*prefixes: str) -> list[str]:
    # Arrow looks whether the folder's own name is an object. Without a wildcard the server takes a name for a
    # bucket's, so the last letter is one.
    rights = ("Read:{0}/*", "List:{0}/*", "Read:{1}?")
    return [right.format(prefix, prefix[:-1]) for prefix in prefixes for right in rights]


#: What each identity may do. MLflow's server alone reads and writes models; the others get them from it.
ACTIONS: Mapping[str, list[str]] = {
    "admin": ["Admin"],
    "airflow": _whole("data", "data-cache"),
    "mlflow": _whole("models"),
    "training": [
        *_reading(*(f"data/{name}" for name in _DATASETS), _RESULTS),
        f"Write:{_RESULTS}/*",
    ],
    "serving": _reading("data/song_properties"),
}


def configuration(keys: Mapping[str, tuple[str, str]]) -> str:
    """
    Return the server's file of identities.

    :param keys: access key and secret key of each identity in :data:`ACTIONS`.
    """
    return json.dumps({"identities": list(_identities(keys))})


def _identities(keys: Mapping[str, tuple[str, str]]) -> Iterable[dict[str, object]]:
    for name, actions in ACTIONS.items():
        access, secret = keys[name]
        credentials = [{"accessKey": access, "secretKey": secret}]
        yield {"name": name, "credentials": credentials, "actions": actions}
