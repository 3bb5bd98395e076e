"""The comparison itself, on plain data: no Feast is needed."""

from __future__ import annotations

import copy
import json
import re
from typing import Any

import pytest

from feature_ops.feast.diff.compare import compare
from feature_ops.feast.diff.definitions import Definitions, SerializedObject, service_hash
from feature_ops.feast.diff.render import as_json, as_markdown, as_text
from feature_ops.feast.diff.verdict import Verdict

OBJECTS: dict[str, Any] = {
    "project": {"shop": {}},
    "entity": {"customer": {"value_type": "INT64", "join_key": "customer_id"}},
    "data source": {"orders_source": {"type": "BATCH_FILE", "file_options": {"uri": "s3://a/"}}},
    "feature view": {
        "orders": {
            "entities": ["customer"],
            "join_keys": {"customer_id": "Int64"},
            "features": {"count": {"type": "Int64"}, "amount": {"type": "Float32"}},
            "batch_source": {
                "name": "orders_source",
                "type": "BATCH_FILE",
                "file_options": {"uri": "s3://a/"},
            },
            "online": True,
        },
        "weekly": {
            "entities": ["customer"],
            "join_keys": {"customer_id": "Int64"},
            "features": {"sum": {"type": "Float32"}},
            "source_views": {
                "orders": {"features": {"count": {"type": "Int64"}, "amount": {"type": "Float32"}}}
            },
            "batch_source": {"name": "sink", "type": "BATCH_FILE"},
        },
    },
    "feature service": {
        "checkout": {"features": {"orders": {"view": "orders", "features": ["count"]}}},
        "planning": {"features": {"weekly": {"view": "weekly", "features": ["sum"]}}},
    },
}


def definitions(project: str = "shop", **changes: Any) -> Definitions:
    """The shop; ``changes`` are made by a path with ``__`` between its parts."""
    objects = copy.deepcopy(OBJECTS)
    for path, value in changes.items():
        *way, last = re.sub("_(view|service)__", r" \1__", path).split("__")
        place = objects
        for part in way:
            place = place.setdefault("data source" if part == "source" else part, {})
        if value is None:
            del place[last]
        else:
            place[last] = value
    return Definitions(project, objects)


def test_equal_definitions_have_no_changes() -> None:
    diff = compare(definitions(), definitions())
    assert diff.changes == ()
    assert diff.verdict is Verdict.NONE
    assert dict(diff.services) == {"checkout": Verdict.NONE, "planning": Verdict.NONE}
    assert diff.summary() == "none: the definitions mean the same"


def test_a_feature_that_leaves_a_service_is_told_with_and_without_the_service() -> None:
    both = definitions(
        feature_service__checkout={
            "features": {"orders": {"view": "orders", "features": ["amount", "count"]}}
        }
    )
    diff = compare(both, definitions())
    assert diff.summary() == "breaking: checkout: − orders:amount"
    assert diff.summary("checkout") == "breaking: − orders:amount"
    assert dict(diff.services) == {"checkout": Verdict.BREAKING, "planning": Verdict.NONE}
    assert diff.of_service("nobody") is Verdict.NONE
    assert diff.of_objects() == {("feature service", "checkout"): Verdict.BREAKING}


def test_a_service_is_touched_by_what_it_reads_through_views_of_views() -> None:
    diff = compare(definitions(), definitions(feature_view__orders__features__amount={"type": "Float64"}))
    assert [change.sentence for change in diff.changes] == [
        "orders: type of amount changed Float32 → Float64"
    ]
    # checkout reads count only; weekly is made of all of orders.
    assert dict(diff.services) == {"checkout": Verdict.NONE, "planning": Verdict.BREAKING}


def test_an_entity_and_a_source_reach_every_service_that_reads_through_them() -> None:
    entity = {"value_type": "INT64", "join_key": "buyer_id"}
    assert set(dict(compare(definitions(), definitions(entity__customer=entity)).services).values()) == {
        Verdict.BREAKING
    }
    moved = {"type": "BATCH_FILE", "file_options": {"uri": "s3://b/"}}
    view = {**OBJECTS["feature view"]["orders"], "batch_source": {"name": "orders_source", **moved}}
    diff = compare(definitions(), definitions(source__orders_source=moved, feature_view__orders=view))
    assert [change.sentence for change in diff.changes] == [
        "source orders_source: uri changed s3://a/ → s3://b/"
    ]
    assert dict(diff.services) == {"checkout": Verdict.BREAKING, "planning": Verdict.BREAKING}


def test_what_is_removed_is_told_with_its_readers() -> None:
    diff = compare(definitions(), definitions(source__orders_source=None))
    assert diff.summary() == "breaking: source orders_source: removed, checkout, planning read it"


def test_a_view_that_becomes_another_kind_of_view_is_told_once() -> None:
    view = OBJECTS["feature view"]["orders"]
    after = definitions(feature_view__orders=None, **{"stream feature view__orders": view})
    diff = compare(definitions(), after)
    assert [change.sentence for change in diff.changes] == [
        "orders: is a stream feature view now, no longer a feature view"
    ]
    assert diff.of_service("checkout") is Verdict.BREAKING


