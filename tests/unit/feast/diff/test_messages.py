"""Names, kinds and content come from the serialized messages, whatever untrusted code claims."""

from __future__ import annotations

import base64
import json
import random
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from feature_ops.feast.applied_definitions import differences, refuse_inconsistent, registry_differences
from feature_ops.feast.diff import loading, sandbox
from feature_ops.feast.diff.answers import read_results
from feature_ops.feast.diff.definitions import Definitions, SerializedObject
from feature_ops.feast.diff.loading import DefinitionsError, Limits
from feature_ops.feast.importing import import_feast

import_feast()

from feast.protos.feast.core import (  # noqa: E402
    DataSource_pb2,
    Entity_pb2,
    FeatureService_pb2,
    FeatureView_pb2,
    OnDemandFeatureView_pb2,
    Project_pb2,
    StreamFeatureView_pb2,
)

from feature_ops.exceptions import BadInputError  # noqa: E402
from feature_ops.feast.diff.function_text import is_one_function  # noqa: E402
from feature_ops.feast.diff.messages import DEFINED, check_messages  # noqa: E402

TEXT = "def twice(inputs):\n    return inputs * 2\n"
Messages = dict[tuple[str, str], Any]


def shop() -> Messages:
    """One honest repository: a message of each kind that is forged below."""
    source = DataSource_pb2.DataSource(
        name="orders_source",
        type=DataSource_pb2.DataSource.BATCH_FILE,
        timestamp_field="at",
        data_source_class_type="feast.infra.offline_stores.file_source.FileSource",
        file_options=DataSource_pb2.DataSource.FileOptions(uri="s3://shop/orders/"),
    )
    view = FeatureView_pb2.FeatureView()
    view.spec.name = "orders"
    view.spec.entities.append("customer")
    view.spec.online = True
    view.spec.features.add(name="amount", value_type=4)
    view.spec.features.add(name="count", value_type=4)
    view.spec.batch_source.CopyFrom(source)
    computed = OnDemandFeatureView_pb2.OnDemandFeatureView()
    computed.spec.name, computed.spec.mode = "ratios", "pandas"
    computed.spec.features.add(name="ratio", value_type=6)
    function = computed.spec.feature_transformation.user_defined_function
    function.name, function.body_text, function.mode = "twice", TEXT, "pandas"
    projection = computed.spec.sources["orders"].feature_view_projection
    projection.feature_view_name = "orders"
    projection.feature_columns.add(name="amount", value_type=4)
    stream = StreamFeatureView_pb2.StreamFeatureView()
    stream.spec.name = "clicks"
    stream.spec.user_defined_function.body_text = TEXT
    stream.spec.feature_transformation.user_defined_function.body_text = TEXT
    service = FeatureService_pb2.FeatureService()
    service.spec.name = "serving_fs"
    read = service.spec.features.add(feature_view_name="orders")
    read.feature_columns.add(name="amount", value_type=4)
    read.batch_source.CopyFrom(source)
    project = Project_pb2.Project()
    project.spec.name = "shop"
    entity = Entity_pb2.Entity()
    entity.spec.name = entity.spec.join_key = "customer"
    entity.spec.value_type = 4
    return {
        ("project", "shop"): project,
        ("data source", "orders_source"): source,
        ("entity", "customer"): entity,
        ("feature view", "orders"): view,
        ("on demand feature view", "ratios"): computed,
        ("stream feature view", "clicks"): stream,
        ("feature service", "serving_fs"): service,
    }


def serialized(messages: Messages) -> list[SerializedObject]:
    return [
        SerializedObject(kind, name, message.SerializeToString(deterministic=True))
        for (kind, name), message in messages.items()
    ]


def reported(items: list[SerializedObject], **claims: Any) -> bytes:
    """Return what a process would write that forges the labels."""
    return json.dumps(
        {
            "project": "shop",
            "protos": [
                {"kind": item.kind, "name": item.name, "message": base64.b64encode(item.message).decode()}
                for item in items
            ],
            "functions": {},
            "incomplete": [],
            "open": [],
            **claims,
        }
    ).encode()


def result(text: bytes, project: str = "shop") -> Definitions | DefinitionsError:
    """Take an answer of the sandbox to where callers get it."""
    judged = json.dumps({"shop": {**sandbox._judged(text, False, 0, project), "output": ""}}).encode()
    return loading._result("shop", read_results(judged, ["shop"])["shop"], Limits())


