"""Feast's template `pytorch_nlp`: two views by different keys over one file, with no server at all."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pandas as pd
import pytest
from feast import FeatureStore

from feature_ops.datasets.accept import write_history_file
from feature_ops.datasets.dataset import Column, ColumnType, Dataset
from feature_ops.datasets.history import History as KnownRows
from feature_ops.datasets.new_rows import compare
from feature_ops.datasets.normalize import normalize
from feature_ops.feast.backfill_progress import BackfillProgress
from feature_ops.feast.diff.loading import load
from feature_ops.feast.history import History
from feature_ops.feast.ledger import Ledger
from feature_ops.feast.materialize import Materialization, Materializer
from feature_ops.feast.verify import Verifier

FEAST = str(Path(sys.executable).with_name("feast"))
NOW = datetime.now(UTC)
TEXTS = Dataset(
    name="texts",
    keys=("text_id",),
    created_timestamp_column="created",
    columns=(
        Column(name="text_id", type=ColumnType.STRING),
        Column(name="user_id", type=ColumnType.STRING),
        Column(name="text_content", type=ColumnType.STRING),
        Column(name="sentiment_label", type=ColumnType.STRING),
        Column(name="sentiment_score", type=ColumnType.DOUBLE, ge=0, le=1),
        Column(name="text_length", type=ColumnType.INT64, ge=0),
        Column(name="word_count", type=ColumnType.INT64, ge=0),
        Column(name="exclamation_count", type=ColumnType.INT32, ge=0),
        Column(name="caps_ratio", type=ColumnType.DOUBLE, ge=0, le=1),
        Column(name="emoji_count", type=ColumnType.INT64, ge=0),
        Column(name="user_avg_sentiment", type=ColumnType.DOUBLE),
        Column(name="user_text_count", type=ColumnType.INT64),
        Column(name="user_avg_text_length", type=ColumnType.DOUBLE),
    ),
)


@dataclass
class Texts:
    """The template as `feast init` leaves it, its registry and its source in the places of this package."""

    folder: Path

    @property
    def repo(self) -> Path:
        return self.folder / "texts" / "feature_repo"

    @property
    def history_folder(self) -> Path:
        return self.folder / "history"

    @property
    def database(self) -> str:
        return f"sqlite:///{self.folder}/registry.db"

    def prepare(self) -> None:
        self._feast("init", "texts", "--template", "pytorch_nlp", folder=self.folder)
        definitions = self.repo / "example_repo.py"
        text = definitions.read_text()
        before = 'str(data_path / "sentiment_data.parquet")'
        assert before in text
        definitions.write_text(text.replace(before, f'"{self.history_folder}"'))
        (self.repo / "feature_store.yaml").write_text(
            f"project: texts\nprovider: local\n"
            f"registry:\n  registry_type: sql\n  path: {self.database}\n"
            f"offline_store:\n  type: file\n"
            f"online_store:\n  type: sqlite\n  path: {self.folder}/online.db\n"
            f"entity_key_serialization_version: 3\n"
        )
        self.history_folder.mkdir()

    def apply(self) -> None:
        self._feast("apply", folder=self.repo)

    def rows(self) -> pd.DataFrame:
        """Return the template's rows; it makes some of the day that is to come, which no ETL takes."""
        rows = pd.read_parquet(self.repo / "data" / "sentiment_data.parquet")
        return rows[rows["event_timestamp"] <= NOW]

    def accept(self, rows: pd.DataFrame) -> int:
        """Bring rows into the history as the first steps of an ETL do; returns how many were new."""
        number = len(list(self.history_folder.iterdir()))
        work = self.folder / f"work-{number}"
        work.mkdir()
        rows.to_parquet(work / "source.parquet")
        found = normalize(
            work / "source.parquet",
            work / "normalized.parquet",
            TEXTS,
            timestamp_column="",
            stamp=NOW,
            latest=NOW,
            limit=1024**3,
        )
        assert [str(violation) for violation in found.violations] == []
        known = KnownRows(TEXTS, [str(path) for path in self.history_folder.iterdir()])
        with compare(found.path, known, ingested_at=NOW, folder=work, memory_limit="100MB") as comparison:
            file = self.history_folder / f"{number}.parquet"
            write_history_file(comparison.batches(), TEXTS, file, found.batch_rows)
            return comparison.counts().new

    def load(self) -> tuple[Materialization, tuple[int, int]]:
        """Load what is new and read it back."""
        store = FeatureStore(repo_path=str(self.repo))
        history = History.from_folder(TEXTS, self.history_folder)
        ledger, place = Ledger(self.database), str(self.history_folder)
        materializer = Materializer(store, ledger, BackfillProgress(self.database), history, place, "run")
        done = materializer.load()
        materializer.record(done)
        return done, Verifier(store, ledger, history, place).verify(done.file_names, 2_000)

    def _feast(self, *arguments: str, folder: Path) -> None:
        done = subprocess.run(
            [FEAST, *arguments], cwd=folder, capture_output=True, text=True, timeout=120, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr


@pytest.fixture
def texts(tmp_path: Path) -> Texts:
    made = Texts(tmp_path)
    made.prepare()
    return made


def test_views_by_other_keys_than_the_datasets_are_loaded_and_read_back(texts: Texts) -> None:
    texts.apply()
    rows = texts.rows()
    early = rows["event_timestamp"] <= rows["event_timestamp"].median()

    assert texts.accept(rows[early]) == early.sum()
    done, read_back = texts.load()
    assert done.views == ["text_features", "user_stats"]
    some = rows[early]
    assert read_back == (some["text_id"].nunique() + some["user_id"].nunique(), 11)

    assert texts.accept(rows) == (~early).sum()
    done, read_back = texts.load()
    late = rows[~early]
    assert read_back == (late["text_id"].nunique() + late["user_id"].nunique(), 11)


def test_its_function_that_forgets_what_it_uses_is_told_before_anything_is_applied(texts: Texts) -> None:
    (obstacle,) = load({"the template": texts.repo})["the template"].incomplete
    assert "sentiment_prediction: its function fails once it is read back from a registry" in obstacle
    assert "'_sentiment_model' is not defined" in obstacle
