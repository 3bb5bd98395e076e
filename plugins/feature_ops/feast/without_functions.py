"""
Feast's registry without functions, for the processes of Airflow.

The registry stores the functions of on-demand, batch and stream feature views, and the profilers of
validation references, as source text and as pickled bytes. Feast runs the text and unpickles the bytes
whenever it reads such an object. Both may do anything: a default argument or a ``__reduce__`` is enough. In
Airflow's processes the functions stay bytes. Objects are read with everything but the function, they write it
back unchanged, and whatever still tries to load one raises :class:`FunctionRefusedError`.

No other file replaces parts of Feast for this. Sources, of Feast 0.67: the parameter ``skip_udf`` of
``from_proto`` in ``feature_view``, ``on_demand_feature_view``, ``stream_feature_view`` and ``saved_dataset``;
``transformation.udf_rehydrate``; all calls of ``dill``.
"""

from __future__ import annotations

import functools
import inspect
import sys
from collections.abc import Callable, Iterator
from typing import Any, NoReturn

from feature_ops.exceptions import BadInputError, FeatureOpsError
from feature_ops.feast.importing import import_feast

# Where Feast keeps the message of a function that it did not load.
_LEFT_OUT = ("_raw_feature_transformation_proto", "_raw_udf_proto")

# Owner, name and original of each part of Feast that was replaced in this process.
_replaced: list[tuple[Any, str, Any]] = []


class FunctionRefusedError(FeatureOpsError):
    """A function of the registry was about to be loaded in a process that may hold Airflow's credentials."""


def import_feast_without_functions() -> Any:
    """Import Feast and return it; in this process it loads no function of a registry from now on."""
    feast = import_feast()
    refuse_functions()
    return feast


def refuse_functions() -> None:
    """
    Let Feast load no function of a registry in this process, nor in those that it forks.

    :raises AttributeError: if Feast lacks a part that is to be replaced; nothing is replaced then.
    """
    if _replaced:
        return
    replacements = list(_replacements())
    for owner, name, replacement in replacements:
        _replaced.append((owner, name, inspect.getattr_static(owner, name)))
        setattr(owner, name, replacement)


def function_left_out(view: Any) -> bool:
    """Whether a view, or a view that it is made from, has a function that this process did not load."""
    return any(getattr(view, name, None) is not None for name in _LEFT_OUT) or any(
        function_left_out(below) for below in getattr(view, "source_views", None) or ()
    )


def refuse_loading(view: Any) -> None:
    """
    Refuse to load a view whose rows a function computes, where functions are not loaded.

    :raises BadInputError: names the view and the remedy.
    """
    if function_left_out(view):
        raise BadInputError(
            f"{view.name} is computed by a function while it is loaded, and functions of the registry never "
            "run in Airflow's processes: compute its columns in the dataset, or load the view with "
            "`feast materialize` outside of Airflow"
        )


def _replacements() -> Iterator[tuple[Any, str, Any]]:
    import dill  # type: ignore[import-untyped]
    from feast import FeatureView, OnDemandFeatureView, StreamFeatureView
    from feast.saved_dataset import ValidationReference
    from feast.transformation import udf_rehydrate

    for owner, name in (
        (FeatureView, "_from_proto_internal"),
        (OnDemandFeatureView, "from_proto"),
        (StreamFeatureView, "from_proto"),
        (ValidationReference, "from_proto"),
    ):
        yield owner, name, classmethod(_skipping_functions(vars(owner)[name].__func__))
    for name in ("infer_features", "transform_arrow", "transform_dict", "transform_ibis"):
        yield OnDemandFeatureView, name, _refusing_left_out(vars(OnDemandFeatureView)[name])
    for name in ("resolve_udf", "rehydrate_udf_from_source"):
        yield udf_rehydrate, name, _refusing(getattr(udf_rehydrate, name))
    for name in ("load", "loads"):
        yield dill, name, _refusing_feast(getattr(dill, name))


def _skipping_functions(read: Callable[..., Any]) -> Callable[..., Any]:
    signature = inspect.signature(read)
    if "skip_udf" not in signature.parameters:
        raise AttributeError(f"{read.__qualname__} of this version of Feast cannot leave out functions")

    @functools.wraps(read)
    def read_without_functions(*arguments: Any, **named: Any) -> Any:
        bound = signature.bind(*arguments, **named)
        bound.arguments["skip_udf"] = True
        return read(*bound.args, **bound.kwargs)

    return read_without_functions


def _refusing_left_out(call: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(call)
    def call_if_loaded(view: Any, *arguments: Any, **named: Any) -> Any:
        if function_left_out(view):
            _refuse()
        return call(view, *arguments, **named)

    return call_if_loaded


def _refusing(load: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(load)
    def refuse(*arguments: Any, **named: Any) -> NoReturn:
        _refuse()

    return refuse


def _refusing_feast(load: Callable[..., Any]) -> Callable[..., Any]:
    """Refuse calls that come from Feast: Airflow itself may unpickle what its own tasks return."""

    @functools.wraps(load)
    def load_unless_feast(*arguments: Any, **named: Any) -> Any:
        caller = str(sys._getframe(1).f_globals.get("__name__", ""))
        if caller.partition(".")[0] == "feast":
            _refuse()
        return load(*arguments, **named)

    return load_unless_feast


def _refuse() -> NoReturn:
    raise FunctionRefusedError(
        "functions of the feature registry are not loaded in Airflow's processes: call them in a process of "
        "their own that has the feature store's credentials only"
    )
