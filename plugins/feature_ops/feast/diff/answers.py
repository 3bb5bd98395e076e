"""
The messages of the process that runs untrusted code, checked by their shape before anything is made of them.

A fork that ran a repository's code may write any bytes: what is not exactly an answer is forged. Without
pydantic, which refuses the surrogates that stand for odd names of files.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from typing import Any

# Kinds of error that only this package's own code reports.
ENDED, OBJECTS = "ended", "objects"
_LONGEST = 4000

_FOUND: Mapping[Any, Any] = {
    "project": str,
    "protos": [{"kind": str, "name": str, "message": str}],
    "functions": {str: dict},
    "incomplete": [str],
    "open": [str],
}
_RESULT: Mapping[Any, Any] = {"definitions": dict, "open": [str], "output": str}
_FAILURE: Mapping[Any, Any] = {"error": {str: str}, "output": str}
_ERROR = ("kind", "text", "file", "line", "name", "environment", "link")


class NotAnAnswerError(ValueError):
    """A message has not the shape that was agreed on."""


def read_answer(text: bytes) -> dict[str, Any]:
    """
    Return what a fork answered: ``error`` alone, with all its texts, or all that a folder defines.

    :raises NotAnAnswerError: for anything else.
    """
    answer = _json(text)
    if _fits(answer, {"error": {str: str}}):
        error = _error(answer["error"])
        if error["kind"] in (ENDED, OBJECTS):
            error["kind"] = f"class {error['kind']}"
        return {"error": error}
    if _fits(answer, _FOUND):
        return dict(answer)
    raise NotAnAnswerError("neither an error nor definitions")


def read_results(text: bytes, labels: Collection[str]) -> dict[str, dict[str, Any]]:
    """
    Return what the process that started the forks reports for each folder.

    :param labels: the folders that were requested.
    :raises NotAnAnswerError: for anything else.
    """
    results = _json(text)
    if not isinstance(results, dict) or set(results) != set(labels):
        raise NotAnAnswerError("not about the folders that were requested")
    for result in results.values():
        if _fits(result, _FAILURE):
            result["error"] = _error(result["error"])
        elif not _fits(result, _RESULT):
            raise NotAnAnswerError("neither an error nor definitions")
    return results


def _json(text: bytes) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise NotAnAnswerError(str(error)) from None


def _error(texts: Mapping[str, str]) -> dict[str, str]:
    """Return all texts of an error, none of them too long, those that are missing empty."""
    if not {"kind", "text"} <= set(texts) <= set(_ERROR) or not texts["kind"]:
        raise NotAnAnswerError("not an error")
    return {name: texts.get(name, "")[:_LONGEST] for name in _ERROR}


def _fits(value: Any, shape: Any) -> bool:
    """
    Whether a value has a shape.

    :param shape: a type; a list of one shape; a dictionary of a shape for any key (``{str: shape}``) or for
        exactly the keys that it names.
    """
    if isinstance(shape, type):
        return isinstance(value, shape)
    if isinstance(shape, list):
        return isinstance(value, list) and all(_fits(item, shape[0]) for item in value)
    if not isinstance(value, dict):
        return False
    if set(shape) == {str}:
        return all(_fits(item, shape[str]) for item in value.values())
    return set(value) == set(shape) and all(_fits(item, shape[key]) for key, item in value.items())
