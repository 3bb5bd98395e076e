"""In Airflow's processes functions of the registry stay bytes, whatever kind of object has them."""

from __future__ import annotations

import ast
import os
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import dill
import feast
import pytest
from feast import (
    BatchFeatureView,
    Entity,
    FeatureView,
    Field,
    FileSource,
    KafkaSource,
    OnDemandFeatureView,
    StreamFeatureView,
    ValueType,
)
from feast.data_format import JsonFormat
from feast.protos.feast.core import Transformation_pb2, ValidationProfile_pb2
from feast.saved_dataset import ValidationReference
from feast.transformation import pandas_transformation, substrait_transformation, udf_rehydrate
from feast.types import Float64

from feature_ops import preload
from feature_ops.exceptions import BadInputError
from feature_ops.feast.loadable import is_computed
from feature_ops.feast.views import why_not_loaded
from feature_ops.feast.without_functions import (
    FunctionRefusedError,
    function_left_out,
    import_feast_without_functions,
    refuse_functions,
    refuse_loading,
)
from tests.support.functions import load_functions_again

PLUGINS = Path(preload.__file__).parent


class Pickled:
    """Runs code when it is unpickled."""

    def __reduce__(self) -> Any:
        return exec, ("import os; os.environ['PLANTED'] = 'unpickled'",)


# Feast reads annotations of functions, which are texts in this module.
def computed(rows, ran=Pickled()):  # type: ignore[no-untyped-def]  # noqa: B008
    return rows


# As Feast does with a function that it registers: it is then pickled whole, not by its name.
computed.__module__ = "__main__"

# Feast takes the text of a function from its file; here each view says it itself.
_TEXT = (
    "def computed(rows, ran=__import__('os').environ.__setitem__('PLANTED', 'executed')):\n    return rows\n"
)
# A name that is not defined: Feast then unpickles the bytes.
_TEXT_OF_PICKLED = "def computed(rows, ran=NOWHERE):\n    return rows\n"

SONG = Entity(name="song", join_keys=["song"], value_type=ValueType.STRING)
FILES = FileSource(name="files", path="songs.parquet", timestamp_field="at")
SCHEMA = [Field(name="energy", dtype=Float64)]


def plain(**changes: Any) -> FeatureView:
    return FeatureView(**{"name": "plain", "entities": [SONG], "schema": SCHEMA, "source": FILES, **changes})


def on_demand(text: str) -> Any:
    return OnDemandFeatureView(
        name="on_demand", sources=[plain()], schema=SCHEMA, mode="pandas", udf=computed, udf_string=text
    )


def batch(text: str) -> Any:
    return BatchFeatureView(
        name="batch",
        entities=[SONG],
        schema=SCHEMA,
        source=FILES,
        mode="python",
        udf=computed,
        udf_string=text,
        online=True,
    )


def stream(text: str) -> Any:
    kafka = KafkaSource(
        name="kafka",
        kafka_bootstrap_servers="nowhere",
        topic="songs",
        timestamp_field="at",
        message_format=JsonFormat("song string"),
        batch_source=FILES,
        watermark_delay_threshold=timedelta(minutes=1),
    )
    return StreamFeatureView(
        name="stream",
        entities=[SONG],
        schema=SCHEMA,
        source=kafka,
        mode="python",
        timestamp_field="at",
        udf=computed,
        udf_string=text,
    )


def derived(text: str) -> Any:
    return plain(name="derived", source=[batch(text)], sink_source=FILES)


MADE: dict[str, Callable[[str], Any]] = {
    "on-demand view": on_demand,
    "batch view": batch,
    "stream view": stream,
    "view over a batch view": derived,
}
TEXTS = {"source text": _TEXT, "pickled bytes": _TEXT_OF_PICKLED}


def read(made: Any) -> Any:
    """Read a view as the registry does."""
    kind = FeatureView if isinstance(made, BatchFeatureView) else type(made)
    return kind.from_proto(made.to_proto())


