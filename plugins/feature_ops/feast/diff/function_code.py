"""
The code of a feature view's function in a form that is equal exactly if the code does the same work.

Comments, formatting, docstrings, annotations, decorators and the names of the function and of its
own variables are not in it. What the function uses from its module is.
"""

from __future__ import annotations

import ast
import inspect
import json
import textwrap
from collections.abc import Iterator
from pathlib import Path
from types import CodeType, FunctionType, ModuleType
from typing import Any

# Code that looks at its own names can't have them changed.
_LOOKS_AT_NAMES = frozenset({"locals", "vars", "eval", "exec", "dir"})
# By these, code can read its own docstring, annotations and text.
_LOOKS_AT_ITSELF = _LOOKS_AT_NAMES | {"getattr", "globals", "compile", "type", "object", "super"}
_MODULES_THAT_LOOK = frozenset(
    {"inspect", "sys", "gc", "traceback", "types", "ctypes", "importlib", "linecache"}
)


def normalised_source(text: str) -> str:
    """
    Return a function's code in its normal form.

    Text that is no function comes back as it is. Text that holds more than one function comes back whole,
    only formatted: Feast would execute all of it.
    """
    tree = _tree(textwrap.dedent(text))
    if tree is None:
        function: _AnyFunction | None = _lambda(text)
    else:
        function = _only_function(tree, text)
        if function is None:
            return ast.unparse(tree)
    if function is None:
        return text.strip()
    if isinstance(function, ast.Lambda):
        body: list[ast.stmt] = [ast.Return(value=function.body)]
    else:
        body = function.body if _looks_at_itself(function) else _without_docstring(function.body)
    arguments = function.args
    for argument in ast.walk(arguments):
        if isinstance(argument, ast.arg) and _is_plain(argument.annotation):
            argument.annotation = None
    (normal,) = ast.parse("def function(): pass").body
    assert isinstance(normal, ast.FunctionDef)
    normal.args, normal.body = arguments, body
    if not isinstance(function, ast.Lambda) and not _is_plain(function.returns):
        normal.returns = function.returns
    return ast.unparse(ast.fix_missing_locations(_with_plain_names(normal)))


_AnyFunction = ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda
_DEFINITIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
_PLAIN = (
    *(ast.Name, ast.Attribute, ast.Subscript, ast.Constant, ast.Tuple, ast.List, ast.BinOp, ast.BitOr),
    ast.expr_context,
)


def describe_function(function: Any, folder: Path) -> dict[str, Any]:
    """
    Return what decides about a loaded function's result: its code, and what it uses from its module.

    :param folder: the repository's; functions that are defined in it count by their code, others by name.
    """
    if not isinstance(function, FunctionType):
        return {}
    return _described(function, folder, set())


def _described(function: FunctionType, folder: Path, seen: set[int]) -> dict[str, Any]:
    seen.add(id(function))
    found: dict[str, Any] = {}
    text = _text(function)
    if text is not None:
        found["source"] = normalised_source(text)
    else:
        found["code"] = _byte_code(function.__code__)
    found["uses"] = {name: _meaning(value, folder, seen) for name, value in _used(function)}
    defaults = [*(function.__defaults__ or ()), *(function.__kwdefaults__ or {}).values()]
    for index, value in enumerate(defaults):
        found["uses"][f"default {index + 1}"] = _meaning(value, folder, seen)
    return found


def _tree(text: str) -> ast.Module | None:
    try:
        return ast.parse(text)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None


def _only_function(tree: ast.Module, text: str) -> _AnyFunction | None:
    """Return the one function that a text defines, None if it does more than that."""
    if len(tree.body) != 1:
        return None
    statement = tree.body[0]
    if isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef):
        # Parsed again as Feast executes it, since indentation counts within strings.
        executed = "".join(text.splitlines(keepends=True)[statement.lineno - 1 :]).lstrip()
        again = _tree(executed)
        return again.body[0] if again and _is_function(again.body) else None  # type: ignore[return-value]
    lambdas = [node for node in ast.walk(statement) if isinstance(node, ast.Lambda)]
    defined = any(isinstance(node, _DEFINITIONS) for node in ast.walk(statement))
    return lambdas[0] if len(lambdas) == 1 and not defined else None


def _is_function(body: list[ast.stmt]) -> bool:
    return len(body) == 1 and isinstance(body[0], ast.FunctionDef | ast.AsyncFunctionDef)


def _is_plain(annotation: ast.expr | None) -> bool:
    """Whether evaluating an annotation can only look up types, so that it decides nothing."""
    if annotation is None:
        return True
    if isinstance(annotation, ast.Constant) and isinstance(annotation.value, str):
        # Feast evaluates it as well.
        inner = _tree(annotation.value)
        return inner is not None and all(
            isinstance(one, ast.Expr) and _is_plain(one.value) for one in inner.body
        )
    return all(isinstance(node, _PLAIN) for node in ast.walk(annotation))


