"""The rules for Prometheus: they pass their own tests, and ask only for what the service tells."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from feature_ops.alerts.mount import URL_PREFIX
from jukebox.serving.asked import Asked
from jukebox.serving.metrics import Metrics
from jukebox.serving.model_state import ModelState

FOLDER = Path(__file__).parents[2] / "deploy" / "prometheus"
RULES = [
    rule
    for group in yaml.safe_load((FOLDER / "rules.yml").read_text(encoding="utf-8"))["groups"]
    for rule in group["rules"]
]


@pytest.mark.parametrize(
    "command", [["test", "rules", "rules.test.yml"], ["check", "config", "prometheus.yml"]]
)
def test_promtool_finds_the_rules_right(command: list[str]) -> None:
    promtool = shutil.which("promtool")
    if promtool is None:
        if os.environ.get("CI"):
            pytest.fail("promtool is missing: it is in Debian's package prometheus")
        pytest.skip("promtool is missing: it is in Debian's package prometheus")
    done = subprocess.run([promtool, *command], cwd=FOLDER, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("rule", RULES, ids=[rule["alert"] for rule in RULES])
def test_a_rule_asks_for_what_the_service_tells(rule: dict[str, str]) -> None:
    metrics = Metrics()
    metrics.watch(ModelState(lambda: None, Asked()))
    told = set(re.findall(r"^# TYPE (\w+)", metrics.exposition().decode(), re.MULTILINE))
    asked = set(re.findall(r"\bjukebox_\w+", rule["expr"]))
    assert asked
    assert asked <= told


def test_only_alerts_that_are_marked_go_to_airflow_and_they_come_to_the_endpoint() -> None:
    config = yaml.safe_load((FOLDER / "alertmanager.yml").read_text(encoding="utf-8"))
    (route,) = [route for route in config["route"]["routes"] if route["receiver"] == "airflow"]
    assert route["matchers"] == ['trains="yes"']
    assert [rule["alert"] for rule in RULES if rule["labels"].get("trains") == "yes"] == ["DriftHigh"]
    (airflow,) = [one for one in config["receivers"] if one["name"] == "airflow"]
    (webhook,) = airflow["webhook_configs"]
    assert webhook["url"].endswith(f"{URL_PREFIX}/alertmanager")
    # The token is in a file, never in this one.
    assert set(webhook["http_config"]["authorization"]) == {"type", "credentials_file"}
