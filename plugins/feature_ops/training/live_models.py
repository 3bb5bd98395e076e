"""
Which models answer requests, and which features each of them asks the store for.

Whoever deploys a model keeps one JSON object per model under :func:`live_models_uri`:
``{"model": "jukebox@test", "features": ["song_properties:energy", ...]}``.
"""

from __future__ import annotations

import json

from feature_ops.exceptions import BadInputError
from feature_ops.object_store import ObjectStore, split_uri
from feature_ops.settings import get_settings


def live_models_uri() -> str:
    """Return the prefix under which deployed models are listed."""
    return f"{get_settings().storage_uri}/_live_models/"


def live_features(store: ObjectStore) -> dict[str, list[str]]:
    """
    Return the ``view:feature`` references that each deployed model asks for, by the model's name.

    :raises BadInputError: a list can't be read; nobody can say then what may be removed.
    """
    found: dict[str, list[str]] = {}
    for item in store.list(live_models_uri()):
        bucket, key = split_uri(item.uri)
        content = store.client.get_object(Bucket=bucket, Key=key)["Body"].read()
        try:
            model = json.loads(content)
            found[f"the model {model['model']}"] = [str(reference) for reference in model["features"]]
        except (ValueError, KeyError, TypeError):
            raise BadInputError(
                f'{item.uri} is not of the form {{"model": ..., "features": [...]}}: correct or remove it'
            ) from None
    return found


def listed_features(store: ObjectStore, model: str) -> list[str]:
    """
    Return the features that are listed for one model; empty if it is not listed.

    :param model: its name and alias, such as ``jukebox@test``.
    """
    return live_features(store).get(f"the model {model}", [])


def announce(store: ObjectStore, model: str, features: list[str]) -> None:
    """
    Note that a model asks for these features from now on.

    :param model: its name and alias, such as ``jukebox@test``.
    """
    content = json.dumps({"model": model, "features": features}).encode()
    store.put_bytes(content, _uri(model))


def withdraw(store: ObjectStore, model: str) -> None:
    """Remove a model from the list: it was refused, and no version was deployed before it."""
    store.delete(_uri(model))


def _uri(model: str) -> str:
    return f"{live_models_uri()}{model}.json"
