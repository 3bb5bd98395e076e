"""View models for the tests of the page in a browser: made by the code that makes the real ones."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from feature_ops.ui.quarantine import quarantined
from feature_ops.ui.status import Ending, State, TaskStatus
from feature_ops.ui.view_model import Addresses, view_model
from feature_ops.ui.views import load_point

NOW = datetime(2026, 11, 30, 12, 0, tzinfo=UTC)
ADDRESSES = Addresses(
    "https://git.example/commit/{commit}",
    "https://mlflow.example",
    {"champion": "https://model.example", "test": "https://test.example"},
)
FEATURES = [
    {"name": name, "type": kind}
    for name, kind in (
        ("danceability", "Float32"),
        ("energy", "Float32"),
        ("key", "Int64"),
        ("loudness", "Float32"),
        ("tempo", "Float32"),
        ("a_feature_with_a_rather_long_name_that_has_to_wrap_somewhere", "Array(Float32)"),
    )
]
REFERENCES = [f"song_properties:{feature['name']}" for feature in FEATURES]
REASON = "column loudness: 3 values above 10, first in row 17: 12.5. Correct them or widen the rule"


class Story:
    """Tasks of runs, reported hour by hour until now."""

    def __init__(self) -> None:
        self.tasks: dict[tuple[str, str], TaskStatus] = {}

    def add(
        self,
        dag: str,
        run: int,
        task: str,
        hours_ago: float,
        state: State,
        line: str,
        facts: dict[str, Any] | None = None,
        refused: bool = False,
    ) -> None:
        """Report one ending."""
        at = (NOW - timedelta(hours=hours_ago)).isoformat()
        status = self.tasks.setdefault((dag, task), TaskStatus(dag, task))
        run_id = f"scheduled__{run:02}"
        self.tasks[dag, task] = status.ended(
            Ending(run_id, state, line, facts or {}, at, at, refused=refused)
        )

    def shown(self, **changes: Any) -> dict[str, Any]:
        """Return the response to ``/status``."""
        found = view_model(list(self.tasks.values()), ADDRESSES, {}, NOW - timedelta(days=90))
        top = {"now": NOW.isoformat(), "read_at": NOW.isoformat(), "problem": None, "old_after": 86400.0}
        return {**top, "quarantine_days": 90, **found, **changes}


def empty() -> dict[str, Any]:
    """Return what is shown before any task has reported."""
    return Story().shown()


def well() -> dict[str, Any]:
    """Return what is shown when all is well."""
    return _good_story().shown()


def trouble() -> dict[str, Any]:
    """Return what is shown after failures of every kind."""
    story = _good_story()
    _refused_loads(story)
    _refused_commit(story)
    failed = {
        "failed_views": [
            {"view": "artist_properties", "reason": "artist_id: 3 nulls in a join key, first in row 4"}
        ]
    }
    facts = {"datasets": ["song_properties"], **failed, "point": load_point("song_properties", {})}
    story.add(
        "song_properties_etl",
        40,
        "materialize_incremental",
        2,
        "failed",
        "artist_properties: not loaded",
        facts,
        True,
    )
    story.add(
        "song_properties_etl",
        41,
        "ingest",
        1.1,
        "success",
        "1,234 bytes from https://example.org/songs.parquet",
    )
    refused = quarantined(
        "song_properties",
        "https://example.org/songs/2026-11-30.parquet",
        [REASON, "b"],
        "s3://data/_quarantine/song_properties/scheduled__41/report.json",
    )
    story.add(
        "song_properties_etl",
        41,
        "validate",
        1,
        "failed",
        f"https://example.org/songs/2026-11-30.parquet is refused: {REASON}",
        refused,
        True,
    )
    story.add("promote_model", 9, "approve", 30, "skipped", "rejected by Ada: wait for the licence")
    return story.shown(
        problem="the object store at http://localhost:8333 does not respond: check that it runs",
        old_after=3600.0,
    )


def _view(name: str, hours_ago: float, rows: int) -> dict[str, Any]:
    at = NOW - timedelta(hours=hours_ago)
    return {
        "name": name,
        "dataset": "song_properties",
        "description": "",
        "keys": ["spotify_id"],
        "features": FEATURES,
        "rows": rows,
        "files": 12,
        "newest_event": (at - timedelta(minutes=20)).isoformat(),
        "loaded_at": at.isoformat(),
    }


def _good_story() -> Story:
    story = Story()
    services = [
        {"name": "serving_fs", "description": "Features of the production model", "features": REFERENCES[:4]},
        {"name": "research_fs", "description": "", "features": REFERENCES},
    ]
    for load in range(12):
        hours_ago = 13 + (11 - load) * 7
        rows = 14_245 if load == 0 else 1 + load * 13 % 97
        views = [
            _view("song_properties", hours_ago, 14_245 + load),
            _view("artist_properties", hours_ago, 912),
        ]
        facts = {
            "datasets": ["song_properties"],
            "online": views,
            "services": services,
            "rows": rows,
            "seconds": 1.2,
            "window": ["a", "b"],
        }
        facts["point"] = load_point("song_properties", facts)
        story.add(
            "song_properties_etl",
            load,
            "ingest",
            hours_ago + 0.02,
            "success",
            "1,234 bytes from https://example.org/songs.parquet",
        )
        story.add(
            "song_properties_etl",
            load,
            "validate",
            hours_ago + 0.01,
            "success",
            f"{rows} new rows, 0 already known",
        )
        story.add(
            "song_properties_etl",
            load,
            "materialize_incremental",
            hours_ago,
            "success",
            f"{rows} rows materialized into song_properties",
            facts,
        )
        checked = {"dataset": "song_properties", "unchecked": ["song_properties:tempo"]}
        story.add(
            "song_properties_etl",
            load,
            "verify_online",
            hours_ago - 0.01,
            "success",
            "Verified 200 keys × 6 features against the offline history",
            checked,
        )
    for hour in range(20):
        index = {
            feature["name"]: round(0.02 * at + hour * 0.004 * at, 4) for at, feature in enumerate(FEATURES)
        }
        measured = {"of": "jukebox", "rows": 1200 + hour, "features": index}
        story.add(
            "model_drift",
            hour,
            "measure_drift",
            20 - hour,
            "success",
            "highest drift: tempo 0.280 (PSI)",
            {"drift": measured, "point": measured},
        )
    _commit(story, 1, 70, "a", "Add loudness", "success")
    _models(story)
    return story


def _commit(story: Story, run: int, hours_ago: float, letter: str, subject: str, applied: State) -> None:
    commit = {"commit": letter * 40, "subject": subject, "author": "Ada Lovelace", "committed_at": None}
    changed = {
        **commit,
        "needed": True,
        "verdict": "additive",
        "changes": ["song_properties + loudness Float32"],
    }
    story.add(
        "continuous_training",
        run,
        "resolve_commits",
        hours_ago,
        "success",
        f"main is {letter * 10}",
        {"step": "resolve", "revision": "", "applied": None, **commit},
    )
    story.add(
        "continuous_training",
        run,
        "diff_feature_service",
        hours_ago - 0.01,
        "success",
        "additive: + loudness",
        {"step": "diff", "applied": None, **changed},
    )
    story.add(
        "continuous_training",
        run,
        "apply",
        hours_ago - 0.02,
        applied,
        f"{letter * 10} is applied",
        {"step": "apply", **changed},
    )


def _models(story: Story) -> None:
    def version(number: str, **more: Any) -> dict[str, Any]:
        metrics = {"log_loss": 3.1234, "top1": 0.1712, "top5": 0.4821}
        return {"version": number, "commit": "a" * 40, "features": REFERENCES[:4], "metrics": metrics, **more}

    deployed = {
        "test": version("3", accepted_regression="The licence of loudness ends"),
        "champion": version("2"),
    }
    promoted = {
        "model": "jukebox",
        "version": "2",
        "by": "Grace",
        "why": "better for small countries",
        "instead_of": "1",
    }
    story.add(
        "promote_model",
        8,
        "promote",
        60,
        "success",
        "version 2 of jukebox is in production",
        {**promoted, "aliases": deployed},
    )


def _refused_loads(story: Story) -> None:
    for run in range(30, 35):
        uri = f"s3://data/_quarantine/song_properties/scheduled__{run}/report.json"
        refused = quarantined("song_properties", f"https://example.org/songs/{run}.parquet", [REASON], uri)
        story.add(
            "song_properties_etl",
            run,
            "validate",
            40 - run,
            "failed",
            f"https://example.org/songs/{run}.parquet is refused: {REASON}",
            refused,
            True,
        )


def _refused_commit(story: Story) -> None:
    commit = {
        "commit": "b" * 40,
        "subject": "Remove energy from the view",
        "author": "Bob",
        "committed_at": None,
    }
    resolved = {"step": "resolve", "revision": "", "applied": "a" * 40, **commit}
    story.add("continuous_training", 2, "resolve_commits", 5, "success", "main is bbbbbbbbbb", resolved)
    line = "commit bbbbbbbbbb removes what is still in use: song_properties:energy is read by jukebox v2"
    story.add(
        "continuous_training",
        2,
        "diff_feature_service",
        4.9,
        "failed",
        line,
        {**resolved, "step": "diff"},
        True,
    )