def test_honest_messages_are_read_as_they_are() -> None:
    found = result(reported(serialized(shop())))
    assert isinstance(found, Definitions), found
    assert found.incomplete == ()
    assert {(item.kind, item.name) for item in found.protos} == set(shop())
    assert {(kind, name) for kind, named in found.objects.items() for name in named} == set(shop())
    refuse_inconsistent(found, "c" * 40)


def _message(
    kind: str, name: str, change: Callable[[Any], Any]
) -> Callable[[Messages], list[SerializedObject]]:
    def forge(messages: Messages) -> list[SerializedObject]:
        change(messages[kind, name])
        return serialized(messages)

    return forge


def _label(kind: str, name: str, /, **labels: str) -> Callable[[Messages], list[SerializedObject]]:
    return lambda messages: [
        replace(item, **labels) if (item.kind, item.name) == (kind, name) else item
        for item in serialized(messages)
    ]


def _more(kind: str, name: str, message: bytes) -> Callable[[Messages], list[SerializedObject]]:
    return lambda messages: [*serialized(messages), SerializedObject(kind, name, message)]


def _renamed(message: Any, name: str) -> bytes:
    message.spec.name = name
    content: bytes = message.SerializeToString(deterministic=True)
    return content


def _unknown_field(messages: Messages) -> list[SerializedObject]:
    items = serialized(messages)
    return [replace(item, message=item.message + b"\xfa\x3e\x01x") for item in items]


def _without(messages: Messages, *keys: tuple[str, str]) -> list[SerializedObject]:
    return serialized({key: message for key, message in messages.items() if key not in keys})


FORGED: dict[str, tuple[Callable[[Messages], list[SerializedObject]], str]] = {
    "another name on the label": (
        _label("feature service", "serving_fs", name="small_fs"),
        "has the name 'serving_fs' inside its message",
    ),
    "another name inside": (
        _message("feature view", "orders", lambda view: setattr(view.spec, "name", "other")),
        "has the name 'other' inside its message",
    ),
    "no name": (_label("entity", "customer", name=""), "has the name 'customer' inside"),
    "no name on both sides": (_more("entity", "", b""), "has the name '' inside"),
    "the message of another kind": (_label("feature view", "orders", kind="entity"), "holds more than"),
    "a service as a view": (
        _label("feature service", "serving_fs", kind="feature view"),
        "is not a message of Feast",
    ),
    "a kind that only registries have": (_more("saved dataset", "x", b"\n\x03\n\x01x"), "is not of a kind"),
    "a kind that does not exist": (_more("feature table", "x", b""), "unknown kinds"),
    "bytes that are no message": (_more("entity", "x", b"\xff\xff\xff"), "is not a message of Feast"),
    "fields that Feast does not know": (_unknown_field, "holds more than a definition"),
    "another encoding of the same": (
        lambda messages: [
            replace(item, message=item.message * 2) if item.kind == "entity" else item
            for item in serialized(messages)
        ],
        "holds more than a definition, or not in Feast's form",
    ),
    "what only a registry knows": (
        _message(
            "feature view", "orders", lambda view: view.meta.materialization_intervals.add().SetInParent()
        ),
        "holds more than a definition",
    ),
    "the state of a view": (
        _message("feature view", "orders", lambda view: setattr(view.meta, "current_version_number", 7)),
        "holds more than a definition",
    ),
    "a serialized function": (
        _message(
            "on demand feature view",
            "ratios",
            lambda view: setattr(view.spec.feature_transformation.user_defined_function, "body", b"pickle"),
        ),
        "holds more than a definition",
    ),
    "a serialized function of a stream": (
        _message(
            "stream feature view",
            "clicks",
            lambda view: setattr(view.spec.user_defined_function, "body", b"pickle"),
        ),
        "holds more than a definition",
    ),
    "a function in a deprecated field": (
        _message(
            "on demand feature view",
            "ratios",
            lambda view: setattr(view.spec.user_defined_function, "body_text", TEXT),
        ),
        "holds a function in a deprecated field",
    ),
    "two functions": (
        _message(
            "stream feature view",
            "clicks",
            lambda view: setattr(view.spec.user_defined_function, "body_text", TEXT.replace("2", "3")),
        ),
        "holds two different functions",
    ),
    "two objects of one name, not alike": (
        lambda messages: [*serialized(messages), *_with_join_key(messages, "other")],
        "is defined twice, and not alike",
    ),
    "two views of one name": (
        lambda messages: [
            *serialized(messages),
            SerializedObject("stream feature view", "ORDERS", _renamed(_stream(messages), "ORDERS")),
        ],
        "share a name",
    ),
    "a feature twice": (
        _message("feature view", "orders", lambda view: view.spec.features.add(name="amount", value_type=5)),
        "lists a name twice in features",
    ),
    "a join key as a feature": (
        _message(
            "feature view", "orders", lambda view: view.spec.entity_columns.add(name="amount", value_type=4)
        ),
        "lists a join key among its features",
    ),
    "a reserved entity": (
        _more("entity", "__dummy", Entity_pb2.Entity(spec={"name": "__dummy"}).SerializeToString()),
        "Feast reserves this name",
    ),
    "a reserved source": (
        _more(
            "data source",
            "__input_schema__x",
            DataSource_pb2.DataSource(name="__input_schema__x").SerializeToString(),
        ),
        "Feast reserves this name",
    ),
    "an object of another project": (
        _message("feature view", "orders", lambda view: setattr(view.spec, "project", "bank")),
        "names the project 'bank'",
    ),
    "a source of another project": (
        _message("data source", "orders_source", lambda source: setattr(source, "project", "bank")),
        "names the project 'bank'",
    ),
    "no project": (
        lambda messages: _without(messages, ("project", "shop")),
        "the project object is not that of shop",
    ),
    "two projects": (
        _more("project", "bank", Project_pb2.Project(spec={"name": "bank"}).SerializeToString()),
        "the project object is not that of shop",
    ),
    "another copy of a source": (
        _message(
            "feature view",
            "orders",
            lambda view: setattr(view.spec.batch_source.file_options, "uri", "s3://elsewhere/"),
        ),
        "holds another source 'orders_source'",
    ),
    "a source that is not defined": (
        lambda messages: _without(messages, ("data source", "orders_source")),
        "reads the source 'orders_source', which is not defined",
    ),
    "a view that is not defined": (
        lambda messages: _without(messages, ("feature view", "orders")),
        "reads the view 'orders', which is not defined",
    ),
    "another type in a service": (
        _message(
            "feature service",
            "serving_fs",
            lambda service: setattr(service.spec.features[0].feature_columns[0], "value_type", 5),
        ),
        "reads orders:amount as another type than the view's",
    ),
    "another type in a view's input": (
        _message(
            "on demand feature view",
            "ratios",
            lambda view: setattr(
                view.spec.sources["orders"].feature_view_projection.feature_columns[0], "value_type", 5
            ),
        ),
        "reads orders:amount as another type than the view's",
    ),
    "another source in a service": (
        _message(
            "feature service",
            "serving_fs",
            lambda service: setattr(service.spec.features[0].batch_source, "timestamp_field", "other"),
        ),
        "reads orders from another source",
    ),
    "another timestamp in a service": (
        _message(
            "feature service",
            "serving_fs",
            lambda service: setattr(service.spec.features[0], "timestamp_field", "amount"),
        ),
        "reads orders by another timestamp",
    ),
    "a copy of a view in a view": (
        _message(
            "on demand feature view",
            "ratios",
            lambda view: setattr(view.spec.sources["copy"].feature_view.spec, "name", "orders"),
        ),
        "holds a copy of a whole view",
    ),
}


