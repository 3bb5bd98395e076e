"""
Functions of views are made of their text: check that the text is all that decides what they do.

Feast's registry holds a function twice, as text and serialized. For on-demand views Feast executes the text,
and unpickles the serialized form only if that fails. feature-ops removes the serialized form when a commit is
classified.
"""

from __future__ import annotations

import ast
import dis
from collections.abc import Iterable, Iterator
from types import CodeType
from typing import Any

from feature_ops.feast.diff.definitions import SerializedObject
from feature_ops.feast.diff.kinds import ON_DEMAND_FEATURE_VIEW, STREAM_FEATURE_VIEW
from feature_ops.feast.diff.messages import message_class

_REMEDY = "write it as one `def` statement that imports and defines within itself what it uses"
# What Feast gives a function that it makes of its text.
_GIVEN = frozenset({"pd", "pandas", "np", "numpy"})


def function_problems(items: Iterable[SerializedObject]) -> Iterator[str]:
    """Yield why a registry cannot make a view's function of its text, for each view of which that is true."""
    for item in items:
        text = function_text(item)
        if text is not None and not is_one_function(text):
            yield f"{item.kind} {item.name}: its function cannot be made of its text: {_REMEDY}"


def function_text(item: SerializedObject) -> str | None:
    """Return the text of a view's function, None if the object has no function that Feast would load."""
    if item.kind not in (ON_DEMAND_FEATURE_VIEW, STREAM_FEATURE_VIEW):
        return None
    spec = message_class(item.kind).FromString(item.message).spec
    if item.kind == STREAM_FEATURE_VIEW:
        return str(spec.user_defined_function.body_text) if spec.HasField("user_defined_function") else None
    if spec.feature_transformation.WhichOneof("transformation") != "user_defined_function":
        return None
    return str(spec.feature_transformation.user_defined_function.body_text)


def is_one_function(text: str) -> bool:
    """Whether Feast executes a text as the definition of one function, and nothing else."""
    # What Feast executes: it removes decorators by its own scanner, not by Python's grammar.
    from feast.transformation.udf_rehydrate import _strip_leading_decorators

    try:
        body = ast.parse(_strip_leading_decorators(text)).body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return False
    return len(body) == 1 and isinstance(body[0], ast.FunctionDef) and not body[0].decorator_list


def stream_function_problem(view: Any) -> str | None:
    """
    Return why the function of a stream view cannot be made of its text, None if it can.

    :param view: the view as its repository defines it.
    """
    function = view.udf
    if not function:
        return None
    lost = sorted(_globals(function.__code__) & function.__globals__.keys() - _GIVEN)
    if not lost:
        return None
    return (
        f"stream feature view {view.name}: its function uses {', '.join(lost)} of its module, which a "
        f"registry does not keep: {_REMEDY}"
    )


def made_of_text(message: Any) -> Any:
    """
    Return the Feast object of a stream view's message, its function made of its text.

    :raises ValueError: if the text is not that of one function.
    """
    from feast import StreamFeatureView
    from feast.transformation.udf_rehydrate import rehydrate_udf_from_source

    view = StreamFeatureView.from_proto(message, skip_udf=True)
    if not message.spec.HasField("user_defined_function"):
        return view
    function = message.spec.user_defined_function
    text = function.body_text
    udf = rehydrate_udf_from_source(text, preferred_name=function.name) if is_one_function(text) else None
    if udf is None:
        raise ValueError(
            f"stream feature view {view.name}: its function cannot be made of its text: {_REMEDY}"
        )
    view._raw_udf_proto = view._raw_feature_transformation_proto = None
    view.udf, view.udf_string = udf, text
    view.feature_transformation = view.get_feature_transformation()
    return view


def _globals(code: CodeType) -> set[str]:
    """Return the names that code looks up in its module, functions within it included."""
    found = {
        str(step.argval) for step in dis.get_instructions(code) if step.opname in ("LOAD_GLOBAL", "LOAD_NAME")
    }
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            found |= _globals(constant)
    return found
