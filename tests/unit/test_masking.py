"""No message to users has a password in it, wherever a user typed one."""

from __future__ import annotations

import string
from collections.abc import Callable

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from feature_ops.datasets.source import parse_source, url_without_secrets
from feature_ops.exceptions import BadInputError
from feature_ops.git.remote_url import allowed_url
from feature_ops.masking import describe_unexpected, masked, shown_address, without_user_info
from feature_ops.settings import Settings

SETTINGS = Settings(source_schemes=("https", "http", "s3", "file"), source_hosts=("*",))
OWN = "https://git.example.com/team/jukebox.git"

SIGNS = string.ascii_letters + string.digits + "!$%&()*+,-./:;<=>?@[]^_{|}~#'\""
PREFIXES = [
    *("https://", "http://", "HTTPS://", "s3://", "ssh://", "git://", "ftp://", "file://", "git+ssh://"),
    *("https:/", "https:", "//", "", " https://", "https:// "),
]


def shown(typed: str) -> str:
    """Return the URL of a source as messages show it."""
    try:
        return parse_source(typed, SETTINGS).shown
    except BadInputError as error:
        return str(error)


def refused_repository(typed: str) -> str:
    """Return the message about a repository; one that is accepted has none."""
    try:
        allowed_url(typed, OWN, "git_default")
    except BadInputError as error:
        return str(error)
    return ""


def source_without_secrets(typed: str) -> str:
    try:
        return url_without_secrets(typed)
    except BadInputError as error:
        return str(error)


@pytest.mark.parametrize("message", [shown, source_without_secrets, refused_repository, shown_address])
@given(prefix=st.sampled_from(PREFIXES), password=st.text(SIGNS, min_size=4, max_size=12))
@example(prefix="s3://", password="pa/ss")
@example(prefix="https://", password="12/34")
@example(prefix="https://", password="p@ss")
@example(prefix="", password="plain")
@example(prefix="ssh://", password="word")
@settings(max_examples=150, deadline=None)
def test_no_message_about_an_address_repeats_a_password(
    message: Callable[[str], str], prefix: str, password: str
) -> None:
    secret = f"Q{password}Z"
    assert secret not in message(f"{prefix}ada:{secret}@host.example.com/folder/file.parquet")


@pytest.mark.parametrize(
    ("typed", "words"),
    [
        ("ssh://ada:secret@git.example.com/x.git", "must not contain a user name or password"),
        ("HTTPS://ada@git.example.com/x.git", "must not contain a user name or password"),
        ("ada:secret@git.example.com:x.git", "must not contain a user name or password"),
        ("https://ada:se/cret@git.example.com/x.git", r"repo_url 'https://\*\*\*@git\.example\.com/x\.git'"),
        ("https://evil.example/x.git?token=secret", r"repo_url 'https://evil\.example/x\.git'"),
    ],
)
def test_a_repository_with_a_secret_is_refused_without_it(typed: str, words: str) -> None:
    with pytest.raises(BadInputError, match=words) as refused:
        allowed_url(typed, OWN, "git_default")
    assert "secret" not in str(refused.value)


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("disk full", "disk full"),
        ("first\nsecond", "first"),
        ("\n\n  indented", "indented"),
        ("", ""),
        ("FATAL: password=hunter2 rejected", "FATAL: password=*** rejected"),
        ("{'api_key': 'abc', 'x': 1}", "{'api_key': ***, 'x': 1}"),
        ('{"aws_secret_access_key": "abc"}', '{"aws_secret_access_key": ***}'),
        ("Authorization: Bearer abc.def", "Authorization: ***"),
        ("GET https://b.example/k?X-Amz-Signature=abc failed", "GET https://b.example/k?*** failed"),
        ("postgresql+psycopg://ada:p@ss@db:5432/x refused", "postgresql+psycopg://***@db:5432/x refused"),
        ("control \x1b[31m signs", "control  [31m signs"),
        ("tokenizer broke", "tokenizer broke"),
    ],
)
def test_what_a_library_wrote_becomes_one_line_without_secrets(text: str, line: str) -> None:
    assert masked(text) == line


def test_values_of_secret_variables_and_of_airflows_masker_are_masked(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from airflow.sdk.log import mask_secret

    monkeypatch.setenv("SHOP_TOKEN", "value-of-a-variable")
    mask_secret("value-known-to-airflow")
    assert masked("x value-of-a-variable y value-known-to-airflow z") == "x *** y *** z"


def test_long_text_is_cut() -> None:
    assert len(masked("x" * 9999)) == 301


def test_an_unexpected_error_names_type_location_and_text() -> None:
    def fails() -> None:
        parse_source(None, SETTINGS)  # type: ignore[arg-type]

    with pytest.raises(TypeError) as raised:
        fails()
    assert describe_unexpected(raised.value).startswith(
        "unexpected TypeError in feature_ops.datasets.source, line "
    )


def test_an_error_that_has_no_text_is_described() -> None:
    class MuteError(Exception):
        def __str__(self) -> str:
            raise RuntimeError("no text")

    assert describe_unexpected(MuteError()) == "unexpected MuteError"
    assert describe_unexpected(KeyError()) == "unexpected KeyError"


def test_addresses_without_user_info_stay_as_they_are() -> None:
    text = "s3://bucket/a@b.parquet and https://host/x?y#z, git@host:path"
    assert without_user_info(text) == text
