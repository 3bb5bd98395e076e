"""Two functions have one normal form exactly if they do the same work."""

from __future__ import annotations

from pathlib import Path

import pytest

from feature_ops.feast.diff.function_code import describe_function, normalised_source

BASE = "def f(inputs):\n    total = inputs['a'] + 1\n    return {'total': total}\n"

SAME = {
    "comment": BASE.replace("    return", "    # why\n    return"),
    "docstring": BASE.replace("(inputs):\n", '(inputs):\n    """Say."""\n'),
    "quotes and brackets": BASE.replace("inputs['a'] + 1", '(inputs["a"] + 1)'),
    "its own name": BASE.replace("def f", "def g"),
    "names of its variables": BASE.replace("total =", "t =").replace("'total': total", "'total': t"),
    "name of its argument": BASE.replace("inputs", "df"),
    "annotations": BASE.replace("(inputs)", "(inputs: dict) -> dict"),
    "decorator": f"@view(schema=[1, 2], udf=lambda x: x)\n{BASE}",
    "indentation": "".join(f"    {line}\n" for line in BASE.splitlines()),
}
OTHER = {
    "constant": BASE.replace("+ 1", "+ 2"),
    "key": BASE.replace("'a'", "'b'"),
    "operator": BASE.replace("+ 1", "- 1"),
    "a line more": BASE.replace("    return", "    total += 1\n    return"),
    "default": BASE.replace("(inputs)", "(inputs, by=1)"),
    "another name of the module": BASE.replace("+ 1", "+ ONE"),
}


@pytest.mark.parametrize("name", SAME)
def test_what_does_the_same_is_the_same(name: str) -> None:
    assert normalised_source(SAME[name]) == normalised_source(BASE)


# Pairs of texts that Feast executes differently.
DIFFERENT = {
    "a second statement": (BASE, f"{BASE}f = lambda inputs: None\n"),
    "another second statement": (f"{BASE}f = 1\n", f"{BASE}f = 2\n"),
    "a statement before": (f"a = 1\n{BASE}", f"a = 2\n{BASE}"),
    "a call in an annotation": (
        BASE.replace("(inputs)", "(inputs: g(1))"),
        BASE.replace("(inputs)", "(inputs: g(2))"),
    ),
    "a call in an annotation as text": (
        BASE.replace("):", ") -> 'g(1)':"),
        BASE.replace("):", ") -> 'g(2)':"),
    ),
    "a docstring that is read": (
        "def f(inputs):\n    '1'\n    return eval(f.__doc__)\n",
        "def f(inputs):\n    '2'\n    return eval(f.__doc__)\n",
    ),
    "a docstring that is read by a frame": (
        "def f(inputs):\n    '1'\n    import sys\n    return sys._getframe().f_code.co_consts[0]\n",
        "def f(inputs):\n    '2'\n    import sys\n    return sys._getframe().f_code.co_consts[0]\n",
    ),
    "indentation within text": (
        '    def f(inputs):\n        return """\n    x"""\n',
        'def f(inputs):\n    return """\nx"""\n',
    ),
}


@pytest.mark.parametrize("name", DIFFERENT)
def test_what_feast_executes_differently_differs(name: str) -> None:
    one, other = DIFFERENT[name]
    assert normalised_source(one) != normalised_source(other)


@pytest.mark.parametrize("name", OTHER)
def test_what_does_something_else_is_not(name: str) -> None:
    assert normalised_source(OTHER[name]) != normalised_source(BASE)


def test_a_lambda_within_a_statement_is_found() -> None:
    one = normalised_source("    udf=lambda df: df.assign(a=df['b'] * 2),\n")
    two = normalised_source('view = View(name="x", udf=lambda rows: rows.assign(a=rows["b"]*2))  # twice\n')
    assert one == two
    assert one != normalised_source("udf=lambda df: df.assign(a=df['b'] * 3)")


def test_swapped_variables_are_not_the_same() -> None:
    assert normalised_source("def f(a, b):\n    return a - b") != normalised_source(
        "def f(a, b):\n    return b - a"
    )


def test_names_that_inner_functions_bind_stay() -> None:
    inner = "def f(x):\n    def g({0}):\n        return {0} + x\n    return g({0}=1)"
    assert "g(y=1)" in normalised_source(inner.format("y"))
    assert normalised_source(inner.format("y")) != normalised_source(inner.format("z"))


def test_code_that_looks_at_its_names_keeps_them() -> None:
    looking = "def f(a):\n    b = a\n    return locals()"
    assert normalised_source(looking) != normalised_source(looking.replace("b =", "c ="))


def test_text_that_is_no_code_is_kept() -> None:
    assert normalised_source(" SELECT 1 ") == "SELECT 1"


def test_what_a_function_uses_is_told_and_foreign_functions_only_named(tmp_path: Path) -> None:
    file = tmp_path / "module.py"
    file.write_text(
        "import json\nRATE = 2\nTABLE = {'a': [1, 2]}\nUNKNOWN = object()\n"
        "class Kind:\n    size = 1\n"
        "def helper(x):\n    return x * RATE\n"
        "def outer(n):\n    def inner(x):\n        return x + n\n    return inner\n"
        "def f(x, by=3):\n    return helper(x), json.dumps, TABLE, UNKNOWN, Kind, f\n"
        "closed = outer(5)\n"
    )
    namespace: dict[str, object] = {}
    exec(compile(file.read_text(), str(file), "exec"), namespace)
    uses = describe_function(namespace["f"], tmp_path)["uses"]
    assert uses["helper"]["uses"] == {"RATE": {"value": 2}}
    assert uses["json"] == "module json"
    assert uses["TABLE"] == {"value": {"a": [1, 2]}}
    assert uses["UNKNOWN"] == "builtins.object"
    assert uses["f"] == "itself"
    assert uses["default 1"] == {"value": 3}
    assert describe_function(namespace["closed"], tmp_path)["uses"] == {"n": {"value": 5}}


def test_what_is_no_function_has_no_code(tmp_path: Path) -> None:
    assert describe_function(None, tmp_path) == {}
