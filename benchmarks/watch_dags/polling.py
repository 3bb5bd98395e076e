"""DAGs that run `git ls-remote` at every interval. What to watch is in `watching.json` beside this file."""

from __future__ import annotations

import json
import subprocess
from datetime import datetime, timedelta
from pathlib import Path
from time import time

from airflow.sdk import DAG, BaseOperator, Context

WATCHING = json.loads(Path(__file__).with_name("watching.json").read_text())


class PollOperator(BaseOperator):
    """Ask a repository for its heads and note them."""

    def __init__(self, *, url: str, number: int, **kwargs: object) -> None:
        super().__init__(**kwargs)
        self.url = url
        self.number = number

    def execute(self, context: Context) -> None:
        """Write a line for each head."""
        command = ["git", "ls-remote", "--heads", self.url]
        heads = subprocess.run(command, capture_output=True, text=True, check=True).stdout
        now = time()
        with Path(WATCHING["seen"]).open("a") as seen:
            seen.writelines(f"{now} {line.split()[0]} {self.number}\n" for line in heads.splitlines())


def polling(number: int) -> DAG:
    """Return a DAG that polls one of the repositories."""
    urls = WATCHING["urls_with_password"]
    with DAG(
        f"polling{number}",
        schedule=timedelta(seconds=WATCHING["interval"]),
        start_date=datetime(2024, 1, 1),
        catchup=False,
        max_active_runs=1,
    ) as dag:
        PollOperator(task_id="poll", url=urls[number % len(urls)], number=number)
    return dag


for index in range(WATCHING["count"]):
    globals()[f"polling{index}"] = polling(index)
