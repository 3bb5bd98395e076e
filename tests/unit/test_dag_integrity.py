"""DAG files are a table of contents: cheap to parse, free of connections, queries and heavy imports."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.unit.fresh_interpreter import HEAVY, run_python

PROJECT = Path(__file__).resolve().parents[2]
DAG_FILES = sorted(
    path.name
    for path in (PROJECT / "dags").glob("*.py")
    if path.name not in (PROJECT / "dags" / ".airflowignore").read_text().split()
)


@pytest.mark.parametrize("dag_file", DAG_FILES)
def test_parsing_a_dag_file_imports_nothing_heavy(dag_file: str, tmp_path: Path) -> None:
    code = """
import importlib.util, json, sys
spec = importlib.util.spec_from_file_location("dag_file", sys.argv[1])
spec.loader.exec_module(importlib.util.module_from_spec(spec))
print(json.dumps(sorted({name.split(".")[0] for name in sys.modules})))
"""
    output = run_python(code, tmp_path, str(PROJECT / "dags" / dag_file))
    assert not set(HEAVY) & set(json.loads(output.splitlines()[-1]))


def test_all_dags_load_without_connection_or_database_query(tmp_path: Path) -> None:
    code = """
import json
from sqlalchemy import event
from sqlalchemy.engine import Engine
queries, connections = [], []
event.listen(Engine, "before_cursor_execute", lambda c, cur, statement, *rest: queries.append(statement))
from airflow.sdk import BaseHook
BaseHook.get_connection = classmethod(lambda cls, conn_id: connections.append(conn_id))
from airflow.dag_processing.dagbag import DagBag
bag = DagBag()
print(json.dumps({
    "errors": bag.import_errors, "queries": queries, "connections": connections,
    "dags": {dag.dag_id: [task.task_id for task in dag.topological_sort()] for dag in bag.dags.values()},
    "teardowns": [task.task_id for dag in bag.dags.values() for task in dag.tasks if task.is_teardown],
    "evaluated_by": bag.dags["continuous_training"].schedule.watchers[0].trigger.evaluated_by,
    "names": {dag.dag_id: dag.dag_display_name for dag in bag.dags.values()},
}))
"""
    loaded = json.loads(run_python(code, tmp_path).splitlines()[-1])
    assert loaded["errors"] == {}
    assert loaded["connections"] == []
    assert loaded["queries"] == []
    # Airflow's breadcrumb and asset graph cut longer ones.
    assert [name for name in loaded["names"].values() if len(name) > 24] == []
    assert loaded["names"] == {
        **loaded["names"],
        "song_properties_etl": "Song properties ETL",
        "continuous_training": "Continuous training",
        "promote_model": "Promote model",
    }
    assert loaded["dags"]["song_properties_etl"] == [
        "ingest",
        "validate",
        "version_with_dvc",
        "upload_to_s3",
        "materialize_incremental",
        "verify_online",
    ]
    assert loaded["dags"]["continuous_training"] == [
        "resolve_commits",
        "diff_feature_service",
        "changed",
        "apply",
        "backfill",
        "retrain",
        "evaluate",
        "register",
        "deploy_test",
        "acknowledge",
    ]
    # The state of a run is that of its work, however the acknowledgement ends.
    assert loaded["teardowns"] == ["acknowledge"]
    assert loaded["evaluated_by"] == "continuous_training"
    assert loaded["dags"]["song_properties_check"] == ["check_copies"]
    assert loaded["dags"]["promote_model"] == ["find_candidate", "approve", "promote"]
    assert loaded["dags"]["model_drift"] == ["measure_drift"]


def test_schedule_and_its_dataset_come_from_settings(tmp_path: Path) -> None:
    code = """
import json
from song_properties_etl import dag
print(json.dumps([dag.schedule, dag.params["dataset_url"], dag.catchup, dag.max_active_runs]))
"""
    unset = json.loads(run_python(code, tmp_path).splitlines()[-1])
    assert unset == [None, None, False, 1]

    url = "https://example.org/songs.parquet"
    settings = {"FEATURE_OPS_ETL_SCHEDULE": "@daily", "FEATURE_OPS_ETL_DATASET_URL": url}
    scheduled = json.loads(run_python(code, tmp_path, **settings).splitlines()[-1])
    assert scheduled == ["@daily", url, False, 1]


@pytest.mark.parametrize(
    ("is_on", "assets"),
    [("false", ["feature_definitions"]), ("true", ["feature_definitions", "song_properties"])],
)
def test_new_data_start_a_training_only_if_the_settings_say_so(
    is_on: str, assets: list[str], tmp_path: Path
) -> None:
    code = """
import json
from continuous_training import dag
schedule = dag.schedule
assets = getattr(schedule, "objects", [schedule])
print(json.dumps([type(schedule).__name__, sorted(asset.name for asset in assets)]))
"""
    found = json.loads(run_python(code, tmp_path, FEATURE_OPS_RETRAIN_ON_NEW_DATA=is_on).splitlines()[-1])
    # A list, or AssetAll, would wait for both.
    assert found == ["AssetAny" if len(assets) > 1 else "Asset", assets]


def test_the_reason_for_a_regression_goes_from_the_form_to_the_training_and_the_gates(tmp_path: Path) -> None:
    code = """
import json
from continuous_training import dag
name = "accept_regression_reason"
tasks = sorted(task.task_id for task in dag.tasks if "params." + name in getattr(task, name, ""))
print(json.dumps([tasks, dag.params[name], dag.params.get_param(name).schema["maxLength"]]))
"""
    assert json.loads(run_python(code, tmp_path).splitlines()[-1]) == [["evaluate", "retrain"], None, 500]


def test_airflow_scans_only_the_plugin_itself(tmp_path: Path) -> None:
    """Every process of Airflow imports what it finds in the plugins folder, so it must find one file."""
    code = """
import sys
from airflow import plugins_manager
plugins, errors = plugins_manager._get_plugins()
assert not errors, errors
print([plugin.name for plugin in plugins])
print(sorted(name for name in sys.modules if name.split(".")[0] in %r))
""" % (HEAVY,)  # noqa: UP031 - braces in the code
    before_last, last = run_python(code, tmp_path).splitlines()[-2:]
    assert "feature_store" in before_last
    assert last == "[]"