def functions(message: Any) -> list[Any]:
    """Return the messages of the functions of a view and of the views that it is made from."""
    specs = [message.spec, *getattr(message.spec, "source_views", ())]
    return [spec.feature_transformation for spec in specs]


@pytest.fixture(autouse=True)
def nothing_ran(monkeypatch: pytest.MonkeyPatch) -> None:
    """Planted code sets this variable."""
    monkeypatch.setenv("PLANTED", "")


@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS)
@pytest.mark.parametrize("make", MADE.values(), ids=MADE)
def test_reading_a_view_runs_its_function_only_outside_of_airflow(
    make: Callable[[str], Any], text: str
) -> None:
    made = make(text)
    read(made)
    assert os.environ["PLANTED"] in ("executed", "unpickled")
    os.environ["PLANTED"] = ""
    refuse_functions()

    left_out = read(made)

    assert os.environ["PLANTED"] == ""
    assert function_left_out(left_out)
    assert [field.name for field in left_out.features] == ["energy"]


@pytest.mark.parametrize("make", MADE.values(), ids=MADE)
def test_a_view_without_its_function_is_written_back_with_the_same_bytes(make: Callable[[str], Any]) -> None:
    message = make(_TEXT).to_proto()
    refuse_functions()

    again = read(make(_TEXT)).to_proto()

    written, wanted = functions(again), functions(message)
    assert written == wanted
    assert any(one.user_defined_function.body for one in wanted)


@pytest.mark.parametrize("made", [plain(), plain(name="e", entities=[])], ids=["plain", "without entities"])
def test_views_without_functions_are_read_as_before(made: FeatureView) -> None:
    before = FeatureView.from_proto(made.to_proto())
    refuse_functions()

    after = FeatureView.from_proto(made.to_proto())

    assert after == before
    assert not function_left_out(after)


def test_asking_for_a_computed_feature_is_refused_with_the_remedy() -> None:
    refuse_functions()
    view = read(on_demand(_TEXT))

    for call in (
        lambda: view.transform_arrow(None),
        lambda: view.transform_dict({}),
        lambda: view.transform_ibis(None),
        lambda: view.infer_features(),
    ):
        with pytest.raises(FunctionRefusedError, match="call them in a process of their own"):
            call()


def test_every_way_to_a_function_raises() -> None:
    refuse_functions()
    function = Transformation_pb2.UserDefinedFunctionV2(
        name="computed", body=dill.dumps(computed, recurse=True), body_text=_TEXT
    )
    substrait = Transformation_pb2.SubstraitTransformationV2(
        ibis_function=dill.dumps(computed, recurse=True), substrait_plan=b"x"
    )
    ways: dict[str, Callable[[], Any]] = {
        "a transformation": lambda: pandas_transformation.PandasTransformation.from_proto(function),
        "substrait": lambda: substrait_transformation.SubstraitTransformation.from_proto(substrait),
        "text": lambda: udf_rehydrate.rehydrate_udf_from_source(_TEXT),
        "bytes": lambda: udf_rehydrate.resolve_udf(body=function.body),
        # What is imported later, of any version: all of Feast calls dill in this way.
        "a module of Feast": lambda: exec(
            "import dill; dill.loads(body)", {"__name__": "feast.infra.new", "body": function.body}
        ),
    }
    for name, way in ways.items():
        with pytest.raises(FunctionRefusedError):
            way()
        assert os.environ["PLANTED"] == "", name


def test_a_profiler_of_a_validation_reference_stays_bytes() -> None:
    refuse_functions()
    profiler = ValidationProfile_pb2.GEValidationProfiler(
        profiler=ValidationProfile_pb2.GEValidationProfiler.UserDefinedProfiler(body=dill.dumps(Pickled()))
    )
    message = ValidationProfile_pb2.ValidationReference(
        name="r", reference_dataset_name="d", ge_profiler=profiler
    )
    assert ValidationReference.from_proto(message).name == "r"

    assert os.environ["PLANTED"] == ""


