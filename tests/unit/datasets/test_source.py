"""Which URLs are read."""

from __future__ import annotations

import pytest

from feature_ops.datasets.source import parse_source, url_without_secrets, wanted_url
from feature_ops.exceptions import BadInputError
from feature_ops.settings import Settings

SETTINGS = Settings(
    source_schemes=("https", "s3", "file"), source_hosts=("data.example.org", "*.example.com", "inbox")
)


def test_the_forms_url_comes_before_the_old_name_and_the_setting() -> None:
    settings = Settings(etl_dataset_url="https://scheduled/x")
    assert wanted_url(" https://typed/x ", {"url_dataset": "https://old/x"}, settings) == "https://typed/x"
    assert wanted_url("", {"url_dataset": "https://old/x"}, settings) == "https://old/x"
    assert wanted_url(None, {}, settings) == "https://scheduled/x"


def test_no_url_at_all_says_what_to_type_where() -> None:
    with pytest.raises(BadInputError, match=r"dataset_url of the trigger form.*FEATURE_OPS_ETL_DATASET_URL"):
        wanted_url(None, {"url_dataset": None}, Settings(etl_dataset_url=None))


@pytest.mark.parametrize(
    "url",
    ["https://data.example.org/a.parquet", "HTTPS://Data.Example.org./a.parquet", "https://x.example.com:8443/a",
     "s3://inbox/folder/a file?.parquet", "file:///folder/a.parquet", "file://localhost/folder/a.parquet"],
)  # fmt: skip
def test_allowed_sources_are_parsed(url: str) -> None:
    assert parse_source(url, SETTINGS).scheme == url.split(":")[0].lower()


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("http://data.example.org/a.parquet", "'http' is not allowed"),
        ("ftp://data.example.org/a.parquet", "'ftp' is not allowed"),
        ("a.parquet", r"'\(none\)' is not allowed"),
        ("https://evil.org/a.parquet", "'evil.org' is not among"),
        ("https://example.com.evil.org/a.parquet", "not among"),
        ("https://data.example.org", "names no file"),
        ("https:///a.parquet", "names no host"),
        ("s3://other/a.parquet", "'other' is not among"),
        ("file://server/share/a.parquet", "three slashes"),
        ("https://data.example.org:99999/a", "port"),
        ("https://[::1/a", "malformed"),
        ("https://data.exam\nple.org/a", "control character"),
        ("https://data.example.org\\@evil.org/a", "user name or password"),
    ],
)
def test_other_sources_are_refused_with_the_reason(url: str, reason: str) -> None:
    with pytest.raises(BadInputError, match=reason):
        parse_source(url, SETTINGS)


def test_a_password_in_the_url_is_refused_and_never_repeated() -> None:
    for url in ("https://me:hunter2@data.example.org/a", "s3://me:hunter2@inbox/a", "ftp://me:hunter2@x/a",
                "https://me:hunter2@data.example.org:99999/a"):  # fmt: skip
        with pytest.raises(BadInputError) as refused:
            parse_source(url, SETTINGS)
        assert "hunter2" not in str(refused.value)


def test_signatures_and_passwords_are_left_out_of_what_is_shown() -> None:
    assert url_without_secrets("https://me:pw@host:1/a.parquet?sig=1#x") == "https://host:1/a.parquet"
    assert url_without_secrets("s3://inbox/a?b#c") == "s3://inbox/a?b#c"
    source = parse_source("https://data.example.org/a?X-Amz-Signature=secret", SETTINGS)
    assert "secret" not in repr(source)
