"""Whatever secret Airflow knows is masked in what a training prints."""

from __future__ import annotations

import json
from urllib.parse import quote

import pytest

from feature_ops.known_secrets import airflow_secrets, connection_secrets, masker, variants

PASSWORD = "p4ss/w&rd-of-{}"
CONNECTIONS = {
    "AIRFLOW_CONN_AS_URI": f"postgres://ada:{quote(PASSWORD.format('uri'), safe='')}@db/x?sslkey=k",
    "AIRFLOW_CONN_AS_JSON": json.dumps({"conn_type": "aws", "password": PASSWORD.format("json")}),
    "AIRFLOW_CONN_IN_EXTRA": json.dumps(
        {"extra": {"nested": {"private_key": f"-----BEGIN\n{PASSWORD.format('extra')}\n-----END"}}}
    ),
    "AIRFLOW_CONN_EXTRA_AS_TEXT": json.dumps(
        {"extra": json.dumps({"environment": {"FEAST_X": f"valkey:1,password={PASSWORD.format('text')}"}})}
    ),
    "AIRFLOW_CONN_FEAST": json.dumps(
        {"extra": {"environment": {"U": f"postgresql://f:{quote(PASSWORD.format('url'), safe='')}@h/f"}}}
    ),
}
OPTIONS = {
    "AIRFLOW__API_AUTH__JWT_SECRET": PASSWORD.format("jwt"),
    "AIRFLOW__CORE__FERNET_KEY": "Zm9vYmFyYmF6cXV4Zm9vYmFyYmF6cXV4Zm9vYmFyYmE=",
    "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": "postgresql+psycopg2://airflow:the-db-password@db/airflow",
    "AIRFLOW__API__SECRET_KEY": PASSWORD.format("api"),
    "AIRFLOW_VAR_TOKEN": PASSWORD.format("variable"),
    "OTHER_PASSWORD": PASSWORD.format("other"),
}
SECRETS = [
    *(
        PASSWORD.format(kind)
        for kind in ("uri", "json", "extra", "text", "url", "jwt", "api", "variable", "other")
    ),
    *(OPTIONS["AIRFLOW__CORE__FERNET_KEY"], "the-db-password"),
    quote(PASSWORD.format("uri"), safe=""),
]


@pytest.fixture
def mask(monkeypatch: pytest.MonkeyPatch) -> object:
    for name, value in {**CONNECTIONS, **OPTIONS}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("FEATURE_OPS_MLFLOW_URL", "http://localhost:5000")
    return masker(airflow_secrets())


@pytest.mark.parametrize("secret", SECRETS)
def test_a_secret_is_masked(mask: object, secret: str) -> None:
    assert callable(mask)
    assert mask(f"it is {secret}!") == "it is ***!"


@pytest.mark.parametrize(
    "line", ["View run at http://localhost:5000/#/runs", "rows: 5", "jukebox in aws_default"]
)
def test_what_is_no_secret_stays(mask: object, line: str) -> None:
    assert callable(mask)
    assert mask(line) == line


def test_a_secret_option_of_a_file_or_command_is_known(
    monkeypatch: pytest.MonkeyPatch, tmp_path: object
) -> None:
    monkeypatch.delenv("AIRFLOW__API_AUTH__JWT_SECRET", raising=False)
    monkeypatch.setenv("AIRFLOW__API_AUTH__JWT_SECRET_CMD", "printf from-a-command")
    assert "from-a-command" in airflow_secrets()


def test_a_connection_that_is_neither_json_nor_a_url_is_masked_as_a_whole() -> None:
    assert list(connection_secrets("[broken")) == ["[broken"]


def test_short_texts_are_not_masked() -> None:
    assert list(variants("abc")) == []
    assert masker([])("line") == "line"
