"""One rule says which texts are valid entity keys."""

from __future__ import annotations

import subprocess
import sys

import pytest

from feature_ops.keys import MAX_KEY_BYTES, invalid_key_reason
from tests.conftest import PROJECT

CONTROL = "must not contain control characters or line breaks"
INVISIBLE = "must not contain invisible formatting characters"
SPACE = "must not start or end with white space"


@pytest.mark.parametrize(
    "key",
    [
        "1D2SVYXZdtNfJCg8wZWvVz",
        "two words",
        "non\u00a0breaking",
        "a/b?c=d#e%2f",
        "'\";--",
        "..",
        "é",
        "e\u0301",
        "서울",
        "نام\u200cها",
        "👩\u200d🚀",
        "🏴󠁧󠁢󠁥󠁮󠁧󠁿",
        "\U0001fae9",  # newer than the Unicode of Python 3.11
        "x" * MAX_KEY_BYTES,
    ],
)
def test_a_visible_text_on_one_line_is_a_key(key: str) -> None:
    assert invalid_key_reason(key) is None


@pytest.mark.parametrize(
    ("key", "reason"),
    [
        ("", "must not be empty"),
        (" \n\u00a0", "must not be empty"),
        *((f"a{sign}b", CONTROL) for sign in "\x00\t\n\r\x1f\x7f\x85\x9f\u2028\u2029"),
        ("a\n", CONTROL),
        *(
            (f"a{sign}b", INVISIBLE)
            for sign in "\u061c\u200e\u202a\u202e\u2066\u2069\u00ad\u200b\u2060\ufeff"
        ),
        ("\ufeffa", INVISIBLE),
        ("a\ud800", "must not contain unpaired surrogates"),
        ("\udfffa", "must not contain unpaired surrogates"),
        *((f"{space}a", SPACE) for space in " \u00a0\u3000"),
        ("a ", SPACE),
        ("x" * (MAX_KEY_BYTES + 1), "must not be longer than 1,024 bytes in UTF-8"),
        ("é" * 513, "must not be longer than 1,024 bytes in UTF-8"),
    ],
)
def test_any_other_text_is_refused_with_a_reason_that_does_not_repeat_it(key: str, reason: str) -> None:
    assert invalid_key_reason(key) == reason


def test_the_rule_needs_no_package() -> None:
    program = """
import sys
sys.path.insert(0, "plugins")
from feature_ops.keys import invalid_key_reason
print(*{name.partition(".")[0] for name in sys.modules} - sys.stdlib_module_names)
"""
    done = subprocess.run(
        [sys.executable, "-S", "-c", program], cwd=PROJECT, capture_output=True, text=True, check=True
    )
    assert set(done.stdout.split()) <= {"feature_ops", "__main__"}
