"""Every fault of a file is reported in one pass: nearest column, rows, values and remedy."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pyarrow as pa
import pytest

from feature_ops.datasets.names import nearest_name
from feature_ops.datasets.normalize import Normalized

Rows = Callable[..., dict[str, Any]]
Normalize = Callable[..., Normalized]


def wrong(result: Normalized) -> list[str]:
    return [str(violation) for violation in result.violations]


@pytest.mark.parametrize(
    "name",
    [
        "\ufeffheight",
        "height ",
        " HEIGHT",
        "he\u200bight",
        "height\u00a0",
        "height\n",
        "hei ght",
        "\u202eheight",
    ],
)
def test_a_column_whose_name_looks_the_same_is_named(name: str, rows: Rows, normalized: Normalize) -> None:
    columns = rows()
    columns[name] = columns.pop("height")
    assert wrong(normalized(columns)) == [
        f"column 'height' is missing in the file: did you mean its column {name!r}? Rename it to 'height'"
    ]


@pytest.mark.parametrize("name", ["heigth", "heights", "height_cm", "plant height", "hei-ght"])
def test_a_column_with_a_similar_name_is_named(name: str, rows: Rows, normalized: Normalize) -> None:
    columns = rows()
    columns[name] = columns.pop("height")
    (message,) = wrong(normalized(columns))
    assert message.startswith("column 'height' is missing in the file")
    assert (f"did you mean its column {name!r}" in message) == (name != "plant height")


def test_a_column_that_may_be_null_is_not_lost_for_an_invisible_character(
    rows: Rows, normalized: Normalize
) -> None:
    columns = rows()
    columns["\ufeffnote"] = columns.pop("note", ["a", "b"])
    (message,) = wrong(normalized(columns))
    assert "column 'note' is missing in the file: did you mean its column '\\ufeffnote'?" in message
    columns["notes"] = columns.pop("\ufeffnote")
    assert wrong(normalized(columns)) == []


@pytest.mark.parametrize("name", ["\ufeffevent_timestamp", "event_timestamp ", "snapshot_date\t"])
def test_event_times_are_not_replaced_by_the_runs_for_an_invisible_character(
    name: str, rows: Rows, normalized: Normalize
) -> None:
    columns = rows()
    columns[name] = columns.pop("event_timestamp")
    result = normalized(columns)
    assert not result.layout.stamped
    (message,) = wrong(result)
    assert f"did you mean its column {name!r}?" in message


def test_the_nearest_column_is_named_for_a_time_column_that_is_not_there(
    rows: Rows, normalized: Normalize
) -> None:
    (message,) = wrong(normalized(rows(), "event_timestmap"))
    assert "did you mean 'event_timestamp'?: correct event_timestamp_column in the form" in message


def test_no_name_is_nearest_where_none_is_similar() -> None:
    assert nearest_name("height", ["leaves", "x" * 1_000_000, "", "\ud800"]) is None


def test_all_classes_of_faults_are_reported_in_one_pass(rows: Rows, normalized: Normalize) -> None:
    columns = rows(("fern", "", "moss\u200b", None), leaves=[1, -1, None, 2], alive=["yes"] * 4)
    columns["note"] = pa.array([b"a", b"\xff", None, b"b"])
    columns["high"] = columns.pop("height")
    found = wrong(normalized(columns))
    for fault in (
        "column 'height' is missing in the file",
        "column 'alive' has type string, but bool is needed: cast it where the file is written",
        "column 'plant' must not be null in 1 row (row 4: None)",
        "column 'plant' must not be empty in 1 row (row 2: '')",
        r"column 'plant' must not contain invisible formatting characters in 1 row (row 3: 'moss\u200b')",
        "column 'leaves' must not be null in 1 row (row 3: None)",
        "column 'leaves' must be at least 0 in 1 row (row 2: -1)",
        r"column 'note' has values that do not fit into string unchanged in at least 1 row (row 2: b'\xff')"
        ": write the texts as UTF-8",
    ):
        assert any(message.startswith(fault) for message in found), fault
    assert len(found) == 8


def test_columns_that_stand_twice_hide_no_other_fault(rows: Rows, normalized: Normalize) -> None:
    columns = rows(leaves=[-1, 1])
    table = pa.table([*columns.values(), columns["height"]], [*columns, "Height"])
    found = wrong(normalized(table))
    assert found[0].startswith("column 'height' stands in the file 2 times")
    assert found[1] == "column 'leaves' must be at least 0 in 1 row (row 1: -1)"
    assert len(found) == 2


def test_undeclared_columns_of_one_name_are_left_out(rows: Rows, normalized: Normalize) -> None:
    columns = rows()
    table = pa.table([*columns.values(), [1, 2], [3, 4], [5, 6]], [*columns, "more", "MORE", "more"])
    result = normalized(table)
    assert wrong(result) == []
    assert result.layout.unexpected == ("MORE", "more")


@pytest.mark.parametrize(
    ("column", "values", "remedy"),
    [
        (
            "height",
            pa.array([2**53 + 1, 1]),
            "write values that double can hold, or declare the column as another type",
        ),
        (
            "leaves",
            pa.array([1.5, 1.0]),
            "write values that int64 can hold, or declare the column as another type",
        ),
        (
            "event_timestamp",
            pa.array([1_767_225_600_000_000_001] * 2).cast(pa.timestamp("ns", "Asia/Seoul")),
            "round the times to microseconds where the file is written (pandas: .dt.floor('us'), SQL: date",
        ),
        ("event_timestamp", pa.array([2**62] * 2).cast(pa.timestamp("ms")), "correct the times"),
    ],
)
def test_values_that_do_not_fit_are_shown_with_the_remedy(
    column: str, values: pa.Array, remedy: str, rows: Rows, normalized: Normalize
) -> None:
    (message,) = wrong(normalized(rows(**{column: values})))
    assert "(row 1: " in message
    assert remedy in message
