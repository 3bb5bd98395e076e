"""Who comes from Kubeflow and Tekton finds each known defect answered, with the test that shows it."""

from __future__ import annotations

import re

from tests.unit.docs.pages import text_of

ROWS = re.findall(r"^\| (D\d+) .*\| (.*) \|$", text_of("docs/migrating.md"), re.MULTILINE)


def test_every_defect_has_its_row() -> None:
    assert [defect for defect, _ in ROWS] == [f"D{number}" for number in range(1, 14)]


def test_a_defect_is_shown_by_a_test_that_is_named_after_it() -> None:
    for defect, shown in ROWS:
        assert re.search(rf"`test_(\w+_)?{defect.lower()}_\w+`", shown), defect
