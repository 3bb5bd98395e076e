"""A DAG that git triggers start. What to watch is in `watching.json` beside this file."""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path
from time import time

from airflow.sdk import DAG, Asset, AssetAny, AssetWatcher, BaseOperator, Context

from feature_ops.git.trigger import GitPathTrigger

WATCHING = json.loads(Path(__file__).with_name("watching.json").read_text())


class NoteOperator(BaseOperator):
    """Note when a commit is seen."""

    def execute(self, context: Context) -> None:
        """Write a line for each event."""
        now = time()
        events = [event for events in context["triggering_asset_events"].values() for event in events]
        with Path(WATCHING["seen"]).open("a") as seen:
            seen.writelines(f"{now} {event.extra['payload']['new']} 0\n" for event in events)


def watched(number: int) -> Asset:
    """Return an asset that stands for a folder of one of the repositories."""
    url = WATCHING["urls"][number % len(WATCHING["urls"])]
    trigger = GitPathTrigger(paths=[f"dir{number}/**"], repo_url=url, interval=WATCHING["interval"])
    return Asset(f"watched{number}", watchers=[AssetWatcher(name=f"git{number}", trigger=trigger)])


with DAG(
    "triggered",
    schedule=AssetAny(*(watched(number) for number in range(WATCHING["count"]))),
    start_date=datetime(2024, 1, 1),
    catchup=False,
):
    NoteOperator(task_id="note")