def _stream(messages: Messages) -> Any:
    return type(messages["stream feature view", "clicks"])()


def _with_join_key(messages: Messages, key: str) -> list[SerializedObject]:
    entity = Entity_pb2.Entity(spec={"name": "customer", "join_key": key})
    return [SerializedObject("entity", "customer", entity.SerializeToString(deterministic=True))]


@pytest.mark.parametrize("forgery", FORGED)
def test_a_forged_message_is_refused_with_its_reason(forgery: str) -> None:
    forge, words = FORGED[forgery]
    found = result(reported(forge(shop())))
    assert isinstance(found, DefinitionsError)
    assert words in str(found)


@pytest.mark.parametrize("forgery", [name for name in FORGED if "kind that does not" not in name])
def test_the_process_that_applies_refuses_it_as_well(forgery: str) -> None:
    honest = result(reported(serialized(shop())))
    assert isinstance(honest, Definitions)
    forged = replace(honest, protos=tuple(FORGED[forgery][0](shop())))
    with pytest.raises(BadInputError, match="is not applied"):
        refuse_inconsistent(forged, "c" * 40)


def test_what_is_applied_is_compared_with_what_was_classified() -> None:
    honest = result(reported(serialized(shop())))
    assert isinstance(honest, Definitions)
    messages = shop()
    del messages["feature view", "orders"].spec.features[1]
    with pytest.raises(BadInputError, match=r"feature view orders: features\.count differs"):
        refuse_inconsistent(replace(honest, protos=tuple(serialized(messages))), "c" * 40)


