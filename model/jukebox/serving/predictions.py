"""From songs to countries."""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import numpy as np

from feature_ops.keys import invalid_key_reason
from jukebox.serving.features import SongFeatures
from jukebox.serving.follower import Serving
from jukebox.serving.metrics import Metrics

# Characters of an id that a message repeats.
_SHOWN = 100


@dataclass(frozen=True)
class Prediction:
    """
    What the service says of one song.

    :param song: its id; shortened if it is invalid.
    :param outcome: ``answered``, or why not: ``invalid``, ``unknown``, ``empty``, ``incomplete``.
    :param detail: the same as a message.
    :param content: countries and features, as JSON.
    """

    song: str
    outcome: str
    detail: str = ""
    content: dict[str, Any] = field(default_factory=dict)


def predict(
    serving: Serving,
    songs: Sequence[str],
    top: int,
    metrics: Metrics,
    reading: AbstractContextManager[None],
) -> list[Prediction]:
    """
    Rank the countries for each song, all of them with one read and one run of the model.

    :param top: maximum number of countries per song.
    :param reading: entered for the read of the online store.
    :raises UnavailableError: the online store does not answer.
    """
    started = time.perf_counter()
    reasons = [invalid_key_reason(song) for song in songs]
    valid = [song for song, reason in zip(songs, reasons, strict=True) if reason is None]
    found: list[SongFeatures | None] = []
    if valid:
        with reading:
            found = serving.reader.read(valid)
    read = time.perf_counter()
    known = [features.values for features in found if features is not None]
    rows = np.array(known, dtype=np.float32).reshape(len(known), len(serving.model.features))
    ranked = iter(_ranked(serving.model.probabilities(rows), top) if known else ())
    metrics.step_seconds.labels("features").observe(read - started)
    metrics.step_seconds.labels("model").observe(time.perf_counter() - read)
    answers = iter(
        [
            _unknown(song) if features is None else _known(serving, song, features, next(ranked))
            for song, features in zip(valid, found, strict=True)
        ]
    )
    return [
        next(answers) if reason is None else _invalid(song, reason)
        for song, reason in zip(songs, reasons, strict=True)
    ]


def _ranked(probabilities: np.ndarray, top: int) -> list[list[tuple[int, float]] | None]:
    """Return places and probabilities of each row's likeliest countries; None where one is no number."""
    order = np.argsort(-probabilities, axis=1, kind="stable")[:, :top]
    best = np.take_along_axis(probabilities, order, axis=1)
    whole = np.isfinite(probabilities).all(axis=1)
    return [
        list(zip(places, chances, strict=True)) if finite else None
        for places, chances, finite in zip(order.tolist(), best.tolist(), whole.tolist(), strict=True)
    ]


def _invalid(song: str, reason: str) -> Prediction:
    # It may be large, or contain unpaired surrogates, which no response can carry.
    shown = song[:_SHOWN].encode(errors="replace").decode() + ("…" if len(song) > _SHOWN else "")
    return Prediction(shown, "invalid", f"A song's id {reason}.")


def _unknown(song: str) -> Prediction:
    return Prediction(song, "unknown", f"The song {song[:_SHOWN]} is not in the feature store yet.")


def _known(
    serving: Serving, song: str, features: SongFeatures, ranked: list[tuple[int, float]] | None
) -> Prediction:
    inputs = serving.model.features
    missing = [item.name for item, value in zip(inputs, features.values, strict=True) if value != value]
    if len(missing) == len(inputs):
        return Prediction(
            song,
            "empty",
            f"The song {song} is in the feature store, but each feature that the model asks for is null.",
        )
    if ranked is None:
        return Prediction(
            song, "incomplete", f"The model can't answer for {song} without {', '.join(missing)}."
        )
    # A view's features share one time, so there are few to spell.
    moments = {seconds: _moment(seconds) for seconds in set(features.event_times)}
    seen = [seconds for seconds in moments if seconds]
    content = {
        "countries": [{"country": serving.model.classes[at], "probability": chance} for at, chance in ranked],
        "features": [
            {
                "name": item.name,
                "ref": item.ref,
                "type": item.type,
                "value": _value(value, item.type),
                "event_timestamp": moments[seconds],
            }
            for item, value, seconds in zip(inputs, features.values, features.event_times, strict=True)
        ],
        "missing": missing,
        "features_as_of": moments[min(seen)] if seen else None,
    }
    return Prediction(song, "answered", content=content)


def _value(value: float, type_name: str) -> float | int | bool | None:
    if value != value:
        return None
    if type_name == "Bool":
        return bool(value)
    if type_name.startswith(("Int", "UInt")):
        return int(value)
    # What the store holds has the precision of Float32: no more digits than that mean anything.
    return float(f"{value:.7g}") if type_name == "Float32" else value


def _moment(seconds: float) -> str | None:
    return datetime.fromtimestamp(seconds, UTC).isoformat() if seconds else None