def _looks_at_itself(function: ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
    """Whether code could read its own docstring."""
    for node in ast.walk(function):
        if isinstance(node, ast.Name) and node.id in {*_LOOKS_AT_ITSELF, function.name}:
            return True
        if isinstance(node, ast.Attribute) and node.attr.startswith("__"):
            return True
        if isinstance(node, ast.Import | ast.ImportFrom) and _MODULES_THAT_LOOK & set(_modules(node)):
            return True
    return False


def _modules(node: ast.Import | ast.ImportFrom) -> Iterator[str]:
    if isinstance(node, ast.ImportFrom):
        yield (node.module or "").split(".")[0]
    yield from (alias.name.split(".")[0] for alias in node.names)


def _lambda(text: str) -> ast.Lambda | None:
    """Find the lambda in a piece of a statement, which is all that Python can tell of its source."""
    start = text.find("lambda")
    if start < 0:
        return None
    for end in range(len(text), start, -1):
        try:
            node = ast.parse(f"({text[start:end]})", mode="eval").body
        except SyntaxError:
            continue
        if isinstance(node, ast.Lambda):
            return node
    return None


def _without_docstring(body: list[ast.stmt]) -> list[ast.stmt]:
    first = body[0]
    if isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant) and len(body) > 1:
        return body[1:]
    return body


def _with_plain_names(function: ast.FunctionDef) -> ast.FunctionDef:
    names = _own_names(function)
    if names is None:
        return function
    plain = {name: f"name_{index}" for index, name in enumerate(names)}

    class Renaming(ast.NodeTransformer):
        def visit_Name(self, node: ast.Name) -> ast.Name:
            node.id = plain.get(node.id, node.id)
            return node

        def visit_arg(self, node: ast.arg) -> ast.arg:
            node.arg = plain.get(node.arg, node.arg)
            return node

    renamed: ast.FunctionDef = Renaming().visit(function)
    return renamed


def _own_names(function: ast.FunctionDef) -> list[str] | None:
    """
    Return the names that only this function binds, in order of appearance, or None if it may look at them.

    A function within may bind a name again or be called by it; such names stay as they are.
    """
    own = [argument.arg for argument in ast.walk(function.args) if isinstance(argument, ast.arg)]
    foreign: set[str] = set()
    for node in _walk_in_order(function):
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            own.append(node.id)
        if isinstance(node, ast.Name) and node.id in _LOOKS_AT_NAMES:
            return None
        foreign.update(_bound_elsewhere(node, function))
    return [name for name in dict.fromkeys(own) if name not in foreign]


def _bound_elsewhere(node: ast.AST, function: ast.FunctionDef) -> Iterator[str]:
    if isinstance(node, ast.Global | ast.Nonlocal):
        yield from node.names
    if node is not function and isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        yield node.name
        for inner in ast.walk(node):
            if isinstance(inner, ast.arg):
                yield inner.arg
            if isinstance(inner, ast.Name) and isinstance(inner.ctx, ast.Store):
                yield inner.id
    if isinstance(node, ast.Lambda):
        yield from (inner.arg for inner in ast.walk(node.args) if isinstance(inner, ast.arg))
    if isinstance(node, ast.alias):
        yield (node.asname or node.name).split(".")[0]
    if isinstance(node, ast.ExceptHandler) and node.name:
        yield node.name
    if isinstance(node, ast.MatchAs | ast.MatchStar) and node.name:
        yield node.name


def _walk_in_order(node: ast.AST) -> Iterator[ast.AST]:
    yield node
    for child in ast.iter_child_nodes(node):
        yield from _walk_in_order(child)


def _text(function: FunctionType) -> str | None:
    try:
        return inspect.getsource(function)
    except (OSError, TypeError):
        return None


def _byte_code(code: CodeType) -> list[Any]:
    constants = [
        _byte_code(constant) if isinstance(constant, CodeType) else repr(constant)
        for constant in code.co_consts
    ]
    return [code.co_code.hex(), list(code.co_names), constants]


def _used(function: FunctionType) -> Iterator[tuple[str, Any]]:
    for name in sorted(_names(function.__code__)):
        if name in function.__globals__:
            yield name, function.__globals__[name]
    for name, cell in zip(function.__code__.co_freevars, function.__closure__ or (), strict=True):
        try:
            yield name, cell.cell_contents
        except ValueError:
            continue  # not bound yet


def _names(code: CodeType) -> set[str]:
    found = set(code.co_names)
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            found |= _names(constant)
    return found


def _meaning(value: Any, folder: Path, seen: set[int]) -> Any:
    if isinstance(value, ModuleType):
        return f"module {value.__name__}"
    if isinstance(value, FunctionType) and _is_in(folder, value):
        return "itself" if id(value) in seen else _described(value, folder, seen)
    if isinstance(value, type) and _is_in(folder, value):
        return _class(value)
    try:
        return {"value": json.loads(json.dumps(value, sort_keys=True))}
    except (TypeError, ValueError, RecursionError):
        kind = value if callable(value) and hasattr(value, "__qualname__") else type(value)
        return f"{getattr(kind, '__module__', '')}.{kind.__qualname__}"


def _class(value: type) -> str:
    try:
        return ast.unparse(ast.parse(textwrap.dedent(inspect.getsource(value))))
    except (OSError, TypeError, SyntaxError):
        return value.__qualname__


def _is_in(folder: Path, value: Any) -> bool:
    try:
        file = inspect.getsourcefile(value)
    except TypeError:
        return False
    return file is not None and Path(file).is_relative_to(folder)
