"""The rules for single rows, as a pandera schema made from the dataset's declared columns."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from feature_ops.datasets.column import FLOATING, Column, ColumnType
from feature_ops.datasets.dataset import Dataset
from feature_ops.datasets.nested_rules import check_nested
from feature_ops.datasets.violations import Violations

if TYPE_CHECKING:
    import pyarrow as pa
    from pandera.pandas import Check, DataFrameSchema

_EARLIEST = datetime(1970, 1, 1, tzinfo=UTC)


def row_rules(dataset: Dataset, latest: datetime) -> DataFrameSchema:
    """
    Return the rules for one row of a dataset.

    :param latest: no event may be later; the moment of the check, so that a row is materialized
        by the run that brings it.
    """
    import pandera.pandas as pandera

    columns = {
        column.name: pandera.Column(
            nullable=column.nullable and column.name not in dataset.keys, checks=_checks(column, dataset)
        )
        for column in dataset.columns
        if not column.is_nested
    }
    columns[dataset.timestamp_field] = pandera.Column(
        nullable=False,
        checks=[
            _check("must not be before 1970", lambda times: times >= _EARLIEST),
            _check(
                f"must not be in the future, that is after {latest:%Y-%m-%d %H:%M:%S} UTC",
                lambda times: times <= latest,
            ),
        ],
    )
    return pandera.DataFrameSchema(columns)


def _checks(column: Column, dataset: Dataset) -> list[Check]:
    checks = []
    if column.type in FLOATING:
        checks.append(_check("must be a finite number", lambda values: values.abs() < float("inf")))
    # Negated, so that NaN breaks one rule only.
    if column.ge is not None:
        checks.append(_check(f"must be at least {column.ge:g}", lambda values: ~(values < column.ge)))
    if column.le is not None:
        checks.append(_check(f"must be at most {column.le:g}", lambda values: ~(values > column.le)))
    if column.name in dataset.keys and column.type is ColumnType.STRING:
        checks.append(_check("must not be empty", lambda values: values.str.strip() != ""))
    return checks


def _check(rule: str, holds: Any) -> Check:
    import pandera.pandas as pandera

    return pandera.Check(holds, error=rule)


def check_rows(
    rules: DataFrameSchema, dataset: Dataset, table: pa.Table, first_row: int, violations: Violations
) -> None:
    """
    Note the rows of a batch that break a rule.

    :param first_row: number of the batch's first row in the file.
    """
    import pandas as pd
    from pandera.errors import SchemaErrors

    nested = [column.name for column in dataset.columns if column.is_nested]
    for column in dataset.columns:
        if column.is_nested:
            check_nested(column, table.column(column.name).combine_chunks(), first_row, violations)
    # Arrow's own types: pandas' would turn integers with nulls into floats, and NaN into null.
    frame = table.drop_columns(nested).to_pandas(types_mapper=pd.ArrowDtype)
    try:
        rules.validate(frame, lazy=True)
    except SchemaErrors as errors:
        for error in errors.schema_errors:
            rule = "must not be null" if error.check == "not_nullable" else error.check.error
            cases = error.failure_cases
            rows = zip(cases["index"].head(10), cases["failure_case"].head(10), strict=True)
            violations.add(
                error.schema.name, rule, ((first_row + int(i), value) for i, value in rows), len(cases)
            )
