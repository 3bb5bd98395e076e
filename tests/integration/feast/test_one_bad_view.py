"""One view, file or dataset that cannot be loaded is named, and everything else comes online."""

from __future__ import annotations

import sqlite3
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from airflow.sdk.exceptions import AirflowFailException, AirflowSkipException
from feast import BatchFeatureView, Entity, FeatureView, Field, ValueType
from feast.types import Bytes, Float32, Int32, String

from feature_ops.exceptions import BadInputError, FeatureOpsError
from feature_ops.feast.operators import BackfillOperator, MaterializeIncrementalOperator
from feature_ops.feast.without_functions import refuse_functions
from tests.integration.feast.conftest import TRACKS

if TYPE_CHECKING:
    from collections.abc import Callable

    from conftest import Alone, Radio

ARROW = "batch_engine:\n  type: feature_ops.feast.engine.ArrowEngine\n"
BY_BOTH_ENGINES = pytest.mark.parametrize("engine", [ARROW, ""], ids=["the Arrow engine", "stock Feast"])


def keyed_by_title(store: Any, **types: Any) -> None:
    """Apply a second view of the tracks, whose key also has their title, which may be null."""
    title = Entity(name="title", join_keys=["title"], value_type=ValueType.STRING)
    fields = {"id": String, "title": String, "energy": Float32, **types}
    view = FeatureView(
        name="by_title",
        entities=[store.get_entity("track"), title],
        schema=[Field(name=field, dtype=kind) for field, kind in fields.items()],
        source=store.get_feature_view("tracks").batch_source,
    )
    store.apply([title, view])


def write(alone: Alone, *rows: dict[str, Any]) -> None:
    """Put a file into the history."""
    usual = {"title": "a title", "energy": 0.5, "plays": 1, "live": False}
    times = {"event_timestamp": datetime(2024, 5, 1, tzinfo=UTC), "ingested_at": datetime.now(UTC)}
    table = pa.Table.from_pylist([usual | row | times for row in rows], TRACKS.arrow_schema())
    name = f"{len(list(alone.history_folder.iterdir()))}.parquet"
    pq.write_table(table, alone.history_folder / name)


def stored(alone: Alone, view: str) -> int:
    """Return how many rows the online store holds of a view."""
    with sqlite3.connect(alone.folder / "online.db") as connection:
        (count,) = connection.execute(f"SELECT count(DISTINCT entity_key) FROM radio_{view}").fetchone()
        return int(count)


@BY_BOTH_ENGINES
def test_a_row_without_a_key_keeps_its_view_offline_and_no_other(alone: Alone, engine: str) -> None:
    alone.configure(engine)
    keyed_by_title(alone.store())
    write(alone, {"id": "a"}, {"id": "b", "title": None}, {"id": "c", "title": None})

    materializer = alone.materializer()
    done = materializer.load()
    materializer.record(done)

    assert done.views == ["tracks"]
    assert (stored(alone, "tracks"), stored(alone, "by_title")) == (3, 0)
    assert set(alone.ledger.online("radio", "tracks")) == {"0.parquet"}
    assert alone.ledger.online("radio", "by_title") == {}
    error = materializer.failures.error(done.views)
    assert isinstance(error, BadInputError)
    assert str(error).startswith(
        "by_title: the join key title (column title) is null in 2 rows (0.parquet row 2, 0.parquet row 3). "
        "Nothing of the view was written: take the join key out of the view, or give the feature a type"
    )
    assert str(error).endswith(". Not loaded: by_title. Loaded: tracks")

    # The next load tries the view again, and brings new rows of the other online.
    write(alone, {"id": "d"})
    again = alone.materializer()
    assert again.load().views == ["tracks"]
    assert list(again.failures.views) == ["by_title"]


def test_a_value_that_does_not_fit_is_found_before_the_first_write(alone: Alone) -> None:
    alone.configure(ARROW)
    keyed_by_title(alone.store(), plays=Int32)
    write(alone, {"id": "a"}, {"id": "b", "plays": 2**40})

    materializer = alone.materializer()
    materializer.load()

    assert stored(alone, "by_title") == 0
    assert (
        "by_title: the feature plays (column plays) does not fit into INT32 in 1 row (id b/title a title)"
        in (str(materializer.failures.error()))
    )


