"""What is refused when a commit is classified, on plain data: no Feast is needed."""

from __future__ import annotations

import re
from typing import Any

import pytest

from feature_ops.feast.diff.compare import compare
from feature_ops.feast.diff.definitions import Definitions
from feature_ops.feast.diff.kinds import VIEWS
from feature_ops.feast.diff.unsupported import TrainedService, unsupported
from feature_ops.feast.diff.verdict import Verdict

SETTING = "enable_online_feature_view_versioning: true"
SOURCE = {"name": "songs", "type": "BATCH_FILE", "file_options": {"uri": "s3://data/songs/"}}
ELSEWHERE = {"name": "other", "type": "BATCH_FILE", "file_options": {"uri": "s3://data/songs_too/"}}
TRAINED = TrainedService("fs", ("song",), ("s3://data/songs",))


def view(**changes: Any) -> dict[str, Any]:
    """A feature view that is loaded, with a key and two features; None takes a part away."""
    whole = {
        "features": {"energy": {"type": "Float32"}, "tempo": {"type": "Float32"}},
        "join_keys": {"song": "String"},
        "entities": ["song"],
        "batch_source": SOURCE,
        "online": True,
        "version": "latest",
        **changes,
    }
    return {name: value for name, value in whole.items() if value is not None}


def on_demand(*sources: dict[str, Any], **changes: Any) -> dict[str, Any]:
    """An on-demand view of inputs."""
    named = {f"source {place}": source for place, source in enumerate(sources)}
    return {"features": {"beat": {"type": "Float64"}}, "join_keys": {}, "sources": named, **changes}


def reads(name: str, *features: str, **more: Any) -> dict[str, Any]:
    """A projection of a view."""
    return {"view": name, "features": list(features or ("energy",)), **more}


def request(*values: str) -> dict[str, Any]:
    return {"request": {"request_data_options": {"schema": {name: {"type": "Int64"} for name in values}}}}


def defined(
    service: dict[str, Any] | None = None, options: dict[str, Any] | None = None, **views: Any
) -> Definitions:
    """Views by kind (``_`` for a space) and name, and the service ``fs`` of all projections."""
    objects: dict[str, Any] = {kind.replace("_", " "): named for kind, named in views.items()}
    if service is not None:
        objects["feature service"] = {"fs": {"features": service, **(options or {})}}
    return Definitions("shop", objects)


