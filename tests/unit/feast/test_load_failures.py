"""The line of a load that brought only a part online, and whether another try may help."""

from __future__ import annotations

import pytest

from feature_ops.exceptions import BadInputError, FeatureOpsError
from feature_ops.feast.load_failures import LoadFailures, combined

BAD, DOWN, ODD = BadInputError("bad rows"), FeatureOpsError("the store is down"), ValueError("s3cret")


@pytest.mark.parametrize(
    ("errors", "loaded", "failed", "line", "is_retried"),
    [
        ([BAD], ["a"], ["b"], "bad rows. Not loaded: b. Loaded: a", False),
        ([BAD], ["a"], [], "bad rows. Loaded: a", False),
        ([BAD, BAD], [], ["b", "c"], "bad rows. Not loaded: b, c", False),
        ([BAD, DOWN], ["a"], ["b", "c"], "bad rows; the store is down. Not loaded: b, c. Loaded: a", True),
        ([ODD], ["a"], ["b"], "failed with ValueError: see the log. Not loaded: b. Loaded: a", True),
        (
            [BadInputError(f"problem {n}") for n in range(5)],
            [],
            [],
            "problem 0; problem 1; problem 2; and 2 more problems, see the log",
            False,
        ),
    ],
)
def test_one_line_names_the_problems_and_what_was_loaded(
    errors: list[Exception], loaded: list[str], failed: list[str], line: str, is_retried: bool
) -> None:
    error = combined(errors, loaded, failed)
    assert str(error) == line
    assert isinstance(error, FeatureOpsError)
    assert isinstance(error, BadInputError) is not is_retried


@pytest.mark.parametrize("error", [BAD, DOWN, ODD])
def test_an_error_alone_stays_what_it_is(error: Exception) -> None:
    failures = LoadFailures({"b": error})
    assert failures.error() is error
    assert failures.explain(error)
    assert not failures.explain(RuntimeError("another"))
    assert not LoadFailures().explain(error)


def test_the_page_gets_each_failed_view_without_a_librarys_words() -> None:
    assert LoadFailures({"b": ODD, "a": BAD}).facts() == [
        {"view": "a", "reason": "bad rows"},
        {"view": "b", "reason": "failed with ValueError: see the log"},
    ]
