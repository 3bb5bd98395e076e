"""
The jobs of docker-compose.yaml that fill its servers at a first start: ``python -m demo.containers prepare``
before Airflow starts, ``first-runs`` after. Where the servers are comes from the environment.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from demo.airflow import LOGIN
from demo.airflow_api import AirflowApi
from demo.bootstrap import REPOSITORY, Bootstrap
from demo.errors import DemoError
from demo.first_runs import FirstRuns
from demo.git_environment import git_environment
from demo.gitea import LOGIN as GIT_LOGIN
from demo.gitea import Gitea
from feature_ops.object_store import ObjectStore

PROJECT = Path(__file__).resolve().parents[1]
INBOX = Path("/inbox")
FIRST_PASSWORD = Path("/etc/gitea/first-password")


def main() -> int:
    """Run the job; returns the exit code."""
    jobs = {"prepare": prepare, "first-runs": first_runs}
    parser = argparse.ArgumentParser(prog="python -m demo.containers", description=__doc__)
    parser.add_argument("job", choices=jobs)
    try:
        jobs[parser.parse_args().job]()
    except DemoError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


def prepare() -> None:
    """Make buckets and repository, push the first commit, apply its features, put the charts in place."""
    server, password = os.environ["GIT_SERVER_URL"], os.environ["GIT_PASSWORD"]
    gitea = Gitea(server, password)
    gitea.set_password(FIRST_PASSWORD)
    gitea.create_repository(REPOSITORY)
    bootstrap = _bootstrap()
    print("Preparing buckets, repository and feature definitions …", flush=True)
    bootstrap.create_buckets()
    bootstrap.prepare()
    bootstrap.upload_rankings(None)


def first_runs() -> None:
    """Load the catalogue and train the first model, through their DAGs."""
    api = AirflowApi(os.environ["AIRFLOW_URL"], LOGIN, os.environ["AIRFLOW_ADMIN_PASSWORD"])
    runs = FirstRuns(api, "docker compose logs", lambda line: print(line, flush=True))
    bootstrap = _bootstrap()
    bootstrap.load_catalogue(runs, None)
    bootstrap.train_model(runs)


def _bootstrap() -> Bootstrap:
    environment = os.environ
    server = environment["GIT_SERVER_URL"]
    store = ObjectStore(
        access_key=environment["AWS_ACCESS_KEY_ID"],
        secret_key=environment["AWS_SECRET_ACCESS_KEY"],
        region=environment["AWS_DEFAULT_REGION"],
        endpoint_url=environment["AWS_ENDPOINT_URL"],
    )
    feast = {name: value for name, value in environment.items() if name.startswith("FEAST_")}
    return Bootstrap(
        store,
        f"{server}/{GIT_LOGIN}/{REPOSITORY}.git",
        {**feast, **store.environment(), **git_environment(server, GIT_LOGIN, environment["GIT_PASSWORD"])},
        PROJECT,
        INBOX,
    )


if __name__ == "__main__":
    sys.exit(main())
