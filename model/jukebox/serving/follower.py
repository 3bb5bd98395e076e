"""Keeps the right model answering: follows an alias, and never gives up a good model for a bad one."""

from __future__ import annotations

import hashlib
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from jukebox.serving.features import Definitions, FeatureReader
from jukebox.serving.kept import KeptModel, KeptModels, remove
from jukebox.serving.metrics import Metrics
from jukebox.serving.models import Model
from jukebox.serving.problems import RefusedError, UnavailableError
from jukebox.serving.signatures import NoSignatures, Signatures, require_same_facts
from jukebox.serving.sources import ModelSource

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Serving:
    """
    All that an answer needs; a request takes one and keeps it until it has answered.

    :param version: of the model.
    :param reader: reads what the model asks for.
    :param loaded_at: when the model began to answer.
    :param definitions_at: when the definitions that the reader uses were copied from the registry.
    """

    version: str
    model: Model
    reader: FeatureReader
    loaded_at: datetime
    definitions_at: datetime
    kept: KeptModel


@dataclass(frozen=True)
class Refusal:
    """A version that may not answer, and why."""

    version: str
    reason: str


class Follower:
    """
    Follows an alias in a registry of models.

    :param repo: folder with ``feature_store.yaml``.
    :param definitions_every: seconds between two looks at the feature registry.
    :param signatures: verifies each model before its self-test.
    """

    def __init__(
        self,
        alias: str,
        source: ModelSource,
        repo: Path,
        kept: KeptModels,
        metrics: Metrics,
        definitions_every: float = 30.0,
        signatures: Signatures | None = None,
    ) -> None:
        self.alias = alias
        self.signatures = signatures or NoSignatures()
        self.serving: Serving | None = None
        self.refused: Refusal | None = None
        # Whether no version has the alias; None until the registry has answered.
        self.alias_missing: bool | None = None
        self.troubles: dict[str, str] = {"model": "the service has just started"}
        self._source, self._repo, self._kept, self._metrics = source, repo, kept, metrics
        self._definitions = Definitions(repo)
        self._definitions_every, self._definitions_next = definitions_every, 0.0
        self._candidate: tuple[str, Path, Model] | None = None
        self._kept_is_bad = False

    def look(self) -> None:
        """Look once for what changed; never raises, whatever is away."""
        if self.serving is None and not self._kept_is_bad:
            self._attempt("state", self._restore)
        self._attempt("model", self._follow)
        if self.serving and time.monotonic() >= self._definitions_next:
            self._definitions_next = time.monotonic() + self._definitions_every
            self._attempt("definitions", self._refresh_definitions)

    def _attempt(self, what: str, step: Callable[[], None]) -> None:
        try:
            step()
        except UnavailableError as trouble:
            if self.troubles.get(what) != str(trouble):
                _log.warning("%s", trouble, exc_info=trouble.__cause__)
            self.troubles[what] = str(trouble)
        except Exception as error:  # the thread must outlive what nobody thought of
            _log.exception("unexpected")
            self.troubles[what] = f"unexpected {type(error).__name__}: the log says more"
        else:
            self.troubles.pop(what, None)
        self._metrics.troubles.labels(what).set(what in self.troubles)

    def _restore(self) -> None:
        kept = self._kept.current()
        if kept is None:
            return
        try:
            model = self._load(kept.folder, kept.version)
            reader = self._reader(kept.definitions, model)
        except (RefusedError, OSError) as error:
            self._kept_is_bad = True
            raise UnavailableError(
                f"version {kept.version}, kept from before, can't be used: {error}"
            ) from None
        copied_at = datetime.fromtimestamp(kept.definitions.stat().st_mtime, UTC)
        self._answer_with(Serving(kept.version, model, reader, _now(), copied_at, kept))

    def _follow(self) -> None:
        version = self._source.version(self.alias)
        self._report_alias(version)
        if version is None:
            if self.serving is None:
                raise UnavailableError(f"no model has the alias {self.alias} yet")
            return
        if self.refused and self.refused.version == version:
            return
        self.refused = None
        if self.serving and self.serving.version == version:
            return
        try:
            candidate = self._prepare(version)
        except RefusedError as error:
            _log.error("version %s is refused: %s", version, error)
            self.refused = Refusal(version, str(error))
            self._metrics.refused.inc()
            self._drop_candidate()
            return
        self._candidate = None
        self._answer_with(candidate)
        self._kept.keep(candidate.kept)

    def _report_alias(self, version: str | None) -> None:
        """Report an alias that is missing, also while the model that had it goes on answering."""
        self.alias_missing = version is None
        self._metrics.alias_missing.labels(self.alias).set(self.alias_missing)
        if version is None and self.serving:
            text = f"no model has the alias {self.alias} any more: set it in MLflow, or promote a version"
            if "alias" not in self.troubles:
                _log.warning("%s", text)
            self.troubles["alias"] = text
        else:
            self.troubles.pop("alias", None)

    def _prepare(self, version: str) -> Serving:
        """Make a version ready beside the one that answers."""
        folder, model = self._downloaded(version)
        definitions = _written(self._definitions.copy(), folder)
        reader = self._reader(definitions, model)
        now = _now()
        return Serving(version, model, reader, now, now, KeptModel(version, folder, definitions))

    def _downloaded(self, version: str) -> tuple[Path, Model]:
        # Keeping another model in the meantime removes what was downloaded.
        if self._candidate and self._candidate[0] == version and self._candidate[1].is_dir():
            return self._candidate[1:]
        self._drop_candidate()
        folder = self._kept.new()
        try:
            self._source.download(version, folder)
            model = self._load(folder, version)
        except BaseException:
            remove(folder)
            raise
        self._candidate = (version, folder, model)
        return folder, model

    def _load(self, folder: Path, version: str) -> Model:
        signed = self.signatures.check(folder, version)
        model = Model.load(folder)
        require_same_facts(model.facts, signed)
        return model

    def _drop_candidate(self) -> None:
        if self._candidate:
            remove(self._candidate[1])
        self._candidate = None

    def _refresh_definitions(self) -> None:
        serving = self.serving
        assert serving is not None
        content = self._definitions.copy()
        if content == serving.kept.definitions.read_bytes():
            self._answer_on(replace(serving, definitions_at=_now()))
            return
        definitions = _written(content, serving.kept.folder)
        try:
            reader = self._reader(definitions, serving.model)
        except (RefusedError, UnavailableError) as problem:
            remove(definitions)
            raise UnavailableError(
                f"the definitions in the registry do not suit version {serving.version}, which answers with "
                f"those of {serving.definitions_at:%Y-%m-%d %H:%M:%S} UTC: {problem}"
            ) from None
        kept = replace(serving.kept, definitions=definitions)
        self._answer_on(replace(serving, reader=reader, definitions_at=_now(), kept=kept))
        self._kept.keep(kept)

    def _reader(self, definitions: Path, model: Model) -> FeatureReader:
        return FeatureReader(self._repo, definitions, [feature.ref for feature in model.features])

    def _answer_with(self, serving: Serving) -> None:
        self._answer_on(serving)
        self._metrics.answering(serving.version, self.alias, str(serving.model.facts["git_commit"]))
        _log.info("version %s answers", serving.version)

    def _answer_on(self, serving: Serving) -> None:
        # One assignment: a request sees the old or the new, never some of each.
        self.serving = serving
        self._metrics.definitions_at.set(serving.definitions_at.timestamp())


def _written(definitions: bytes, folder: Path) -> Path:
    path = folder / f"definitions-{hashlib.sha256(definitions).hexdigest()[:20]}.pb"
    path.write_bytes(definitions)
    return path


def _now() -> datetime:
    return datetime.now(UTC)
