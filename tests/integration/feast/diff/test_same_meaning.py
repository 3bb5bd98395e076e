"""However the same objects are written down, their definitions are the same."""

from __future__ import annotations

import importlib.util
import itertools
import re
from pathlib import Path
from typing import Any

import pytest

from feature_ops.feast.diff.compare import compare
from feature_ops.feast.diff.definitions import Definitions, service_hash
from feature_ops.feast.diff.render import as_markdown, as_text
from feature_ops.feast.diff.verdict import Verdict

_SPEC = importlib.util.spec_from_file_location("shop", Path(__file__).with_name("shop.py"))
assert _SPEC is not None
assert _SPEC.loader is not None
shop = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(shop)


@pytest.fixture(scope="module")
def before(parse: Any) -> Definitions:
    return parse(shop.SHOP)[1]


def _assert_same(before: Definitions, after: Definitions) -> None:
    diff = compare(before, after)
    assert diff.verdict is Verdict.NONE, diff.summary()
    assert dict(diff.services) == {"checkout": Verdict.NONE, "reporting": Verdict.NONE}
    for service in ("checkout", "reporting"):
        assert service_hash(before, service) == service_hash(after, service)


def test_python_variables_are_renamed(parse: Any, before: Definitions) -> None:
    code = shop.SHOP
    for name in ("customer", "orders_source", "clicks_batch", "clicks_stream", "basket", "orders", "readers"):
        # The variable, and neither a string nor a longer name nor a keyword argument.
        code = re.sub(rf'(?<!["\w./]){name}(?!["\w=(]| *:)', f"the_{name}", code)
    assert code.count("the_") > 12
    _assert_same(before, parse(code)[1])


def test_objects_are_defined_in_another_order(parse: Any, before: Definitions) -> None:
    service = re.search(r"checkout = .*?\n\)\n", shop.SHOP, re.DOTALL)
    assert service is not None
    _assert_same(before, parse(shop.SHOP.replace(service[0], "") + service[0])[1])


def test_a_file_is_moved(parse: Any, before: Definitions) -> None:
    _assert_same(before, parse(shop.SHOP, "deeper/still/")[1])


def test_the_code_is_formatted_and_commented(parse: Any, before: Definitions) -> None:
    flat = re.sub(r",\n +", ", ", shop.SHOP).replace('"', "'").replace("=", "=")
    _assert_same(before, parse(f"# A shop.\n{flat}")[1])


@pytest.mark.parametrize("order", itertools.permutations(range(4)))
def test_a_schema_is_shuffled(order: tuple[int, ...], parse: Any, before: Definitions) -> None:
    found = re.search(r"(?<=ttl=timedelta\(days=2\),\n    schema=\[\n)(?: {8}Field.*\n){4}", shop.SHOP)
    assert found is not None
    lines = found[0].splitlines(keepends=True)
    shuffled = "".join(lines[index] for index in order)
    _assert_same(before, parse(shop.SHOP.replace(found[0], shuffled))[1])


def test_definitions_survive_json_and_their_protos_make_equal_objects(parse: Any) -> None:
    contents, definitions = parse(shop.SHOP)
    assert Definitions.from_json(definitions.to_json()) == definitions
    objects = {(item.kind, item.name): _from_proto(item.kind, item.message) for item in definitions.protos}
    for found in (
        *contents.entities[:-1],
        *contents.feature_views,
        *contents.stream_feature_views,
        *contents.on_demand_feature_views,
        *contents.label_views,
        *contents.feature_services,
        *contents.permissions,
        # Projects are equal only if they were made at the same microsecond.
        *contents.data_sources,
    ):
        same = [item for (_, name), item in objects.items() if name == found.name and item == found]
        assert same, found.name


def _from_proto(kind: str, message: bytes) -> Any:
    import feast
    from feast.data_source import DataSource
    from feast.labeling.label_view import LabelView
    from feast.permissions.permission import Permission
    from feast.project import Project

    from feature_ops.feast.diff.messages import message_class

    classes = {
        "project": Project,
        "data source": DataSource,
        "entity": feast.Entity,
        "feature view": feast.FeatureView,
        "on demand feature view": feast.OnDemandFeatureView,
        "stream feature view": feast.StreamFeatureView,
        "label view": LabelView,
        "feature service": feast.FeatureService,
        "permission": Permission,
    }
    return classes[kind].from_proto(message_class(kind).FromString(message))