def test_another_project_breaks_everything() -> None:
    diff = compare(definitions(), definitions("store", project__shop=None, project__store={}))
    assert [change.object for change in diff.changes] == ["store"]
    assert set(dict(diff.services).values()) == {Verdict.BREAKING}


def test_a_tag_by_which_a_permission_finds_objects_is_no_mere_tag() -> None:
    permission = {"required_tags": {"team": "shop"}, "types": ["FEATURE_VIEW"]}
    sides = [
        definitions(permission__readers=permission, feature_view__orders__tags={"team": team, "other": team})
        for team in ("shop", "web")
    ]
    assert [change.sentence for change in compare(*sides).changes] == [
        "orders: its tag team changed, by which permission readers finds objects",
        "orders: tags changed (other, team)",
    ]


def test_the_most_important_change_is_told_first() -> None:
    after = definitions(
        entity__branch={"join_key": "branch"}, feature_view__orders__online=None, project__shop={"owner": "a"}
    )
    verdicts = [change.verdict for change in compare(definitions(), after).changes]
    assert verdicts == [Verdict.BREAKING, Verdict.ADDITIVE, Verdict.METADATA]


@pytest.mark.parametrize(
    ("change", "same"),
    [
        ({"feature_view__orders__tags": {"a": "b"}}, True),
        ({"feature_view__orders__features__amount": {"type": "Float64"}}, True),
        ({"feature_view__orders__features__count": {"type": "Int64", "description": "how many"}}, True),
        ({"entity__other": {"join_key": "x"}}, True),
        ({"feature_view__orders__online": None}, True),
        ({"feature_view__orders__features__count": {"type": "Int32"}}, False),
        ({"feature_view__orders__ttl": 60}, False),
        ({"entity__customer": {"value_type": "INT64", "join_key": "id"}}, False),
        ({"source__orders_source": {"type": "BATCH_FILE", "file_options": {"uri": "s3://b/"}}}, False),
    ],
)
def test_a_services_hash_is_over_what_it_reads(change: dict[str, Any], same: bool) -> None:
    before, after = (service_hash(side, "checkout") for side in (definitions(), definitions(**change)))
    assert (before == after) is same


def test_the_hash_of_a_service_that_is_not_there() -> None:
    with pytest.raises(KeyError):
        service_hash(definitions(), "nobody")


def test_definitions_survive_json() -> None:
    whole = Definitions("shop", OBJECTS, (SerializedObject("entity", "e", b"\x00\xff"),), ("it is open",))
    assert Definitions.from_json(json.loads(json.dumps(whole.to_json()))) == whole


@pytest.mark.parametrize(
    "answer",
    [
        {},
        {"project": "p", "objects": {"unheard of": {}}, "protos": [], "incomplete": []},
        {
            "project": "p",
            "objects": {},
            "protos": [{"kind": "x", "name": "y", "message": ""}],
            "incomplete": [],
        },
        {"project": "p", "objects": {}, "protos": [{"kind": "entity", "name": "y", "message": "!"}]},
    ],
)
def test_what_is_no_definitions_is_refused(answer: dict[str, Any]) -> None:
    with pytest.raises((KeyError, ValueError)):
        Definitions.from_json(answer)


def test_a_diff_as_json_has_the_promised_form() -> None:
    diff = compare(definitions(), definitions(feature_view__orders__ttl=60))
    assert json.loads(as_json(diff)) == {
        "verdict": "breaking",
        "changes": [
            {
                "object": "orders",
                "verdict": "breaking",
                "sentence": "orders: ttl shortened forever → 0:01:00",
            }
        ],
        "services": {"checkout": "breaking", "planning": "breaking"},
        "obstacles": [],
    }


def test_text_and_markdown_say_verdict_changes_and_services() -> None:
    diff = compare(definitions(), definitions(feature_view__orders__ttl=60))
    for told in (as_text(diff), as_markdown(diff)):
        assert "breaking" in told
        assert "ttl shortened" in told
        assert "planning" in told
    assert as_text(compare(definitions(), definitions())) == "none: The definitions mean the same."


def test_nothing_that_an_author_wrote_becomes_markup_of_the_comment() -> None:
    name = "a|b\n<img src=x> [x](http://y) @all"
    diff = compare(definitions(), _with_entity(name))
    row = next(line for line in as_markdown(diff).splitlines() if "additive |" in line)
    assert row.replace("\\|", "").count("|") == 3
    assert "<img" not in row
    assert "[x](" not in row
    assert "\\@all" in row


def test_nothing_that_an_author_wrote_becomes_a_line_of_the_log_or_shows_a_password() -> None:
    diff = compare(definitions(), _with_entity("a\nINFO \x1b[31m postgresql://me:word@host/"))
    assert diff.changes[0].sentence == "entity a INFO [31m postgresql://***@host/: added"
    assert diff.summary().isprintable()
    assert len(as_text(diff).splitlines()) == 5


def _with_entity(name: str) -> Definitions:
    objects = copy.deepcopy(OBJECTS)
    objects["entity"][name] = {"join_key": "x"}
    return Definitions("shop", objects)
