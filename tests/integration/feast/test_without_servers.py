"""A data scientist alone: SQLite for the registry and the online store, files in a folder."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from feature_ops.exceptions import FeatureOpsError, NothingPendingError

if TYPE_CHECKING:
    from conftest import Alone


def test_new_files_come_online_once(alone: Alone) -> None:
    alone.write("a", 0.5)
    done = alone.materializer().load()
    alone.materializer().record(done)
    assert (done.rows, done.views) == (1, ["tracks"])
    assert alone.verify(done) == (1, 3)
    with pytest.raises(NothingPendingError):
        alone.materializer().load()


ENGINE = """
from types import SimpleNamespace
from typing import Literal

from feast.infra.common.materialization_job import MaterializationJobStatus
from feast.infra.compute_engines.local.compute import LocalComputeEngine
from feast.repo_config import FeastConfigBaseModel


class MuteEngineConfig(FeastConfigBaseModel):
    type: Literal["mute_engine_stand_in.MuteEngine"] = "mute_engine_stand_in.MuteEngine"


class MuteEngine(LocalComputeEngine):
    '''Stands in for an engine of one's own whose jobs fail and do not say why.'''

    def _materialize_one(self, registry, task, **kwargs):
        return SimpleNamespace(
            status=lambda: MaterializationJobStatus.ERROR, error=lambda: None, job_id=lambda: "job 7"
        )
"""


def test_a_job_that_fails_without_a_reason_is_a_failure_whatever_the_engine(
    alone: Alone, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Feast itself would note its window as materialized."""
    (tmp_path / "mute_engine_stand_in.py").write_text(ENGINE)
    monkeypatch.syspath_prepend(tmp_path)
    alone.configure("batch_engine:\n  type: mute_engine_stand_in.MuteEngine\n")
    alone.write("a", 0.5)
    materializer = alone.materializer()

    with pytest.raises(FeatureOpsError, match="job 7 ended as ERROR"):
        materializer.load()

    assert alone.ledger.online("radio", "tracks") == {}
    assert materializer.store.get_feature_view("tracks").materialization_intervals == []