def test_what_was_applied_is_read_back_from_the_registry_as_it_was_defined(
    parse: Any, tmp_path: Path, before: Definitions
) -> None:
    from feast import FeatureStore, RepoConfig

    from feature_ops.feast.diff.describe import describe_registry

    store = FeatureStore(
        config=RepoConfig(
            project="shop",
            registry=str(tmp_path / "registry.db"),
            provider="local",
            online_store={"type": "sqlite", "path": str(tmp_path / "online.db")},
            entity_key_serialization_version=3,
        )
    )
    contents = parse(shop.SHOP)[0]
    store._apply_diffs(*store.plan(contents))
    applied = describe_registry(store.registry, "shop")
    diff = compare(applied, before)
    assert diff.verdict is Verdict.NONE, diff.summary()
    assert compare(applied, parse(shop.edited("(count or 1)", "(count or 2)"))[1]).verdict is Verdict.BREAKING


def test_an_undeclared_schema_can_be_compared_but_is_incomplete(parse: Any) -> None:
    code = """
from feast import Entity, FeatureService, FeatureView, FileSource, ValueType
e = Entity(name="e", value_type=ValueType.STRING)
view = FeatureView(name="view", entities=[e], source=FileSource(name="s", path="s3://b/"))
service = FeatureService(name="service", features=[view[["a", "b"]], "view:c"])
from feast import Project
p = Project(name="p")
"""
    before = parse(code.replace(', "view:c"', ""))[1]
    after = parse(code.replace('[["a", "b"]], "view:c"', '[["a"]]'))[1]
    assert compare(before, after).summary("service") == "breaking: − view:b"
    assert before.incomplete == (
        "feature service service asks for view:a of undeclared type",
        "feature service service asks for view:b of undeclared type",
        "feature view view declares no schema",
        "feature view view: its source s names no timestamp_field",
    )


@pytest.mark.parametrize(
    ("entity", "schema", "is_told"),
    [
        ("", "", True),
        (", value_type=ValueType.INT64", "", False),
        ("", 'Field(name="driver", dtype=Int64), ', False),
    ],
)
def test_a_join_key_whose_type_only_data_could_tell_is_incomplete(
    parse: Any, entity: str, schema: str, is_told: bool
) -> None:
    found = parse(
        f"""
from feast import Entity, FeatureView, Field, FileSource, Project, ValueType
from feast.types import Int64
p = Project(name="p")
e = Entity(name="e", join_keys=["driver"]{entity})
source = FileSource(name="s", path="s3://b/", timestamp_field="at")
view = FeatureView(name="view", entities=[e], schema=[{schema}Field(name="a", dtype=Int64)], source=source)
"""
    )[1].incomplete
    told = (
        "feature view view: nothing says of what type its join key driver is: give the entity e a "
        "value_type, such as ValueType.INT64, or the view a field"
    )
    assert found == ((told,) if is_told else ())


def test_a_function_that_feast_loses_on_its_way_through_a_registry_is_told(parse: Any) -> None:
    lost = parse(shop.SHOP)[1]
    assert lost.incomplete == (
        "on demand feature view ratios: its function fails once it is read back from a registry "
        "(NameError: name 'gross' is not defined): import and define within the function what it uses",
    )
    whole = parse(shop.edited("[gross(value) for value", "[value * 1.19 for value"))[1]
    assert whole.incomplete == ()
    told = compare(whole, lost)
    assert "The new definitions can't be applied as they are:" in as_text(told)
    assert "(NameError: name 'gross' is not defined)" in as_markdown(told)
    assert compare(lost, whole).obstacles == ()


def test_string_references_are_read_as_what_they_stand_for(parse: Any) -> None:
    written = shop.edited("features=[orders], tags", 'features=["orders:city", "clicks"], tags')
    services = parse(written)[1].of_kind("feature service")
    assert services["reporting"]["features"] == {
        "clicks": {"view": "clicks", "features": ["clicks"]},
        "orders": {"view": "orders", "features": ["city"]},
    }


@pytest.mark.parametrize(
    ("rate", "problem"),
    [
        ("2", ""),
        ("VAT", "its function uses VAT of its module, which a registry does not keep"),
    ],
)
def test_the_function_of_a_stream_view_is_made_of_its_text(parse: Any, rate: str, problem: str) -> None:
    from feature_ops.feast.apply_process import _made

    text = f"def double(rows):\n    return rows * {rate}\n"
    code = shop.edited(
        "clicks = StreamFeatureView(\n", f"{text}\nclicks = StreamFeatureView(\n    udf=double,\n"
    )
    code = shop.edited("    udf=double,\n", f"    udf=double,\n    udf_string={text!r},\n", code)
    code = shop.edited('mode="spark"', 'mode="python"', code)
    found = parse(code)[1]
    assert any(problem in line for line in found.incomplete if line.startswith("stream")) == bool(problem)
    (item,) = [item for item in found.protos if item.name == "clicks"]
    assert b"dill" not in item.message
    made = _made(item)
    assert made.udf_string == text
    if not problem:
        assert made.udf(3) == 6
