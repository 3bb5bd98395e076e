"""Somebody who asks for the same features over and over, and counts what goes wrong."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from feast import FeatureStore


@dataclass
class Seen:
    """
    What a reader saw.

    :param reads: how many answers there were.
    :param errors: the first failures, in words.
    :param failed: how many reads failed.
    :param nulls: features that were null in an answer, though they were not before, with how often.
    """

    reads: int = 0
    failed: int = 0
    errors: list[str] = field(default_factory=list)
    nulls: dict[str, int] = field(default_factory=dict)


class SteadyReader:
    """
    Reads a feature service in a loop, in a thread of its own, until it is stopped.

    :param store: the reader's own feature store; it looks for new definitions before every read.
    :param keys: entity rows with values for every feature.
    :param pause: seconds between two reads.
    """

    def __init__(
        self, store: FeatureStore, service: str, keys: Sequence[dict[str, Any]], pause: float = 0.0
    ) -> None:
        self._store, self._service, self._keys, self._pause = store, service, list(keys), pause
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._read_on, daemon=True)
        self._full = {name for name, values in self._read().items() if None not in values}
        self.seen = Seen()

    def __enter__(self) -> SteadyReader:
        self.start()
        return self

    def __exit__(self, *error: object) -> None:
        self.stop()

    def start(self) -> None:
        """Begin to read."""
        self._thread.start()

    def stop(self) -> None:
        """End after the read that is under way."""
        self._stopped.set()
        self._thread.join(timeout=60)

    def _read_on(self) -> None:
        while not self._stopped.wait(self._pause):
            try:
                answer = self._read()
            except Exception as error:  # whatever a reader may meet counts
                self.seen.failed += 1
                self.seen.errors = [*self.seen.errors, f"{type(error).__name__}: {error}"][:5]
                continue
            self.seen.reads += 1
            for name in self._full & set(answer):
                if None in answer[name]:
                    self.seen.nulls[name] = self.seen.nulls.get(name, 0) + 1

    def _read(self) -> dict[str, list[Any]]:
        self._store.refresh_registry()
        # From the same fetch as the views, as Feast's own server does it.
        service = self._store.get_feature_service(self._service, allow_cache=True)
        return self._store.get_online_features(service, self._keys).to_dict()