@pytest.mark.parametrize(
    ("types", "words"),
    [
        ({"tempo": Float32}, "the feature tempo is read from the column tempo, which tracks does not have"),
        (
            {"live": Bytes},
            "the feature live is of Bytes, but the column live of tracks is of bool",
        ),
    ],
    ids=["a missing column", "a type that is not converted"],
)
@BY_BOTH_ENGINES
def test_a_view_that_does_not_fit_the_data_is_explained(
    alone: Alone, engine: str, types: dict[str, Any], words: str
) -> None:
    alone.configure(engine)
    keyed_by_title(alone.store(), **types)
    write(alone, {"id": "a"})

    materializer = alone.materializer()
    assert materializer.load().views == ["tracks"]

    error = materializer.failures.error()
    assert isinstance(error, BadInputError)
    assert words in str(error)
    assert stored(alone, "by_title") == 0


@BY_BOTH_ENGINES
def test_an_online_store_that_refuses_one_view_takes_the_others_and_is_tried_again(
    alone: Alone, engine: str
) -> None:
    alone.configure(engine)
    keyed_by_title(alone.store())
    write(alone, {"id": "a"})
    with sqlite3.connect(alone.folder / "online.db") as connection:
        connection.execute(
            "CREATE TRIGGER full BEFORE INSERT ON radio_by_title BEGIN SELECT RAISE(ABORT, 's3cret'); END"
        )

    materializer = alone.materializer()
    done = materializer.load()
    materializer.record(done)

    assert done.views == ["tracks"]
    error = materializer.failures.error(done.views)
    assert isinstance(error, FeatureOpsError)
    assert not isinstance(error, BadInputError), "a retry may help"
    assert str(error).endswith("see the log. Not loaded: by_title. Loaded: tracks")
    assert "s3cret" not in str(error)
    with sqlite3.connect(alone.folder / "online.db") as connection:
        connection.execute("DROP TRIGGER full")
    assert alone.materializer().load().views == ["by_title"]


OTHERS = TRACKS.model_copy(update={"name": "others"})


def publish_without_title(radio: Radio, key: str) -> None:
    row = {"id": key, "title": None, "energy": 0.5, "plays": 1, "live": False}
    times = {"event_timestamp": datetime(2024, 5, 1, tzinfo=UTC), "ingested_at": datetime.now(UTC)}
    file = radio.repo / "untitled.parquet"
    pq.write_table(pa.Table.from_pylist([row | times], TRACKS.arrow_schema()), file)
    radio.servers.object_store.put_file_once(str(file), f"{TRACKS.uri}untitled.parquet")


def test_the_steps_fail_at_their_end_and_show_the_failed_view(radio: Radio) -> None:
    keyed_by_title(radio.store())
    publish_without_title(radio, "a")
    reason = "by_title: the join key title (column title) is null in 1 row (untitled.parquet row 1)"

    for operator in (
        MaterializeIncrementalOperator(task_id="materialize", dataset=TRACKS),
        BackfillOperator(task_id="backfill", datasets=[OTHERS, TRACKS]),
    ):
        with pytest.raises(AirflowFailException) as failure:
            operator.execute(radio.new_context("run"))
        assert reason in str(failure.value)
        (shown,) = (operator.status(None) or {})["failed_views"]
        assert shown["view"] == "by_title"
        assert shown["reason"].startswith(reason)
        assert radio.online("a") == {"a": 0.5}
        assert radio.ledger.online("radio", "by_title") == {}
    # The dataset without a view stands alone, too.
    assert "no feature view of Feast's project 'radio' that is online reads" in str(failure.value)

    # The remedy: without the view nothing is left to do.
    radio.store().delete_feature_view("by_title")
    with pytest.raises(AirflowSkipException):
        radio.materialize("another run")