def test_what_airflow_itself_pickles_is_still_read() -> None:
    refuse_functions()

    assert dill.loads(dill.dumps({"a": 1})) == {"a": 1}


def test_a_version_of_feast_that_cannot_leave_out_functions_is_not_used(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(
        OnDemandFeatureView, "from_proto", classmethod(lambda cls, on_demand_feature_view_proto: None)
    )
    for _ in range(2):
        with pytest.raises(AttributeError, match="this version of Feast cannot leave out functions"):
            refuse_functions()


def test_it_may_be_called_again_and_undone_by_tests() -> None:
    before = FeatureView.__dict__["_from_proto_internal"], dill.loads
    import_feast_without_functions()
    during = FeatureView.__dict__["_from_proto_internal"], dill.loads
    refuse_functions()

    assert (FeatureView.__dict__["_from_proto_internal"], dill.loads) == during != before
    load_functions_again()
    assert (FeatureView.__dict__["_from_proto_internal"], dill.loads) == before


def test_a_process_that_forks_tasks_refuses_functions(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(preload, "_LIBRARIES", ())

    preload.preload()

    with pytest.raises(FunctionRefusedError):
        udf_rehydrate.resolve_udf(udf_string=_TEXT)


@pytest.mark.parametrize("make", [batch, derived], ids=["batch view", "view over a batch view"])
def test_a_view_that_a_function_computes_while_it_is_loaded_is_refused_by_name(
    make: Callable[[str], Any],
) -> None:
    refuse_functions()
    view = read(make(_TEXT))

    assert is_computed(view)
    with pytest.raises(BadInputError, match=f"^{view.name} is computed by a function while it is loaded"):
        refuse_loading(view)


def test_a_stream_view_without_its_function_is_still_left_to_the_stream_processor() -> None:
    refuse_functions()

    assert why_not_loaded(read(stream(_TEXT))) == "is computed by a stream processor"


def calls(tree: ast.AST) -> Iterator[str]:
    """Yield the calls in a module that make objects or code of data, as they are written."""
    names = {"exec", "eval", "load", "loads", "Unpickler", "marshal", "FunctionType", "CodeType"}
    owners = {"dill", "pickle", "cloudpickle", "joblib", "marshal", "shelve", "types"}
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call):
            continue
        function = node.func
        if isinstance(function, ast.Name) and function.id in ("exec", "eval"):
            yield function.id
        elif (
            isinstance(function, ast.Attribute)
            and isinstance(function.value, ast.Name)
            and function.value.id in owners
            and function.attr in names
        ):
            yield f"{function.value.id}.{function.attr}"


def test_feast_has_no_other_place_that_makes_code_of_data() -> None:
    folder = Path(feast.__file__).parent
    found = set()
    for file in folder.rglob("*.py"):
        text = file.read_text(errors="replace")
        if any(word in text for word in ("exec(", "eval(", ".load(", ".loads(", "pickle")):
            found |= {(str(file.relative_to(folder)), call) for call in calls(ast.parse(text))}

    assert {call for _, call in found} <= {"dill.loads", "exec"}
    # The one place that executes text; all unpickling is by dill, as its name in that module.
    assert {file for file, call in found if call == "exec"} == {"transformation/udf_rehydrate.py"}


def test_a_feature_store_is_opened_by_the_hook_and_by_processes_of_their_own_only() -> None:
    opened, imported = set(), set()
    for file in PLUGINS.rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            name = str(file.relative_to(PLUGINS))
            if isinstance(node, ast.Call) and ast.unparse(node.func).rpartition(".")[2] == "FeatureStore":
                opened.add(name)
            if isinstance(node, ast.Name | ast.alias) and getattr(node, "id", getattr(node, "name", "")) in (
                "import_feast",
                "import_feast_for_definitions",
            ):
                imported.add(name)

    assert opened == {"feast/apply_process.py", "feast/hook.py"}
    assert imported == {
        "feast/apply_process.py",
        "feast/diff/sandbox.py",
        "feast/without_functions.py",
    }
