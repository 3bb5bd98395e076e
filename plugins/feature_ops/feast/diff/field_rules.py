"""
What a change of each field of each kind of Feast object means, and how it is said.

A field without a rule is ``breaking``: rather ask once too often than retrain too late. A test walks
every field that Feast's messages have and fails if one is not decided upon.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from feature_ops.feast.diff import kinds
from feature_ops.feast.diff.collisions import new_collisions
from feature_ops.feast.diff.kinds import Data, without_metadata
from feature_ops.feast.diff.verdict import Verdict

NONE, METADATA, ADDITIVE, BREAKING = Verdict


@dataclass(frozen=True)
class Told:
    """
    One change of one object, in words.

    :param features: features that it concerns; empty if all.
    :param source: name of the source, if it is only the copy of a source within a view that changed.
    """

    verdict: Verdict
    words: str
    features: frozenset[str] = frozenset()
    source: str | None = None


#: old value, new value (None where absent), name of the field → changes
Rule = Callable[[Any, Any, str], Iterator[Told]]


def changed_fields(kind: str, old: Data, new: Data) -> Iterator[Told]:
    """Yield what changed between an object's canonical data, in the order of its fields' names."""
    rules = _RULES.get(kind, {})
    for name in sorted({*old, *new}):
        before, after = old.get(name), new.get(name)
        if before != after:
            yield from rules.get(name, _RULES_OF_ALL.get(name, _breaking))(before, after, name)


def _breaking(old: Any, new: Any, name: str) -> Iterator[Told]:
    for path, before, after in _leaves(old, new, _said(name)):
        yield Told(BREAKING, _changed(path or _spoken(name), before, after))


def _additive(old: Any, new: Any, name: str) -> Iterator[Told]:
    for path, before, after in _leaves(old, new, _said(name)):
        yield Told(ADDITIVE, _changed(path, before, after))


def _metadata(old: Any, new: Any, name: str) -> Iterator[Told]:
    yield Told(METADATA, f"{_spoken(name)} changed{_entries(old, new)}")


def _entries(old: Any, new: Any) -> str:
    """Return which entries of a mapping came and went, as words; nothing for other values."""
    if not all(isinstance(value, Mapping | None) for value in (old, new)):
        return ""
    before, after = {*(old or {}).items()}, {*(new or {}).items()}
    gone = [f"− {key}" for key, _ in sorted(before - after) if key not in (new or {})]
    come = [f"+ {key}" for key, _ in sorted(after - before) if key not in (old or {})]
    other = [key for key, _ in sorted(after - before) if key in (old or {})]
    return f" ({', '.join([*come, *gone, *other])})"


def _flag(on: tuple[Verdict, str], off: tuple[Verdict, str]) -> Rule:
    def rule(old: Any, new: Any, name: str) -> Iterator[Told]:
        yield Told(*(on if new else off))

    return rule


def _ttl(old: Any, new: Any, name: str) -> Iterator[Told]:
    # Zero means forever.
    shorter = (new or float("inf")) < (old or float("inf"))
    words = f"ttl {'shortened' if shorter else 'lengthened'} {_duration(old)} → {_duration(new)}"
    # Older values become null in training sets, or come back. Online reads do not look at it.
    yield Told(BREAKING if shorter else ADDITIVE, words)


def _duration(seconds: float | None) -> str:
    return str(timedelta(seconds=seconds)) if seconds else "forever"


def _features(old: Any, new: Any, name: str) -> Iterator[Told]:
    before, after = old or {}, new or {}
    for feature in sorted({*before, *after}):
        concerned = frozenset({feature})
        if feature not in after:
            words = f"− feature {feature} ({before[feature]['type']})"
            yield Told(BREAKING, words, concerned)
        elif feature not in before:
            yield Told(ADDITIVE, f"+ feature {feature} ({after[feature]['type']})", concerned)
        else:
            yield from _feature(feature, before[feature], after[feature])


def _feature(feature: str, old: Data, new: Data) -> Iterator[Told]:
    for name in sorted({*old, *new}):
        before, after = old.get(name), new.get(name)
        if before == after:
            continue
        metadata = name in kinds.METADATA
        said = _entries(before, after) if metadata else f" {_shown(before)} → {_shown(after)}"
        words = f"{_spoken(name)} of {feature} changed{said}"
        yield Told(METADATA if metadata else BREAKING, words, frozenset({feature}))


def _named_list(what: str) -> Rule:
    def rule(old: Any, new: Any, name: str) -> Iterator[Told]:
        before, after = set(old or ()), set(new or ())
        for item in sorted(before - after):
            yield Told(BREAKING, f"− {what} {item}")
        for item in sorted(after - before):
            yield Told(BREAKING, f"+ {what} {item}")

    return rule


def _join_keys(old: Any, new: Any, name: str) -> Iterator[Told]:
    before, after = old or {}, new or {}
    for key in sorted({*before, *after}):
        if key not in after:
            yield Told(BREAKING, f"− join key {key} ({before[key]})")
        elif key not in before:
            yield Told(BREAKING, f"+ join key {key} ({after[key]})")
        elif "unknown" in (before[key], after[key]):
            # Feast fills it in from the data; to say it aloud changes nothing.
            yield Told(ADDITIVE, f"type of join key {key}: {before[key]} → {after[key]}")
        elif before[key] != after[key]:
            yield Told(BREAKING, f"type of join key {key} changed {before[key]} → {after[key]}")


def _value_type(old: Any, new: Any, name: str) -> Iterator[Told]:
    # Views say their join keys' types by themselves; Feast fills in what is left open.
    yield Told(ADDITIVE if old == "INVALID" else BREAKING, f"type changed {old} → {new}")


def _source(old: Any, new: Any, name: str) -> Iterator[Told]:
    said = "source" if name == "batch_source" else _spoken(name)
    before, after = old or {}, new or {}
    if before.get("name") != after.get("name"):
        yield Told(BREAKING, f"{said} changed {before.get('name', 'none')} → {after.get('name', 'none')}")
        return
    for path, was, now in _leaves(without_metadata(before), without_metadata(after), ""):
        words = _changed(f"{said} {before.get('name', '')}: {path}", was, now)
        yield Told(BREAKING, words, source=before.get("name"))


def _source_views(old: Any, new: Any, name: str) -> Iterator[Told]:
    # Views that stay are compared by themselves.
    yield from _named_list("source view")(old, new, name)


def _transformation(old: Any, new: Any, name: str) -> Iterator[Told]:
    before, after = _function(old), _function(new)
    if not ("uses" in before and "uses" in after):
        # Only the process that loaded a function knows what it uses; a registry does not.
        before.pop("uses", None), after.pop("uses", None)
    if before != after:
        yield Told(BREAKING, f"its function {_difference(before, after)}")


def _function(value: Any) -> dict[str, Any]:
    content = dict(value or {})
    function = content.pop("user_defined_function", {})
    return {**content, **function}


def _difference(old: Data, new: Data) -> str:
    if not old or not new:
        return "was removed" if old else "is new"
    if old.get("source") == new.get("source") and old.get("uses") != new.get("uses"):
        names = _entries(
            {key: json.dumps(value, sort_keys=True) for key, value in old.get("uses", {}).items()},
            {key: json.dumps(value, sort_keys=True) for key, value in new.get("uses", {}).items()},
        )
        return f"uses other values of its module{names}"
    return "does something else"


def _inputs(old: Any, new: Any, name: str) -> Iterator[Told]:
    """Tell of changes in what an on-demand view is computed from."""
    before, after = old or {}, new or {}
    for source in sorted({*before, *after}):
        if source not in after:
            yield Told(BREAKING, f"− input {_input_name(source)}")
        elif source not in before:
            yield Told(BREAKING, f"+ input {_input_name(source)}")
        elif before[source] != after[source]:
            yield from _input(_input_name(source), before[source], after[source])


def _input_name(source: str) -> str:
    return "of the request" if source.startswith("__input_schema__") else source


def _input(source: str, old: Data, new: Data) -> Iterator[Told]:
    if "request" in old and "request" in new:
        yield from _request(source, old["request"], new["request"])
        return
    before, after = set(old.get("features", ())), set(new.get("features", ()))
    for feature in sorted(before - after):
        yield Told(BREAKING, f"− input {source}:{feature}")
    for feature in sorted(after - before):
        # The function is given one column more and need not look at it.
        yield Told(ADDITIVE, f"+ input {source}:{feature}")
    was_rest, now_rest = (
        {key: value for key, value in side.items() if key != "features"} for side in (old, new)
    )
    for path, was, now in _leaves(was_rest, now_rest, f"input {source}"):
        yield Told(BREAKING, _changed(path, was, now))


def _request(source: str, old: Data, new: Data) -> Iterator[Told]:
    for told in changed_fields(kinds.DATA_SOURCE, old, new):
        yield Told(told.verdict, f"input {source}: {told.words}", source=source)


def _request_options(old: Any, new: Any, name: str) -> Iterator[Told]:
    was, now = ({key: value for key, value in (side or {}).items() if key != "schema"} for side in (old, new))
    yield from _breaking(was, now, name)
    for told in _features((old or {}).get("schema"), (new or {}).get("schema"), name):
        # Every caller sends these values.
        verdict = told.verdict if told.verdict is METADATA else BREAKING
        yield Told(verdict, told.words.replace("feature", "value of the request", 1))


def _projections(old: Any, new: Any, name: str) -> Iterator[Told]:
    before, after = old or {}, new or {}
    for view in sorted({*before, *after}):
        was, now = before.get(view, {}), after.get(view, {})
        had, has = set(was.get("features", ())), set(now.get("features", ()))
        for feature in sorted(had - has):
            yield Told(BREAKING, f"− {view}:{feature}")
        for feature in sorted(has - had):
            yield Told(ADDITIVE, f"+ {view}:{feature}")
        if was and now:
            yield from _projection(view, was, now)
        elif not had and not has:
            yield Told(BREAKING if was else ADDITIVE, f"{'−' if was else '+'} {view}")
    words = new_collisions(before, after)
    if words:
        yield Told(BREAKING, words)


def _projection(view: str, old: Data, new: Data) -> Iterator[Told]:
    if old["view"] != new["view"]:
        yield Told(BREAKING, f"{view} stands for {new['view']}, no longer for {old['view']}")
    if old.get("join_key_map") != new.get("join_key_map"):
        yield Told(
            BREAKING,
            f"join keys of {view} changed {_shown(old.get('join_key_map'))} → "
            f"{_shown(new.get('join_key_map'))}",
        )


def _granted(empty_means_all: bool) -> Rule:
    """More that is granted is additive, less is breaking."""

    def rule(old: Any, new: Any, name: str) -> Iterator[Told]:
        before, after = set(old or ()), set(new or ())
        if before == after:
            return
        everything = (not before, not after) if empty_means_all else (False, False)
        wider = everything[1] or (before <= after and not everything[0])
        words = ", ".join(
            [
                *(f"+ {item}" for item in sorted(after - before)),
                *(f"− {item}" for item in sorted(before - after)),
            ]
        )
        yield Told(ADDITIVE if wider else BREAKING, f"{_spoken(name)} changed ({words})")

    return rule


def _required_tags(old: Any, new: Any, name: str) -> Iterator[Told]:
    before, after = {*(old or {}).items()}, {*(new or {}).items()}
    # Each required tag leaves out objects.
    yield Told(ADDITIVE if after < before else BREAKING, f"required tags changed{_entries(old, new)}")


def _policy(old: Any, new: Any, name: str) -> Iterator[Told]:
    before, after = _granted_to(old), _granted_to(new)
    same_kind = {*before} == {*after}
    for who in sorted({*before, *after}):
        # Feast lets in who has any of the roles, groups or namespaces.
        for told in _granted(empty_means_all=False)(before.get(who), after.get(who), f"{who} of the policy"):
            yield Told(told.verdict if same_kind else BREAKING, told.words)


def _granted_to(policy: Any) -> dict[str, list[str]]:
    return {
        who: names
        for content in (policy or {}).values()
        if isinstance(content, Mapping)
        for who, names in content.items()
    }


def _leaves(old: Any, new: Any, path: str) -> Iterator[tuple[str, Any, Any]]:
    """Yield path, old and new value of what differs, as deep as both sides are mappings."""
    if old == new:
        return
    if isinstance(old, Mapping) and isinstance(new, Mapping):
        for key in sorted({*old, *new}):
            below = " ".join(part for part in (path, _said(key)) if part)
            yield from _leaves(old.get(key), new.get(key), below)
        return
    yield path, old, new


def _changed(what: str, old: Any, new: Any) -> str:
    return f"{what} changed {_shown(old)} → {_shown(new)}"


def _shown(value: Any) -> str:
    if value is None:
        return "unset"
    text = value if isinstance(value, str) else json.dumps(value, sort_keys=True, ensure_ascii=False)
    return text if len(text) <= 80 else f"{text[:77]}…"


def _said(name: str) -> str:
    # Which store's options they are is said by the type of the source.
    return "" if name.endswith("_options") else _spoken(name)


def _spoken(name: str) -> str:
    return name.replace("_", " ")


_ENABLED = _flag((BREAKING, "disabled"), (ADDITIVE, "enabled"))
_ONLINE = _flag((ADDITIVE, "served online"), (BREAKING, "no longer served online"))
_OFFLINE = _flag(
    (ADDITIVE, "loaded rows are written to its source, too"),
    (BREAKING, "loaded rows are no longer written to its source"),
)
_VALIDATION = _flag(
    (ADDITIVE, "values are checked when loaded"), (ADDITIVE, "values are not checked when loaded")
)

_RULES_OF_ALL: dict[str, Rule] = {name: _metadata for name in kinds.METADATA}

_VIEW: dict[str, Rule] = {
    "features": _features,
    "entities": _named_list("entity"),
    "join_keys": _join_keys,
    "ttl": _ttl,
    "batch_source": _source,
    "stream_source": _source,
    "source": _source,
    "online": _ONLINE,
    "offline": _OFFLINE,
    "disabled": _ENABLED,
    "enable_validation": _VALIDATION,
    "source_views": _source_views,
    "sources": _inputs,
    "feature_transformation": _transformation,
    "write_to_online_store": _flag(
        (BREAKING, "computed when written, no longer when read"),
        (BREAKING, "computed when read, no longer when written"),
    ),
    # Feast no longer looks at it.
    "retain_history": lambda old, new, name: iter(()),
    # A hint for people who label.
    "reference_feature_view": _metadata,
}

_RULES: dict[str, dict[str, Rule]] = {
    **{kind: _VIEW for kind in kinds.VIEWS},
    kinds.DATA_SOURCE: {"batch_source": _source, "request_data_options": _request_options},
    kinds.ENTITY: {"value_type": _value_type},
    kinds.FEATURE_SERVICE: {
        "features": _projections,
        # What is written down of each answer.
        "logging_config": _additive,
        "precompute_online": _flag(
            (BREAKING, "precomputed: a read fails for each key that has no vector yet"),
            (ADDITIVE, "no longer precomputed"),
        ),
    },
    kinds.PERMISSION: {
        "types": _granted(empty_means_all=False),
        "actions": _granted(empty_means_all=False),
        "name_patterns": _granted(empty_means_all=True),
        "required_tags": _required_tags,
        "policy": _policy,
    },
}
