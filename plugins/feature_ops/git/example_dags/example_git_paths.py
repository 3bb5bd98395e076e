"""
Three ways to follow a folder of a git repository.

``example_git_paths_by_commit`` is started by each commit that changes the folder; several in one batch start
it once. A commit that is pushed while the DAG is paused waits for the next one.
``example_git_paths_evaluated`` acknowledges what it has evaluated: the trigger repeats its event until
then, so that neither a pause nor a failed run loses a commit. ``example_git_paths_by_schedule`` runs once a
day and waits for a change.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from airflow.sdk import DAG, Asset, AssetWatcher, get_current_context, task

from feature_ops.git.acknowledgement import acknowledge
from feature_ops.git.sensor import GitPathSensor
from feature_ops.git.trigger import GitPathTrigger

# [START howto_trigger_git_paths]
FEATURE_DEFINITIONS = Asset(
    "example_feature_definitions",
    watchers=[
        AssetWatcher(
            name="commits",
            trigger=GitPathTrigger(paths=["feature_repo/**", "!*.md"], ref="main", interval=30),
        )
    ],
)

with DAG(
    "example_git_paths_by_commit",
    schedule=FEATURE_DEFINITIONS,
    start_date=datetime(2024, 1, 1),
    catchup=False,
    max_active_runs=1,
    tags=["example"],
):

    @task
    def tell(triggering_asset_events: Any = None) -> list[str]:
        """Return who changed what. An event only says that there is news: ask git for the newest."""
        events = triggering_asset_events[FEATURE_DEFINITIONS]
        told = [event.extra["payload"] for event in events if event.extra.get("from_trigger")]
        return [f"{change['author']}: {change['subject']} ({change['path']})" for change in told]

    tell()
# [END howto_trigger_git_paths]

# [START howto_trigger_git_paths_evaluated]
EVALUATED_DEFINITIONS = Asset(
    "example_evaluated_definitions",
    watchers=[
        AssetWatcher(
            name="commits",
            trigger=GitPathTrigger(paths=["feature_repo/**"], evaluated_by="example_git_paths_evaluated"),
        )
    ],
)

with DAG(
    "example_git_paths_evaluated",
    schedule=EVALUATED_DEFINITIONS,
    start_date=datetime(2024, 1, 1),
    catchup=False,
    max_active_runs=1,
    tags=["example"],
):

    @task(inlets=[EVALUATED_DEFINITIONS])
    def evaluate(triggering_asset_events: Any = None) -> str:
        """Evaluate the newest commit, then acknowledge it; if it fails before, another run evaluates it."""
        commit = str(triggering_asset_events[EVALUATED_DEFINITIONS][-1].extra["payload"]["new"])
        acknowledge(get_current_context(), EVALUATED_DEFINITIONS, commit)
        return commit

    evaluate()
# [END howto_trigger_git_paths_evaluated]

# [START howto_sensor_git_paths]
with DAG(
    "example_git_paths_by_schedule",
    schedule="@daily",
    start_date=datetime(2024, 1, 1),
    catchup=False,
    tags=["example"],
):
    changed = GitPathSensor(
        task_id="wait_for_change",
        paths=["feature_repo/**", "!*.md"],
        deferrable=True,
        poke_interval=timedelta(seconds=30),
        timeout=timedelta(hours=20),
        soft_fail=True,
    )

    @task
    def tell_change(change: Any) -> str:
        """Return who changed what."""
        return f"{change['author']}: {change['subject']} ({change['path']})"

    tell_change(changed.output)
# [END howto_sensor_git_paths]