WHOLE = {"v": view()}
REFUSED: dict[str, tuple[Definitions, str]] = {
    "a pinned view": (defined(feature_view={"v": view(version="v1")}), f"feature view v pins.*{SETTING}"),
    "a pinned view in a service": (
        defined({"v@v1": reads("v", version_tag=1)}, feature_view=WHOLE),
        f"feature service fs pins v@v1: .*{SETTING}.*loads the newest version only",
    ),
    "version 0 is a pin": (
        defined({"v@v0": reads("v", version_tag=0)}, feature_view=WHOLE),
        "pins v@v0",
    ),
    "a pinned input": (
        defined(feature_view=WHOLE, on_demand_feature_view={"o": on_demand(reads("v", version_tag=2))}),
        f"on demand feature view o reads a pinned version of a view: .*{SETTING}",
    ),
    "written at loading": (
        defined(on_demand_feature_view={"o": on_demand(request("x"), write_to_online_store=True)}),
        "o has write_to_online_store=True: .*null.*Set write_to_online_store=False",
    ),
    "aggregated on demand": (
        defined(on_demand_feature_view={"o": on_demand(reads("v"), aggregations=[{}])}, feature_view=WHOLE),
        "o has aggregations: .*not to training sets",
    ),
    "a singleton": (
        defined(feature_view=WHOLE, on_demand_feature_view={"o": on_demand(reads("v"), singleton=True)}),
        "o has singleton=True: .*first row only",
    ),
    "substrait": (
        defined(
            on_demand_feature_view={
                "o": on_demand(request("x"), feature_transformation={"substrait_transformation": {}})
            }
        ),
        "o has mode substrait",
    ),
    "a renamed input": (
        defined(on_demand_feature_view={"o": on_demand(reads("v", alias="w"))}, feature_view=WHOLE),
        "o reads a view under another name",
    ),
    "transformed at loading": (
        defined(feature_view={"v": view(feature_transformation={"user_defined_function": {}})}),
        "v has a transformation: .*not in training sets",
    ),
    "made from other views": (
        defined(feature_view={"v": view(source_views={"w": view()})}),
        "v is made from other views",
    ),
    "written offline": (
        defined(feature_view={"v": view(offline=True)}),
        "v has offline=True: each load would write",
    ),
    "disabled": (
        defined({"v": reads("v")}, feature_view={"v": view(disabled=True)}),
        "fs reads v, which is disabled",
    ),
    "a disabled input": (
        defined(
            {"o": reads("o", "beat")},
            feature_view={"v": view(disabled=True)},
            on_demand_feature_view={"o": on_demand(reads("v"))},
        ),
        "fs reads v, which is disabled",
    ),
    "disabled on demand": (
        defined(
            {"o": reads("o", "beat")},
            feature_view=WHOLE,
            on_demand_feature_view={"o": on_demand(reads("v"), disabled=True)},
        ),
        "fs reads o, which is disabled",
    ),
    "precomputed": (
        defined({"v": reads("v")}, {"precompute_online": True}, feature_view=WHOLE),
        "fs has precompute_online=True: .*no vector.*Set precompute_online=False",
    ),
    "a feature twice": (
        defined({"v": reads("v", repeated=["energy"])}, feature_view=WHOLE),
        "fs lists v twice with energy",
    ),
    "two join keys, one name": (
        defined({"v": reads("v", ambiguous=True)}, feature_view=WHOLE),
        "fs reads v twice, from two views or with different join keys",
    ),
    "other join keys as input": (
        defined(
            {"v": reads("v", join_key_map={"song": "seed"}), "o": reads("o", "beat")},
            feature_view=WHOLE,
            on_demand_feature_view={"o": on_demand(reads("v"))},
        ),
        "fs reads v twice, from two views or with different join keys",
    ),
    "one name, two views": (
        defined(
            {"v": reads("w"), "o": reads("o", "beat")},
            feature_view={"v": view(), "w": view()},
            on_demand_feature_view={"o": on_demand(reads("v"))},
        ),
        "fs reads v twice, from two views",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_not_supported_is_refused_with_the_reason(case: str) -> None:
    definitions, reason = REFUSED[case]
    found = unsupported(definitions)
    assert any(re.search(reason, told) for told in found), found
    assert compare(Definitions("shop", {}), definitions).obstacles == tuple(found)


IN_A_MODEL: dict[str, tuple[Definitions, str]] = {
    "online=False": (
        defined({"v": reads("v")}, feature_view={"v": view(online=None)}),
        "reads v: it has online=False, so predictions would get null",
    ),
    "online=False as input": (
        defined(
            {"o": reads("o", "beat")},
            feature_view={"v": view(online=None)},
            on_demand_feature_view={"o": on_demand(reads("v"))},
        ),
        "reads v: it has online=False",
    ),
    "no source": (
        defined({"v": reads("v")}, feature_view={"v": view(batch_source=None)}),
        "reads v: it has no batch source",
    ),
    "another source": (
        defined({"v": reads("v")}, feature_view={"v": view(batch_source=ELSEWHERE)}),
        "reads v: no dataset of the DAG has its source s3://data/songs_too/",
    ),
    "a table": (
        defined({"v": reads("v")}, feature_view={"v": view(batch_source={"name": "table"})}),
        "reads v: no dataset of the DAG has its source table",
    ),
    "labels": (defined({"v": reads("v")}, label_view=WHOLE), "reads v: labels are pushed"),
    "a computed stream": (
        defined({"v": reads("v")}, stream_feature_view={"v": view(aggregations=[{}])}),
        "reads v: its values are computed by a stream processor",
    ),
    "another key": (
        defined(
            {"v": reads("v")}, feature_view={"v": view(join_keys={"song": "String", "artist": "String"})}
        ),
        r"needs artist \(v\), but training rows and predictions have song only",
    ),
    "another key of an input": (
        defined(
            {"o": reads("o", "beat")},
            feature_view={"v": view(join_keys={"artist": "String"})},
            on_demand_feature_view={"o": on_demand(reads("v"))},
        ),
        r"needs artist \(v\)",
    ),
    "mode python": (
        defined(
            {"o": reads("o", "beat")},
            feature_view=WHOLE,
            on_demand_feature_view={"o": on_demand(reads("v"), mode="python")},
        ),
        "reads o: it has mode python, and Feast 0.67 leaves it out of reads with full_feature_names=True",
    ),
    "a value of the request": (
        defined(
            {"o": reads("o", "beat")},
            feature_view=WHOLE,
            on_demand_feature_view={"o": on_demand(reads("v"), request("volume"))},
        ),
        r"needs volume \(request data of o\), but training rows and predictions have song only",
    ),
    "no key at all": (
        defined({"v": reads("v")}, feature_view={"v": view(join_keys={})}),
        "reads no view with an entity",
    ),
    "another name": (
        defined({"w": reads("v")}, feature_view=WHOLE),
        "reads v under another name or other join keys",
    ),
    "other join keys": (
        defined({"v": reads("v", join_key_map={"song": "seed"})}, feature_view=WHOLE),
        "reads v under another name or other join keys",
    ),
}


@pytest.mark.parametrize("case", IN_A_MODEL)
def test_a_models_service_reads_only_what_is_loaded_and_served_to_it(case: str) -> None:
    definitions, reason = IN_A_MODEL[case]
    found = unsupported(definitions, TRAINED)
    assert any(re.search(reason, told) for told in found), found
    assert unsupported(definitions) == unsupported(definitions, TrainedService("another")) == []


SUPPORTED: dict[str, Definitions] = {
    "nothing": Definitions("shop", {}),
    "a view": defined({"v": reads("v", "energy", "tempo")}, feature_view=WHOLE),
    "a stream": defined({"v": reads("v")}, stream_feature_view={"v": view(stream_source={"name": "kafka"})}),
    "pushed by others": defined(
        {"v": reads("v")},
        feature_view={"v": view(batch_source=ELSEWHERE, stream_source={"name": "push"})},
    ),
    "validation and ttl": defined({"v": reads("v")}, feature_view={"v": view(enable_validation=True, ttl=1)}),
    "one with a key and one without": defined(
        {"v": reads("v"), "w": reads("w")}, feature_view={"v": view(), "w": view(join_keys={}, entities=[])}
    ),
    "on demand without entities": defined(
        {"o": reads("o", "beat")},
        feature_view=WHOLE,
        on_demand_feature_view={"o": on_demand(reads("v"))},
    ),
    "on demand next to its inputs": defined(
        {"v": reads("v", "tempo"), "o": reads("o", "beat")},
        feature_view=WHOLE,
        on_demand_feature_view={"o": on_demand(reads("v"))},
    ),
    "not loaded, so not transformed": defined(
        feature_view={"v": view(online=None, feature_transformation={}, offline=True, source_views={"w": {}})}
    ),
    "disabled and not read": defined(
        {"v": reads("v")}, feature_view={"v": view(), "w": view(disabled=True, offline=True)}
    ),
}


@pytest.mark.parametrize("case", SUPPORTED)
def test_what_is_supported_is_not_refused(case: str) -> None:
    assert unsupported(SUPPORTED[case], TRAINED) == []


def test_a_pinned_version_in_a_models_service_is_refused_for_one_reason() -> None:
    pinned = defined({"v@v1": reads("v", version_tag=1)}, feature_view=WHOLE)
    assert len(unsupported(pinned, TRAINED)) == 1


@pytest.mark.parametrize("kind", VIEWS)
def test_no_kind_of_view_may_be_pinned(kind: str) -> None:
    assert unsupported(Definitions("shop", {kind: {"v": view(version="v3")}}))


def test_views_that_name_each_other_as_inputs_end() -> None:
    circle = {"a": on_demand(reads("b", "beat")), "b": on_demand(reads("a", "beat"))}
    definitions = defined({"a": reads("a", "beat")}, on_demand_feature_view=circle)
    assert unsupported(definitions, TrainedService("fs")) == []


def test_a_service_that_reads_what_is_not_defined_is_no_matter_of_support() -> None:
    assert unsupported(defined({"v": reads("v")}), TRAINED) == []


def _two(first: str, second: str) -> Definitions:
    return defined({first: reads("v"), second: reads("w")}, feature_view={"v": view(), "w": view()})


def test_features_that_come_to_share_a_name_are_reported_as_breaking() -> None:
    before = defined({"v": reads("v")}, feature_view={"v": view(), "w": view()})
    diff = compare(before, _two("v", "w"))
    assert diff.verdict is Verdict.BREAKING
    assert diff.summary("fs") == (
        "breaking: reads without full_feature_names fail, names are not unique: energy (v, w); + w:energy"
    )
    assert diff.of_service("fs") is Verdict.BREAKING


def test_features_that_share_a_name_already_are_not_reported_again() -> None:
    diff = compare(_two("v", "w"), _two("v", "x"))
    assert "full_feature_names" not in diff.summary()


def test_a_new_service_is_reported_with_the_names_that_its_features_share() -> None:
    before = defined(feature_view={"v": view(), "w": view()})
    assert compare(before, _two("v", "w")).summary() == (
        "additive: fs: added; reads without full_feature_names fail, names are not unique: energy (v, w)"
    )


@pytest.mark.parametrize(
    ("before", "after", "told"),
    [
        (False, True, "breaking: precomputed: a read fails for each key that has no vector yet"),
        (True, False, "additive: no longer precomputed"),
    ],
)
def test_the_class_of_precompute_online_says_what_it_does(before: bool, after: bool, told: str) -> None:
    sides = [
        defined({"v": reads("v")}, {"precompute_online": True} if on else {}, feature_view=WHOLE)
        for on in (before, after)
    ]
    assert compare(*sides).summary("fs") == told
