"""Pairs of repositories, what they differ in, and what Feast's own plan says of it."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from feature_ops.feast.diff.compare import compare
from feature_ops.feast.diff.definitions import Definitions, service_hash
from feature_ops.feast.diff.verdict import Verdict

_SPEC = importlib.util.spec_from_file_location("shop", Path(__file__).with_name("shop.py"))
assert _SPEC is not None
assert _SPEC.loader is not None
shop = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(shop)

NONE, METADATA, ADDITIVE, BREAKING = Verdict
CREATED, DELETED, UPDATED = "create", "delete", "update"
Plan = dict[str, str]


class Pair(NamedTuple):
    """
    A piece of the shop's code before and after, and what the change means.

    services: what it means to readers of the services that are not named in the sentences' objects;
    plan: what Feast's own plan says, object by object, where that differs from our list of changes.
    """

    name: str
    before: str
    after: str
    verdict: Verdict
    sentences: tuple[str, ...] = ()
    services: dict[str, Verdict] = {}  # noqa: RUF012
    plan: Plan | None = None


def _with_copies(*objects: str, readers: tuple[str, ...] = ("ratios", "checkout", "reporting")) -> Plan:
    """
    Feast keeps copies of a view's fields and of its source in what reads the view, and plan lists each.

    We say a change once, where it was made, and what it means to each service.
    """
    return dict.fromkeys([*objects, *readers], UPDATED)


_COUNT = 'Field(name="count", dtype=Int64)'
_AMOUNT = 'Field(name="amount", dtype=Float64, description="in euros")'

PAIRS = [
    # --- what means nothing
    Pair("a comment", "VAT = 1.19", "VAT = 1.19  # percent", NONE),
    Pair("the same value written another way", "timedelta(days=2)", "timedelta(hours=48)", NONE),
    Pair("a computed string", '"s3://shop/orders/"', '"s3://" + "shop" + "/orders/"', NONE),
    Pair(
        "order of features in a service",
        'orders[["count", "amount"]], ratios]',
        'ratios, orders[["amount", "count"]]]',
        NONE,
        # Plan compares lists. Feast's readers are given features by name.
        plan={"checkout": UPDATED},
    ),
    Pair(
        "order of a schema",
        f"{_COUNT},\n        {_AMOUNT},\n",
        f"{_AMOUNT},\n        {_COUNT},\n",
        NONE,
        # The service takes the view's order over; see above.
        plan={"orders": UPDATED, "reporting": UPDATED},
    ),
    Pair("order of tags", '{"team": "shop"}', 'dict(reversed(list({"team": "shop"}.items())))', NONE),
    Pair(
        "a default is written out",
        "    source=orders_source,\n",
        "    source=orders_source,\n    online=True,\n    offline=False,\n    version='latest',\n",
        NONE,
    ),
    Pair(
        "the join key's column is left to the entity",
        '        Field(name="customer_id", dtype=Int64),\n        Field(name="count"',
        '        Field(name="count"',
        NONE,
    ),
    Pair(
        "ttl None is ttl 0",
        "    source=labels_source,\n",
        "    source=labels_source,\n    ttl=None,\n",
        NONE,
        # The registry reads "no ttl" back as zero, and zero means forever.
        plan={"labels": UPDATED},
    ),
    Pair(
        "a comment and a docstring in a function",
        "def ratios(inputs):\n",
        'def ratios(inputs):\n    """Tell ratios."""\n    # as ratios\n',
        NONE,
        # Plan compares the function's text.
        plan={"ratios": UPDATED},
    ),
    Pair(
        "a function's own names",
        "amount / (count or 1) for amount, count in zip",
        "a / (c or 1) for a, c in zip",
        NONE,
        plan={"ratios": UPDATED},
    ),
    Pair("a module that no object is made from", "VAT = 1.19\n", "VAT = 1.19\nUNUSED = 3\n", NONE),
    # --- tags, descriptions, owners
    Pair(
        "a view's tags",
        '{"team": "shop"}',
        '{"team": "web", "tier": "1"}',
        METADATA,
        ("orders: tags changed (+ tier, team)",),
        {"reporting": METADATA, "checkout": METADATA},
    ),
    Pair(
        "a view's owner",
        '    tags={"team": "shop"},\n    owner="ann",',
        '    tags={"team": "shop"},\n    owner="bob",',
        METADATA,
        ("orders: owner changed",),
    ),
    Pair(
        "a view's description",
        "source=orders_source,",
        'source=orders_source, description="Orders",',
        METADATA,
        ("orders: description changed",),
    ),
    Pair(
        "a feature's description",
        '"in euros"',
        '"in EUR"',
        METADATA,
        ("orders: description of amount changed",),
        {"reporting": METADATA, "checkout": METADATA},
        _with_copies("orders"),
    ),
    Pair(
        "a feature's tags",
        'Field(name="city", dtype=String)',
        'Field(name="city", dtype=String, tags={"pii": "no"})',
        METADATA,
        ("orders: tags of city changed (+ pii)",),
        {"reporting": METADATA, "checkout": NONE},
        _with_copies("orders", readers=("reporting",)),
    ),
    Pair(
        "a source's description",
        '"All orders"',
        '"Orders"',
        METADATA,
        ("source orders_source: description changed",),
        {"reporting": METADATA},
        _with_copies("orders_source", "orders"),
    ),
    Pair("an entity's owner", 'owner="ann")', 'owner="bob")', METADATA, ("entity customer: owner changed",)),
    Pair(
        "a service's tags",
        '{"tier": "2"}',
        '{"tier": "1"}',
        METADATA,
        ("reporting: tags changed (tier)",),
        {"checkout": NONE},
    ),
    Pair(
        "the project's description",
        '"A shop"',
        '"The shop"',
        METADATA,
        ("project shop: description changed",),
    ),
    Pair(
        "metrics of an on-demand view",
        'mode="python",\n)',
        'mode="python",\n    track_metrics=True,\n)',
        METADATA,
        ("ratios: track metrics changed",),
    ),
    # --- what is added
    Pair(
        "a feature in a view",
        '        Field(name="city", dtype=String),\n',
        '        Field(name="city", dtype=String),\n        Field(name="popularity", dtype=Float32),\n',
        ADDITIVE,
        ("orders: + feature popularity (Float32)", "reporting: + orders:popularity"),
        {"checkout": NONE},
    ),
    Pair(
        "a feature in a service",
        '[["count", "amount"]], ratios],',
        '[["count", "amount", "city"]], ratios],',
        ADDITIVE,
        ("checkout: + orders:city",),
        {"reporting": NONE},
    ),
    Pair(
        "a view in a service",
        "features=[orders], tags",
        "features=[orders, clicks], tags",
        ADDITIVE,
        ("reporting: + clicks:clicks",),
    ),
    Pair(
        "a service",
        "readers = Permission(",
        'everything = FeatureService(name="everything", features=[clicks])\nreaders = Permission(',
        ADDITIVE,
        ("everything: added",),
        {"everything": ADDITIVE, "checkout": NONE},
    ),
    Pair(
        "an entity",
        "VAT = 1.19\n",
        'VAT = 1.19\nbranch = Entity(name="branch", value_type=ValueType.INT32)\n',
        ADDITIVE,
        ("entity branch: added",),
    ),
    Pair(
        "a longer ttl",
        "timedelta(days=2)",
        "timedelta(days=3)",
        ADDITIVE,
        ("orders: ttl lengthened 2 days, 0:00:00 → 3 days, 0:00:00",),
        {"reporting": ADDITIVE},
    ),
    Pair(
        "no end of the ttl",
        "timedelta(days=2)",
        "timedelta(0)",
        ADDITIVE,
        ("orders: ttl lengthened 2 days, 0:00:00 → forever",),
    ),
    Pair(
        "checks of values",
        "    source=orders_source,\n",
        "    source=orders_source,\n    enable_validation=True,\n",
        ADDITIVE,
        ("orders: values are checked when loaded",),
    ),
    Pair(
        "rows written offline",
        "    source=orders_source,\n",
        "    source=orders_source,\n    offline=True,\n",
        ADDITIVE,
        ("orders: loaded rows are written to its source, too",),
    ),
    Pair(
        "another place for a service's log",
        '"s3://shop/logs/"',
        '"s3://shop/log/"',
        ADDITIVE,
        ("checkout: logging config file destination path changed s3://shop/logs/ → s3://shop/log/",),
        # Equality of services leaves the log out.
        plan={},
    ),
    Pair(
        "one role more",
        'roles=["reader"]',
        'roles=["reader", "writer"]',
        ADDITIVE,
        ("permission readers: roles of the policy changed (+ writer)",),
    ),
    Pair(
        "one action more",
        "[AuthzedAction.READ_ONLINE]",
        "[AuthzedAction.READ_ONLINE, AuthzedAction.READ_OFFLINE]",
        ADDITIVE,
        ("permission readers: actions changed (+ READ_OFFLINE)",),
    ),
    # --- what takes something away
    Pair(
        "a feature leaves a service",
        'features=[orders[["count", "amount"]], ratios],',
        'features=[orders[["amount"]], ratios],',
        BREAKING,
        ("checkout: − orders:count",),
        {"checkout": BREAKING, "reporting": NONE},
    ),
    Pair(
        "a feature leaves a view",
        '        Field(name="city", dtype=String),\n',
        "",
        BREAKING,
        ("orders: − feature city (String)", "reporting: − orders:city"),
        {"reporting": BREAKING, "checkout": NONE},
    ),
    Pair(
        "a feature is renamed",
        'Field(name="city"',
        'Field(name="town"',
        BREAKING,
        ("orders: + feature town (String)", "orders: − feature city (String)"),
        {"checkout": NONE},
    ),
    Pair(
        "a feature's type",
        'Field(name="count", dtype=Int64)',
        'Field(name="count", dtype=Int32)',
        BREAKING,
        ("orders: type of count changed Int64 → Int32",),
        {"reporting": BREAKING, "checkout": BREAKING},
        plan=_with_copies("orders"),
    ),
    Pair(
        "a feature becomes a list",
        'Field(name="city", dtype=String)',
        'Field(name="city", dtype=Array(String))',
        BREAKING,
        ("orders: type of city changed String → Array(String)",),
        {"checkout": NONE},
        plan=_with_copies("orders", readers=("reporting",)),
    ),
    Pair(
        "a join key",
        'join_keys=["store_id"]',
        'join_keys=["shop_id"]',
        BREAKING,
        ("entity store: join key changed store_id → shop_id",),
        {"checkout": NONE},
    ),
    Pair(
        "an entity of a view",
        "    entities=[customer],\n    ttl=timedelta(days=2),",
        "    entities=[customer, store],\n    ttl=timedelta(days=2),",
        BREAKING,
        ("orders: + entity store", "orders: + join key store_id (String)"),
        {"checkout": BREAKING, "reporting": BREAKING},
    ),
    Pair(
        "an entity is removed",
        'store = Entity(name="store", join_keys=["store_id"], value_type=ValueType.STRING)\n',
        "",
        BREAKING,
        ("entity store: removed",),
        {"checkout": NONE},
    ),
    Pair(
        "a source's path",
        '"s3://shop/orders/"',
        '"s3://shop/orders_2/"',
        BREAKING,
        ("source orders_source: uri changed s3://shop/orders/ → s3://shop/orders_2/",),
        {"checkout": BREAKING, "reporting": BREAKING},
        _with_copies("orders_source", "orders"),
    ),
    Pair(
        "a source's time",
        '    path="s3://shop/orders/",\n    timestamp_field="event_timestamp",',
        '    path="s3://shop/orders/",\n    timestamp_field="ordered_at",',
        BREAKING,
        ("source orders_source: timestamp field changed event_timestamp → ordered_at",),
        plan=_with_copies("orders_source", "orders"),
    ),
    Pair(
        "another source",
        "    source=orders_source,\n",
        "    source=clicks_batch,\n",
        BREAKING,
        ("orders: source changed orders_source → clicks_batch",),
        {"checkout": BREAKING},
        _with_copies("orders"),
    ),
    Pair(
        "a stream's topic",
        'topic="clicks"',
        'topic="clicks_2"',
        BREAKING,
        ("source clicks_stream: topic changed clicks → clicks_2",),
        {"checkout": NONE},
    ),
    Pair(
        "a shorter ttl",
        "timedelta(days=2)",
        "timedelta(days=1)",
        BREAKING,
        ("orders: ttl shortened 2 days, 0:00:00 → 1 day, 0:00:00",),
        {"checkout": BREAKING},
    ),
    Pair(
        "no longer online",
        "    source=orders_source,\n",
        "    source=orders_source,\n    online=False,\n",
        BREAKING,
        ("orders: no longer served online",),
        {"checkout": BREAKING},
    ),
    Pair(
        "disabled",
        "    source=orders_source,\n",
        "    source=orders_source,\n    enabled=False,\n",
        BREAKING,
        ("orders: disabled",),
        # Equality of views leaves the flag out, and plan believes it.
        plan={},
    ),
    Pair(
        "what a function does",
        "(count or 1)",
        "(count or 2)",
        BREAKING,
        ("ratios: its function does something else",),
        {"checkout": BREAKING, "reporting": NONE},
    ),
    Pair(
        "what a function's helper does",
        "return value * VAT",
        "return value * VAT + 1",
        BREAKING,
        ("ratios: its function uses other values of its module (gross)",),
        {"checkout": BREAKING},
        # Plan sees the function's own text only; the values it makes are others.
        plan={},
    ),
    Pair(
        "a constant that a function uses",
        "VAT = 1.19",
        "VAT = 1.16",
        BREAKING,
        ("ratios: its function uses other values of its module (gross)",),
        {"checkout": BREAKING},
        plan={},
    ),
    Pair(
        "what a caller must send",
        '[Field(name="basket_value", dtype=Float64)]',
        '[Field(name="basket_value", dtype=Float64), Field(name="coupon", dtype=Float64)]',
        BREAKING,
        ("source basket: + value of the request coupon (Float64)",),
        {"checkout": BREAKING, "reporting": NONE},
        # Plan takes the source for equal; yet every caller must send one value more.
        plan={},
    ),
    Pair(
        "a feature of an on-demand view",
        'Field(name="mean_amount", dtype=Float64), ',
        "",
        BREAKING,
        ("ratios: − feature mean_amount (Float64)", "checkout: − ratios:mean_amount"),
    ),
    Pair(
        "an aggregation's window",
        "time_window=timedelta(hours=1)",
        "time_window=timedelta(hours=2)",
        BREAKING,
    ),
    Pair(
        "how labels are made one",
        "    source=labels_source,\n",
        "    source=labels_source,\n    conflict_policy=ConflictPolicy.MAJORITY_VOTE,\n",
        BREAKING,
        ("labels: conflict policy changed LAST_WRITE_WINS → MAJORITY_VOTE",),
    ),
    Pair(
        "a service is renamed",
        'name="reporting"',
        'name="reports"',
        BREAKING,
        ("reporting: removed", "reports: added"),
        {"reporting": BREAKING, "reports": ADDITIVE},
    ),
    Pair(
        "a view under another name in a service",
        "features=[orders], tags",
        'features=[orders.with_name("history")], tags',
        BREAKING,
        ("reporting: − orders:city", "reporting: + history:city"),
    ),
    Pair(
        "a service's join key is mapped",
        "features=[orders], tags",
        'features=[orders.with_join_key_map({"customer_id": "buyer"})], tags',
        BREAKING,
        ('reporting: join keys of orders changed unset → {"customer_id": "buyer"}',),
    ),
    Pair(
        "a permission is narrowed",
        'name_patterns=["orders.*"]',
        'name_patterns=["orders"]',
        BREAKING,
        ("permission readers: name patterns changed (+ orders, − orders.*)",),
    ),
    Pair(
        "a role less",
        'policy=RoleBasedPolicy(roles=["reader"])',
        'policy=RoleBasedPolicy(roles=["admin"])',
        BREAKING,
        ("permission readers: roles of the policy changed (+ admin, − reader)",),
    ),
]


@pytest.fixture(scope="module")
def before(parse: Any) -> Definitions:
    return parse(shop.SHOP)[1]


@pytest.fixture(scope="module")
def plan(parse: Any, tmp_path_factory: pytest.TempPathFactory) -> Callable[[Any], Plan]:
    """What Feast's plan says of other contents, after the shop was applied."""
    from feast import FeatureStore, RepoConfig
    from feast.diff.property_diff import TransitionType

    home = tmp_path_factory.mktemp("store")
    store = FeatureStore(
        config=RepoConfig(
            project="shop",
            registry=str(home / "registry.db"),
            provider="local",
            online_store={"type": "sqlite", "path": str(home / "online.db")},
            offline_store={"type": "file"},
            entity_key_serialization_version=3,
        )
    )
    contents = parse(shop.SHOP)[0]
    store._apply_diffs(*store.plan(contents))

    def planned(wanted: Any) -> Plan:
        differences = store.plan(wanted)[0].feast_object_diffs
        return {
            difference.name: difference.transition_type.name.lower()
            for difference in differences
            if difference.transition_type is not TransitionType.UNCHANGED
        }

    return planned


