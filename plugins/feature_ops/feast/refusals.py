"""What may not be applied because somebody still reads it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from feature_ops.exceptions import BadInputError
from feature_ops.feast.diff.definitions import Definitions
from feature_ops.feast.diff.kinds import FEATURE_SERVICE, VIEWS
from feature_ops.feast.diff.reading import objects_read


def refuse_removals(wanted: Definitions, live: Mapping[str, Iterable[str]], commit: str) -> None:
    """
    Raise a :class:`BadInputError` if a feature would vanish under somebody who reads it.

    A deployed model asks for what it was trained with, whatever the services say by now. In two commits it
    is safe: out of the service first, out of the view when no live model asks for it any more.

    :param wanted: what is to be applied.
    :param live: ``view:feature`` references that each deployed model asks for, by the model's name.
    """
    there = {f"{name}:{feature}" for _, name, data in wanted.views() for feature in data.get("features", {})}
    readers: dict[str, list[str]] = {}
    for reader, references in [*_services(wanted), *live.items()]:
        for reference in references:
            if reference not in there:
                readers.setdefault(reference, []).append(reader)
    if not readers:
        return
    told = "; ".join(f"{reference} is read by {', '.join(who)}" for reference, who in sorted(readers.items()))
    raise BadInputError(
        f"commit {commit[:10]} removes what is still in use: {told}. Nothing was applied. Do it in this "
        "order: 1. take it out of the service and push; 2. wait until the model that was trained without it "
        "is live; 3. remove it from its view"
    )


def _services(definitions: Definitions) -> Iterator[tuple[str, list[str]]]:
    for name, service in sorted(definitions.of_kind(FEATURE_SERVICE).items()):
        read = objects_read(definitions.objects, service)
        yield (
            f"the service {name}",
            [f"{view}:{feature}" for (kind, view), seen in read.items() if kind in VIEWS for feature in seen],
        )
