"""A trigger form refuses a wrong value with a clear message, and never repeats the value."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from airflow.sdk import Param

from feature_ops.datasets.dataset import Column, ColumnType, Dataset
from feature_ops.form_errors import EXPECTED, FormErrors, refusal
from feature_ops.forms import (
    etl_form,
    field,
    force_training_field,
    model_version_field,
    revision_field,
)

DATASET = Dataset(
    name="trips",
    keys=("id",),
    feature_service="trips_fs",
    columns=(Column(name="id", type=ColumnType.STRING),),
)
FIELDS = {**etl_form(DATASET), **revision_field(), **force_training_field(), **model_version_field()}
PASSWORD = "hunter2-Secret"

REFUSED: list[tuple[str, Any]] = [
    ("dataset_url", f"https://ada:{PASSWORD}@host.example/x.parquet"),
    ("dataset_url", f"s3://ada:{PASSWORD}@bucket/x"),
    ("dataset_url", f"no scheme {PASSWORD}"),
    ("dataset_url", f"ada:{PASSWORD}@host.example/x"),
    ("dataset_url", [PASSWORD]),
    ("dataset_url", {"url": PASSWORD}),
    ("dataset_url", 7),
    ("repo_url", f"https://ada:{PASSWORD}@host.example/x.git"),
    ("repo_url", f"HTTPS://{PASSWORD}@host.example/x.git"),
    ("repo_url", f"ssh://ada:{PASSWORD}@host.example/x.git"),
    ("repo_url", f"ada:{PASSWORD}@host.example:x.git"),
    ("repo_url", f"with a space {PASSWORD}"),
    ("event_timestamp_column", f"two words {PASSWORD}"),
    ("full_refresh", f"perhaps {PASSWORD}"),
    ("force_training", PASSWORD),
    ("revision", f"https://ada:{PASSWORD}@host.example/x.git"),
    ("model_version", f"https://ada:{PASSWORD}@host.example"),
]
ACCEPTED: list[tuple[str, Any]] = [
    ("dataset_url", None),
    ("dataset_url", "https://example.org/a@b.parquet?X-Amz-Signature=1"),
    ("dataset_url", "file:///inbox/new_song.parquet"),
    ("dataset_url", "s3://bucket/key"),
    ("repo_url", "https://git.example:8443/team/x.git"),
    ("repo_url", "git@git.example:team/x.git"),
    ("repo_url", "ssh://git@git.example:22/team/x.git"),
    ("repo_url", "/srv/git/x.git"),
    ("revision", "feature/new-songs"),
    ("model_version", " 3 "),
]


def text_of_airflow(params: dict[str, Param], name: str, value: object) -> str | None:
    """Return Airflow's own text about a value, as its API server makes it; None if it is accepted."""
    from airflow.exceptions import ParamValidationError
    from airflow.serialization.definitions.param import SerializedParam, SerializedParamsDict

    param = params[name]
    kept = json.loads(json.dumps(param.schema))
    known = SerializedParamsDict({name: SerializedParam(param.value, param.description, **kept)})
    try:
        known.deep_merge({name: value}).validate()
    except ParamValidationError as error:
        return str(error)
    return None


@pytest.mark.parametrize(("name", "value"), REFUSED)
def test_a_refused_value_is_answered_with_what_to_enter_instead(name: str, value: object) -> None:
    text = text_of_airflow(FIELDS, name, value)
    assert text
    assert refusal(text) == EXPECTED[name]


@pytest.mark.parametrize(("name", "value"), ACCEPTED)
def test_a_right_value_is_accepted(name: str, value: object) -> None:
    assert text_of_airflow(FIELDS, name, value) is None


def test_every_field_of_the_package_says_what_to_enter() -> None:
    assert set(EXPECTED) == set(FIELDS)


def test_a_field_without_a_message_of_its_own_refers_to_its_description() -> None:
    text = text_of_airflow({"reason": field("", type="string", minLength=9)}, "reason", "short")
    assert text
    assert refusal(text) == "reason: the value is not accepted; see the field's description."


def test_fields_of_other_dags_keep_airflows_text() -> None:
    text = text_of_airflow({"revision": Param("x", type="string", pattern="^x$")}, "revision", "y")
    assert text
    assert refusal(text) is None


def answered(status: int, parts: list[bytes], method: str = "POST") -> tuple[int, dict[bytes, bytes], bytes]:
    """Send a request through the middleware to an application that answers so."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        length = str(sum(map(len, parts))).encode()
        headers = [(b"content-type", b"application/json"), (b"Content-Length", length)]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        for number, part in enumerate(parts, 1):
            await send({"type": "http.response.body", "body": part, "more_body": number < len(parts)})

    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    async def receive() -> Any:
        return {"type": "http.request"}

    asyncio.run(FormErrors(app)({"type": "http", "method": method}, receive, send))
    start, *bodies = sent
    return start["status"], {n.lower(): v for n, v in start["headers"]}, b"".join(b["body"] for b in bodies)


def refused_body() -> bytes:
    text = text_of_airflow(FIELDS, *REFUSED[0])
    return json.dumps({"detail": text}).encode()


def test_the_answer_of_the_api_has_the_message_and_its_length() -> None:
    body = refused_body()
    assert PASSWORD in body.decode()
    for parts in ([body], [body[:100], body[100:]]):
        status, headers, content = answered(400, parts)
        assert status == 400
        assert json.loads(content) == {"detail": EXPECTED["dataset_url"]}
        assert headers[b"content-length"] == str(len(content)).encode()


def test_the_answer_to_a_task_that_triggers_a_dag_has_it_too() -> None:
    text = json.loads(refused_body())["detail"]
    _, _, content = answered(
        400, [json.dumps({"detail": {"reason": "value_error", "message": text}}).encode()]
    )
    assert json.loads(content)["detail"] == {"reason": "value_error", "message": EXPECTED["dataset_url"]}


@pytest.mark.parametrize(
    ("status", "body", "method"),
    [
        (200, b'{"dag_run_id": "x"}', "POST"),
        (400, b'{"detail": "Dag with dag_id: x has import errors"}', "POST"),
        (400, b"not JSON", "POST"),
        (400, b"[1]", "POST"),
        (400, b"", "POST"),
        (404, b'{"detail": "not found"}', "POST"),
        (400, b'{"detail": "x"}', "GET"),
    ],
)
def test_other_answers_pass_unchanged(status: int, body: bytes, method: str) -> None:
    found, headers, content = answered(status, [body], method)
    assert (found, content) == (status, body)
    assert headers[b"content-length"] == str(len(body)).encode()


def test_the_example_of_the_settings_comes_first(monkeypatch: pytest.MonkeyPatch) -> None:
    from feature_ops.settings import get_settings

    monkeypatch.setenv("FEATURE_OPS_ETL_EXAMPLE_URL", "file:///inbox/new_song.parquet")
    get_settings.cache_clear()
    try:
        examples = etl_form(DATASET)["dataset_url"].schema["examples"]
    finally:
        monkeypatch.undo()
        get_settings.cache_clear()
    assert examples[0] == "file:///inbox/new_song.parquet"


@pytest.mark.parametrize("name", ["etl_dataset_url", "etl_example_url"])
def test_a_password_in_a_setting_is_refused_and_not_repeated(name: str) -> None:
    from feature_ops.settings import Settings

    with pytest.raises(ValueError, match="without user name") as refused:
        Settings(**{name: f"https://ada:{PASSWORD}@host.example/x"})
    assert PASSWORD not in str(refused.value)