def test_the_project_of_the_configuration_counts() -> None:
    found = result(reported(serialized(shop())), project="bank")
    assert "names the project 'shop', not 'bank'" in str(found)


def test_the_text_of_a_function_is_the_messages_own() -> None:
    honest = result(reported(serialized(shop())))
    messages = shop()
    changed = TEXT.replace("2", "3")
    messages[
        "on demand feature view", "ratios"
    ].spec.feature_transformation.user_defined_function.body_text = changed
    lie = {"ratios": {"source": "def function(name_0):\n    return name_0 * 2", "uses": {}}}
    forged = result(reported(serialized(messages), functions=lie))
    assert isinstance(honest, Definitions)
    assert isinstance(forged, Definitions)
    assert list(differences(honest.objects, forged.objects)) == [
        "on demand feature view ratios: feature_transformation.user_defined_function.source differs"
    ]


@pytest.mark.parametrize(
    "reports", [{}, {"uses": 1}, {"uses": "x"}, {"uses": None}, {"uses": []}, {"more": 1}]
)
def test_malformed_reports_about_functions_are_left_out(reports: dict[str, Any]) -> None:
    found = result(reported(serialized(shop()), functions={"ratios": reports}))
    assert isinstance(found, Definitions)
    assert found.objects == result(reported(serialized(shop()))).objects  # type: ignore[union-attr]


HIDDEN = {
    "a second statement": f"{TEXT}twice = lambda inputs: inputs * 9\n",
    "a second function": f"{TEXT}\ndef twice(inputs):\n    return 9\n",
    "a decorator that Feast executes": f"# a comment\n@np.vectorize\n{TEXT}",
    "a statement before": f"import os\n{TEXT}",
    "a lambda": "twice = lambda inputs: inputs * 9",
    "no function": "pass",
    "no Python": "def twice(:",
    "nothing": "",
}


@pytest.mark.parametrize("text", HIDDEN.values(), ids=HIDDEN)
def test_a_function_that_is_more_than_its_text_is_not_applied(text: str) -> None:
    messages = shop()
    messages[
        "on demand feature view", "ratios"
    ].spec.feature_transformation.user_defined_function.body_text = text
    found = result(reported(serialized(messages)))
    assert isinstance(found, Definitions)
    assert "cannot be made of its text" in found.incomplete[0]
    with pytest.raises(BadInputError, match="cannot be made of its text"):
        refuse_inconsistent(replace(found, incomplete=()), "c" * 40)


@pytest.mark.parametrize("prefix", ["", "@view(schema=[1, (2)], udf=lambda x: x)\n", "@a.b\n@c('''\n)''')\n"])
@pytest.mark.parametrize("indent", ["", "    "])
def test_one_function_with_decorators_is_made_of_its_text(prefix: str, indent: str) -> None:
    lines = f"{prefix}{TEXT}".splitlines(keepends=True)
    assert is_one_function("".join(f"{indent}{line}" for line in lines))


def test_no_mutation_of_a_message_is_classified_as_something_else() -> None:
    """Whatever is accepted says by its label what it says by its message."""
    draw = random.Random(20261130)
    items = serialized(shop())
    accepted = 0
    for _ in range(1500):
        victim = draw.randrange(len(items))
        content = bytearray(items[victim].message)
        for _ in range(draw.randrange(1, 4)):
            content[draw.randrange(len(content))] = draw.randrange(256)
        kind = draw.choice([items[victim].kind, draw.choice(DEFINED)])
        changed = [*items]
        changed[victim] = SerializedObject(kind, items[victim].name, bytes(content))
        try:
            check_messages("shop", changed)
        except ValueError:
            continue
        accepted += 1
        found = result(reported(changed))
        if isinstance(found, Definitions) and not found.incomplete:
            refuse_inconsistent(found, "c" * 40)
    assert accepted


def test_a_registry_is_compared_object_by_object() -> None:
    wanted = result(reported(serialized(shop())))
    assert isinstance(wanted, Definitions)
    objects = {kind: dict(named) for kind, named in wanted.objects.items()}
    assert registry_differences(wanted, wanted) == []
    missing = replace(wanted, objects={**objects, "entity": {}})
    assert registry_differences(wanted, missing) == ["entity customer is missing"]
    more = replace(wanted, objects={**objects, "entity": {**objects["entity"], "x": {"join_key": "x"}}})
    assert registry_differences(wanted, more) == ["entity x was not classified"]
    other = replace(wanted, objects={**objects, "entity": {"customer": {"join_key": "x"}}})
    assert registry_differences(wanted, other)[0].startswith("entity customer: join_key")