@pytest.mark.parametrize("pair", PAIRS, ids=lambda pair: pair.name.replace(" ", "-"))
def test_a_change_means_what_the_table_says(pair: Pair, parse: Any, before: Definitions, plan: Any) -> None:
    contents, after = parse(shop.edited(pair.before, pair.after))
    diff = compare(before, after)
    sentences = [change.sentence for change in diff.changes]
    assert diff.verdict == pair.verdict, sentences
    assert not set(pair.sentences) - set(sentences), sentences
    services = dict(diff.services)
    assert {name: services[name] for name in pair.services} == pair.services
    for service in ("checkout", "reporting"):
        _hash_agrees(before, after, service, services.get(service, NONE))
    ours = {
        change.object: {"added": CREATED, "removed": DELETED}.get(change.words.split(",")[0], UPDATED)
        for change in diff.changes
    }
    planned = plan(contents)
    expected = ours if pair.plan is None else pair.plan
    # Plan lists every stream view at every time: it compares the times at which its sources were made.
    planned.setdefault("clicks", UPDATED)
    expected = {"clicks": UPDATED, **expected}
    assert planned == expected, f"{planned} {sentences}"


def _hash_agrees(before: Definitions, after: Definitions, service: str, verdict: Verdict) -> None:
    if service not in after.of_kind("feature service"):
        return
    same = service_hash(before, service) == service_hash(after, service)
    if verdict <= METADATA:
        assert same, "nothing that is trained on changed"


def test_the_pairs_are_many_and_each_is_named_once() -> None:
    assert len(PAIRS) >= 40
    assert len({pair.name for pair in PAIRS}) == len(PAIRS)
