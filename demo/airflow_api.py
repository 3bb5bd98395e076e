"""Airflow's public REST API, as far as the demo, the story and the tests use it."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

import requests

from demo.errors import DemoError
from demo.waiting import wait_until

ENDED = ("success", "failed")


class AirflowApi:
    """
    A client that signs in with login and password.

    :param url: the API server's address, without a path.
    """

    def __init__(self, url: str, login: str, password: str) -> None:
        self.url = url
        self._login = login
        self._password = password
        self._session = requests.Session()
        self._session.trust_env = False  # neither a proxy nor a .netrc stands before loopback

    def health(self) -> dict[str, Any]:
        """Return status and latest heartbeat of each component."""
        return self._json("GET", "monitor/health", signed=False)

    def set_pool(self, name: str, slots: int, description: str) -> None:
        """Create the pool, or give it that many slots."""
        pool = {"slots": slots, "description": description, "include_deferred": False}
        if self._request("GET", f"pools/{quote(name)}").status_code == 404:
            self._json("POST", "pools", json={"name": name, **pool})
        else:
            self._json("PATCH", f"pools/{quote(name)}", json={"pool": name, **pool})

    def has_dag(self, dag_id: str) -> bool:
        """Whether Airflow has parsed the DAG."""
        return self._request("GET", f"dags/{dag_id}").ok

    def import_errors(self) -> dict[str, str]:
        """Return the last line of each DAG file's import error."""
        errors = self._json("GET", "importErrors")["import_errors"]
        return {e["filename"]: e["stack_trace"].strip().splitlines()[-1] for e in errors}

    def pause(self, dag_id: str, paused: bool = True) -> None:
        """Pause the DAG, or let it run again."""
        self._json("PATCH", f"dags/{dag_id}", json={"is_paused": paused})

    def trigger(self, dag_id: str, conf: dict[str, Any], run_id: str | None = None) -> str:
        """Start a run of the DAG with those form values; returns its run id."""
        body = {"logical_date": None, "conf": conf, "dag_run_id": run_id}
        run_id = self._json("POST", f"dags/{dag_id}/dagRuns", json=body)["dag_run_id"]
        assert run_id
        return run_id

    def dag_runs(self, dag_id: str) -> list[dict[str, Any]]:
        """Return the DAG's runs, the newest first."""
        answer = self._json("GET", f"dags/{dag_id}/dagRuns", params={"order_by": "-id", "limit": 100})
        runs: list[dict[str, Any]] = answer["dag_runs"]
        return runs

    def dag_run(self, dag_id: str, run_id: str) -> dict[str, Any]:
        """Return one run: its state, times and conf."""
        return self._json("GET", f"dags/{dag_id}/dagRuns/{quote(run_id)}")

    def wait(self, dag_id: str, run_id: str, timeout: float) -> str:
        """Wait for a run's end and return its state; a :class:`DemoError` after ``timeout`` seconds."""

        def end() -> str | None:
            state = self.dag_run(dag_id, run_id)["state"]
            return state if state in ENDED else None

        return (
            wait_until(
                end, f"run {run_id} of {dag_id} ends", timeout, 0.3, remedy=f"look at it at {self.url}"
            )
            or ""
        )

    def task_instances(self, dag_id: str, run_id: str) -> list[dict[str, Any]]:
        """Return the run's task instances: state, times, try number."""
        path = f"dags/{dag_id}/dagRuns/{quote(run_id)}/taskInstances"
        instances: list[dict[str, Any]] = self._json("GET", path)["task_instances"]
        return instances

    def task_states(self, dag_id: str, run_id: str) -> dict[str, str]:
        """Return the state of each task of the run."""
        return {i["task_id"]: i["state"] for i in self.task_instances(dag_id, run_id)}

    def mark_success(self, dag_id: str, run_id: str, task_id: str) -> None:
        """Mark a task as success without running it, as the button does."""
        self._json("PATCH", _task(dag_id, run_id, task_id), json={"new_state": "success"})

    def clear(self, dag_id: str, run_id: str, task_id: str) -> None:
        """Have a task and all tasks after it run again."""
        body = {
            "dry_run": False,
            "dag_run_id": run_id,
            "task_ids": [task_id],
            "include_downstream": True,
            "only_failed": False,
        }
        self._json("POST", f"dags/{dag_id}/clearTaskInstances", json=body)

    def state_store(self, dag_id: str, run_id: str, task_id: str) -> dict[str, Any]:
        """Return what the task put into its state store."""
        entries = self._json("GET", f"{_task(dag_id, run_id, task_id)}/state-store")["task_state_store"]
        return {entry["key"]: entry["value"] for entry in entries}

    def summaries(self, dag_id: str, run_id: str) -> dict[str, str]:
        """Return the one line of each task that left one."""
        stores = {i: self.state_store(dag_id, run_id, i) for i in self.task_states(dag_id, run_id)}
        return {task_id: str(store["summary"]) for task_id, store in stores.items() if "summary" in store}

    def xcom(self, dag_id: str, run_id: str, task_id: str, key: str = "return_value") -> Any:
        """Return an XCom of the task, None if there is none."""
        path = f"{_task(dag_id, run_id, task_id)}/xcomEntries/{quote(key)}"
        response = self._request("GET", path, params={"stringify": "false"})
        return None if response.status_code == 404 else _checked(response).json()["value"]

    def log(self, dag_id: str, run_id: str, task_id: str, try_number: int = 1) -> str:
        """Return the text of the task's log."""
        content = self._json("GET", f"{_task(dag_id, run_id, task_id)}/logs/{try_number}")["content"]
        return "\n".join(line["event"] if isinstance(line, dict) else str(line) for line in content)

    def question(self, dag_id: str, run_id: str, task_id: str) -> dict[str, Any]:
        """Return what the task asks a person: its subject, body and options."""
        return self._json("GET", f"{_task(dag_id, run_id, task_id)}/-1/hitlDetails")

    def answer(self, dag_id: str, run_id: str, task_id: str, option: str, **form: Any) -> None:
        """Answer a task that asks, as a person does in *Required actions*."""
        body = {"chosen_options": [option], "params_input": form}
        self._json("PATCH", f"{_task(dag_id, run_id, task_id)}/-1/hitlDetails", json=body)

    def asset_events(self, asset: str) -> list[dict[str, Any]]:
        """Return the events of the asset of that name, the newest first."""
        found = self._asset(asset)
        if found is None:
            return []
        params = {"asset_id": found["id"], "order_by": "-timestamp", "limit": 100}
        events: list[dict[str, Any]] = self._json("GET", "assets/events", params=params)["asset_events"]
        return events

    def has_watcher(self, asset: str) -> bool:
        """Whether a trigger watches for the asset; it ends some time after its DAGs were paused."""
        found = self._asset(asset)
        return found is not None and bool(found["watchers"])

    def _asset(self, name: str) -> dict[str, Any] | None:
        found = self._json("GET", "assets", params={"name_pattern": name})["assets"]
        return next((entry for entry in found if entry["name"] == name), None)

    def _json(self, method: str, path: str, **options: Any) -> dict[str, Any]:
        answer: dict[str, Any] = _checked(self._request(method, path, **options)).json()
        return answer

    def _request(self, method: str, path: str, signed: bool = True, **options: Any) -> requests.Response:
        url = f"{self.url}/api/v2/{path}"
        if signed and "Authorization" not in self._session.headers:
            self._sign_in()
        response = self._session.request(method, url, timeout=60, **options)
        if signed and response.status_code == 401:  # the token has expired
            self._sign_in()
            response = self._session.request(method, url, timeout=60, **options)
        return response

    def _sign_in(self) -> None:
        credentials = {"username": self._login, "password": self._password}
        response = self._session.post(f"{self.url}/auth/token", json=credentials, timeout=60)
        self._session.headers["Authorization"] = f"Bearer {_checked(response).json()['access_token']}"


def _task(dag_id: str, run_id: str, task_id: str) -> str:
    return f"dags/{dag_id}/dagRuns/{quote(run_id)}/taskInstances/{task_id}"


def _checked(response: requests.Response) -> requests.Response:
    if not response.ok:
        request = f"{response.request.method} {response.request.path_url}"
        raise DemoError(f"Airflow answered {response.status_code} to {request}: {response.text[:500]}")
    return response
