"""
Compare definitions with what was classified: before an apply, by their messages, and after it, by the
registry.

Nothing of a classification is taken over without a check: what a commit's definitions say is derived again
from their messages, in the process that applies them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from feature_ops.exceptions import BadInputError
from feature_ops.feast.diff.definitions import Definitions, SerializedObject, different_field
from feature_ops.feast.diff.kinds import DATA_SOURCE, KINDS, PROJECT, Data, Objects

_SHOWN = 5


def refuse_inconsistent(definitions: Definitions, commit: str) -> None:
    """
    Refuse definitions whose messages say something else than what was classified.

    :raises BadInputError: names the first object that differs; nothing was changed.
    """
    from feature_ops.feast.diff.describe import describe
    from feature_ops.feast.diff.function_text import function_problems
    from feature_ops.feast.diff.messages import check_messages

    try:
        check_messages(definitions.project, definitions.protos)
        derived = describe(definitions.project, definitions.protos)
    except ValueError as error:
        raise BadInputError(f"commit {commit[:10]} is not applied: {error}") from None
    found = [*differences(_of_messages(definitions.objects), derived.objects)]
    found += list(function_problems(definitions.protos))
    if found:
        raise BadInputError(
            f"commit {commit[:10]} is not applied: its messages are not what was classified ({_shown(found)})"
        )


def refuse_changed_by_feast(
    definitions: Definitions, make: Callable[[SerializedObject], Any], commit: str
) -> None:
    """
    Refuse definitions that Feast would register differently.

    :param make: makes a Feast object of a message.
    :raises BadInputError: names the first object that differs; nothing was changed.
    """
    from feature_ops.feast.diff.describe import describe, serialize

    again = [serialize(item.kind, make(item)) for item in definitions.protos]
    registered = describe(definitions.project, again)
    found = [*differences(_of_messages(definitions.objects), registered.objects)]
    if found:
        raise BadInputError(
            f"commit {commit[:10]} is not applied: Feast would register something else than what was "
            f"classified ({_shown(found)})"
        )


def registry_differences(wanted: Definitions, registered: Definitions) -> list[str]:
    """
    Return how a registry differs from what was classified; empty if it holds exactly that.

    Feast registers sources that views hold as objects of their own as well: these count as part of the view.

    :param wanted: what was classified.
    :param registered: what the registry holds now.
    """
    inner = _inner_sources(wanted)
    kept: dict[str, Mapping[str, Data]] = dict(registered.objects)
    expected = _of_messages(wanted.objects)
    if PROJECT not in expected:
        # A registry that was empty: Feast never removes the project itself.
        kept.pop(PROJECT, None)
    kept[DATA_SOURCE] = {
        name: data
        for name, data in registered.of_kind(DATA_SOURCE).items()
        if name in expected.get(DATA_SOURCE, {}) or _without_class(data) not in inner.get(name, ())
    }
    return list(differences(expected, kept))


def differences(wanted: Objects, found: Objects) -> Iterator[str]:
    """Yield each object that differs, with the field."""
    for kind in KINDS:
        one, other = wanted.get(kind, {}), found.get(kind, {})
        for name in sorted({*one, *other}):
            if name not in other:
                yield f"{kind} {name} is missing"
            elif name not in one:
                yield f"{kind} {name} was not classified"
            else:
                path = different_field(one[name], other[name])
                if path is not None:
                    yield f"{kind} {name}: {path or 'its content'} differs"


def shown(found: Iterable[str]) -> str:
    """Return the first differences in one line."""
    return _shown(list(found))


def _shown(found: list[str]) -> str:
    more = f"; and {len(found) - _SHOWN} more" if len(found) > _SHOWN else ""
    return f"{'; '.join(found[:_SHOWN])}{more}"


def _of_messages(objects: Objects) -> dict[str, dict[str, Data]]:
    """Return objects without what only the process that ran the code could report about functions."""
    return {
        kind: {name: _without_reports(data) for name, data in named.items()}
        for kind, named in objects.items()
    }


def _without_reports(data: Data) -> Data:
    transformation = data.get("feature_transformation")
    if not isinstance(transformation, Mapping) or "user_defined_function" not in transformation:
        return data
    function = {
        key: value
        for key, value in transformation["user_defined_function"].items()
        if key not in ("uses", "code")
    }
    return {**data, "feature_transformation": {**transformation, "user_defined_function": function}}


def _inner_sources(definitions: Definitions) -> dict[str, list[Data]]:
    """Return name → canonical data of the sources that other objects hold."""
    from feature_ops.feast.diff.canonical import canonical
    from feature_ops.feast.diff.messages import inner_sources

    found: dict[str, list[Data]] = {}
    for item in definitions.protos:
        for source in inner_sources(item.kind, item.message):
            found.setdefault(source.name, []).append(_without_class(canonical(source)))
    return found


def _without_class(data: Data) -> Data:
    return {key: value for key, value in data.items() if key != "data_source_class_type"}