DAMAGES: dict[str, Callable[[bytes], bytes]] = {
    "other bytes in the middle": lambda content: content[:4] + b"\xff" * 200 + content[204:],
    "empty": lambda content: b"",
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_file_that_cannot_be_read_is_named_and_the_other_files_come_online(
    radio: Radio, damage: str
) -> None:
    keyed_by_title(radio.store())
    first = radio.publish(("a", "2024-05-01", 0.5))
    radio.publish(("b", "2024-05-01", 0.25))
    store = radio.servers.object_store
    content, _ = store.get_bytes(f"{TRACKS.uri}{first}") or (b"", "")
    store.put_bytes(DAMAGES[damage](content), f"{TRACKS.uri}{first}")

    with pytest.raises(AirflowFailException) as failure:
        radio.materialize("run 1")

    line = str(failure.value)
    assert line.startswith(
        f"{TRACKS.uri}{first} is damaged: it does not hold what its name says. Remove it and"
    )
    assert line.endswith(". Loaded: by_title, tracks")
    assert radio.online("a", "b") == {"a": None, "b": 0.25}
    assert first not in radio.ledger.online("radio", "tracks")

    store.put_bytes(content, f"{TRACKS.uri}{first}")
    assert radio.materialize("run 2")["files"] == [first]
    assert radio.online("a", "b") == {"a": 0.5, "b": 0.25}


@pytest.mark.parametrize("content", [b"PAR1 half", b""], ids=["garbage", "empty"])
def test_a_half_written_file_under_the_history_is_named_with_the_remedy(radio: Radio, content: bytes) -> None:
    store, stray = radio.servers.object_store, f"{TRACKS.uri}upload-17.parquet"
    radio.publish(("a", "2024-05-01", 0.5))
    store.put_bytes(content, stray)

    with pytest.raises(AirflowFailException) as failure:
        radio.materialize("run 1")

    assert str(failure.value).startswith(f"{stray} is not a whole parquet file (")
    assert "its name shows that no step has written it: remove it and run the DAG again" in str(failure.value)
    assert radio.online("a") == {"a": 0.5}
    store.delete(stray)
    assert radio.materialized_again() == "nothing to materialize: the one file of tracks is online"


def test_a_file_that_is_left_out_of_a_new_definition_is_loaded_once_it_is_whole(radio: Radio) -> None:
    """The ledger must not go on to say that its rows are online with the new feature."""
    first = radio.publish(("a", "2024-05-01", 0.5))
    radio.publish(("b", "2024-05-01", 0.25))
    radio.materialize("run 1")
    store = radio.store()
    view = store.get_feature_view("tracks")
    more = FeatureView(
        name="tracks",
        entities=[store.get_entity("track")],
        schema=[*view.schema, Field(name="title", dtype=String)],
        source=view.batch_source,
    )
    store.apply([more])
    objects = radio.servers.object_store
    content, _ = objects.get_bytes(f"{TRACKS.uri}{first}") or (b"", "")
    objects.put_bytes(b"PAR1", f"{TRACKS.uri}{first}")

    with pytest.raises(AirflowFailException, match="is damaged"):
        radio.backfill("run 2")
    assert first not in radio.ledger.online("radio", "tracks")

    objects.put_bytes(content, f"{TRACKS.uri}{first}")
    assert radio.materialize("run 3")["files"] == [first]
    answer = radio.store().get_online_features(["tracks:title"], [{"id": "a"}, {"id": "b"}]).to_dict()
    assert answer["title"] == ["Track a", "Track b"]


def test_a_view_that_a_function_computes_is_named_where_functions_are_refused_and_others_are_loaded(
    alone: Alone,
) -> None:
    alone.write("a", 0.5)
    store = alone.store()
    louder = BatchFeatureView(
        name="louder",
        entities=[store.get_entity("track")],
        schema=[Field(name="id", dtype=String), Field(name="energy", dtype=Float32)],
        source=store.get_feature_view("tracks").batch_source,
        mode="python",
        udf=lambda rows: rows,
        udf_string="lambda rows: rows",
        online=True,
    )
    store.apply([louder])
    refuse_functions()
    materializer = alone.materializer()

    done = materializer.load()

    assert done.views == ["tracks"]
    assert str(materializer.failures.views["louder"]).startswith("louder is computed by a function")
    assert materializer.failures.errors[0].__class__ is BadInputError
