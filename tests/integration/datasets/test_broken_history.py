"""A history that cannot be read, or has other types than are declared: named, and nothing changed."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest
from airflow.sdk.exceptions import AirflowFailException

from feature_ops.datasets.dataset import ColumnType
from feature_ops.exceptions import BadInputError, FeatureOpsError

if TYPE_CHECKING:
    from conftest import Steps

Plants = Callable[..., dict[str, Any]]
log = logging.getLogger(__name__)


@pytest.fixture
def history(steps: Steps, plants: Plants) -> str:
    """The URI of a history's one file."""
    steps.both(steps.source(plants("fern", "moss")), "first")
    steps.publish()
    (file,) = steps.store.list(steps.dataset.uri)
    return file.uri


def refusal(steps: Steps, source: dict[str, Any], error: type[Exception]) -> str:
    """Validate a file that cannot be accepted; returns the line, which may not be about the file."""
    ingested, _ = steps.ingest(steps.source(source), "second")
    with pytest.raises(error) as caught:
        steps.validate(ingested, "second")
    line = str(caught.value)
    log.info("MESSAGE %s", line)
    assert steps.state["summary"] == line
    assert "\n" not in line
    assert [file.name for file in steps.store.list(steps.dataset.accepted_uri)] == []
    return line


@pytest.mark.parametrize(
    "change",
    [
        lambda content: content[:-100],
        lambda content: b"PAR1",
        lambda content: b"\xff" * len(content),
        lambda content: content[:4] + b"\xff" * 400 + content[404:],
    ],
    ids=["cut off", "almost empty", "not parquet", "other bytes in the middle"],
)
def test_a_file_of_the_history_with_other_bytes_is_named_with_the_remedy(
    change: Callable[[bytes], bytes], history: str, steps: Steps, plants: Plants
) -> None:
    content = steps.read(history)
    steps.store.put_bytes(change(content), history)
    line = refusal(steps, plants("fern", "reed"), AirflowFailException)
    assert line.startswith(f"{history} is damaged: it does not hold what its name says. Remove it and run")
    steps.store.put_bytes(content, history)
    assert steps.both(steps.source(plants("fern", "reed")), "third")[1] == "1 new row, 1 already known"


def test_a_file_that_vanishes_after_it_was_listed_is_worth_another_try(
    history: str, steps: Steps, plants: Plants, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = steps.read(history)
    honest = type(steps.store).list

    def faster(store: Any, prefix: str) -> Any:
        yield from list(honest(store, prefix))
        if prefix == steps.dataset.uri:
            store.delete(history)

    with monkeypatch.context() as patch:
        patch.setattr(type(steps.store), "list", faster)
        ingested, _ = steps.ingest(steps.source(plants("fern", "reed")), "second")
        with pytest.raises(FeatureOpsError, match="was listed and is gone") as caught:
            steps.validate(ingested, "second")
    assert history in str(caught.value)
    assert not isinstance(caught.value, BadInputError)
    steps.store.put_bytes(content, history)
    assert steps.validate(ingested, "second")[1] == "1 new row, 1 already known"


def test_a_type_that_was_changed_in_code_is_named_with_both_types(
    history: str, steps: Steps, plants: Plants
) -> None:
    honest = steps.dataset
    columns = tuple(
        column.model_copy(update={"type": ColumnType.DOUBLE}) if column.name == "leaves" else column
        for column in honest.columns
    )
    steps.dataset = honest.model_copy(update={"columns": columns})
    line = refusal(steps, plants("fern", "reed"), AirflowFailException)
    assert line == (
        f"column 'leaves' is declared as double, but {history} has it as int64: a history has one type per "
        "column. Declare it as int64 again; for the other type declare a new column, or a dataset of another "
        "name"
    )
    steps.dataset = honest
    assert steps.both(steps.source(plants("fern", "reed")), "third")[1] == "1 new row, 1 already known"
