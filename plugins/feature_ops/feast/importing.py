"""
Feast's import, at a quarter of its cost.

Feast decorates its classes with ``typeguard.typechecked``, which recompiles every method while they are
imported: most of the import's seconds, in every process, for checks of which a process needs few or none.
"""

from __future__ import annotations

import functools
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from inspect import isfunction
from typing import Any


def import_feast() -> Any:
    """
    Import Feast and return it, its functions not instrumented by typeguard.

    typeguard itself leaves that out where Python runs optimized (``-O``), as the checks are not meant for
    production. A task, a training and a service read definitions from the registry, where they were checked
    when they were applied.
    """
    return _import_with(_unchanged)


def import_feast_for_definitions() -> Any:
    """
    Import Feast and return it; typeguard instruments a method when it is first called.

    For what loads a person's definitions: an argument of another type is told as it is after a plain import.
    """
    return _import_with(_instrumented_when_called)


def _import_with(decorator: Callable[..., Any]) -> Any:
    if "feast" not in sys.modules:
        with _typechecked_is(decorator):
            import feast  # noqa: F401
    return sys.modules["feast"]


@contextmanager
def _typechecked_is(decorator: Callable[..., Any]) -> Iterator[None]:
    import typeguard

    instrument = typeguard.typechecked
    typeguard.typechecked = functools.partial(decorator, instrument)
    try:
        yield
    finally:
        typeguard.typechecked = instrument


def _unchanged(instrument: Any, target: Any = None, **options: Any) -> Any:
    """Stand in the decorator's place, with and without its options."""
    return functools.partial(_unchanged, instrument) if target is None else target


def _instrumented_when_called(instrument: Any, target: Any = None, **options: Any) -> Any:
    """
    Stand in the decorator's place: the same methods of a class are checked, from their first call on.

    Constructors at once: every definition calls them, and what they warn of is told of who called them.
    """
    if options:
        instrument = instrument(**options)
    if target is None:
        return functools.partial(_instrumented_when_called, instrument)
    if isfunction(target):
        return _checked(target, instrument)
    for name, attribute in list(vars(target).items()):
        if isinstance(attribute, property):
            accessors: list[Any] = [attribute.fget, attribute.fset, attribute.fdel]
            get, put, delete = (
                _checked(one, instrument) if _is_of(one, target) else one for one in accessors
            )
            setattr(target, name, type(attribute)(get, put, delete, attribute.__doc__))
        elif isinstance(attribute, classmethod | staticmethod) and _is_of(attribute.__func__, target):
            setattr(target, name, type(attribute)(_checked(attribute.__func__, instrument)))
        elif _is_of(attribute, target):
            check = _plainly_checked if name == "__init__" else _checked
            setattr(target, name, check(attribute, instrument))
    return target


def _is_of(attribute: Any, owner: type) -> bool:
    """Whether it is a function that was written in the class, which is what typeguard instruments."""
    return (
        isfunction(attribute)
        and attribute.__module__ == owner.__module__
        and attribute.__qualname__.startswith(f"{owner.__qualname__}.")
    )


def _checked(function: Callable[..., Any], instrument: Callable[..., Any]) -> Callable[..., Any]:
    instrumented: list[Callable[..., Any]] = []

    @functools.wraps(function)
    def call(*arguments: Any, **named: Any) -> Any:
        if not instrumented:
            instrumented.append(_plainly_checked(function, instrument))
        return instrumented[0](*arguments, **named)

    return call


def _plainly_checked(function: Callable[..., Any], instrument: Callable[..., Any]) -> Any:
    with warnings.catch_warnings():
        # What can't be instrumented stays as it is; of methods a plain import says nothing, either.
        warnings.simplefilter("ignore")
        return instrument(function)
