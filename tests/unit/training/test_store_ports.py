"""The ports that a training may connect to are those of its stores."""

from __future__ import annotations

from typing import Any

import pytest

from feature_ops.training.store_ports import store_ports

S3 = {"AWS_ENDPOINT_URL": "http://127.0.0.1:8333"}


@pytest.mark.parametrize(
    ("configuration", "environment", "ports"),
    [
        ({}, S3, {8333}),
        ({}, {}, {443}),
        ({}, {**S3, "MLFLOW_TRACKING_URI": "http://127.0.0.1:5000"}, {8333, 5000}),
        ({}, {**S3, "MLFLOW_TRACKING_URI": "https://mlflow.example"}, {8333, 443, 53}),
        ({"registry": {"path": "postgresql+psycopg://u:p%40w@127.0.0.1:5433/feast"}}, S3, {8333, 5433}),
        ({"registry": {"path": "postgresql://u:p@[::1]/feast"}}, S3, {8333, 5432}),
        ({"online_store": {"connection_string": "127.0.0.1:6379,username=r,password=a:1"}}, S3, {8333, 6379}),
        ({"online_store": {"connection_string": "a:6379,b:6380,ssl=true"}}, S3, {8333, 6379, 6380, 53}),
        ({"online_store": {"type": "postgres", "host": "db", "port": 6432}}, S3, {8333, 6432}),
        ({"online_store": {"type": "postgres", "host": "db"}}, S3, {8333, 5432}),
        ({"nodes": ["http://localhost:9000"]}, S3, {8333, 9000}),
        ({"path": "http://127.0.0.1:99999/"}, S3, {8333}),
        ({"path": "sqlite:////registry.db"}, S3, {8333}),
        (None, S3, {8333}),
    ],
)
def test_ports_are_read_from_configuration_and_environment(
    configuration: Any, environment: dict[str, str], ports: set[int]
) -> None:
    assert store_ports(configuration, environment) == ports
