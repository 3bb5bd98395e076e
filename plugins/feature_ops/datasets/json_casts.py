"""Columns that are kept as a JSON text: what came as JSON stays as it is, maps are written in one way."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NoReturn

from feature_ops.datasets.scalar_casts import cast_scalars, is_text

if TYPE_CHECKING:
    import pyarrow as pa


def is_map_castable(source: pa.DataType) -> bool:
    """Whether values may become maps of texts: parquet's own maps, structs of texts, or JSON objects."""
    import pyarrow.types as t

    if t.is_map(source):
        return is_text(source.key_type) and (is_text(source.item_type) or t.is_null(source.item_type))
    if t.is_struct(source):
        return all(is_text(field.type) or t.is_null(field.type) for field in source)
    return is_text(source)


def cast_json(array: pa.Array) -> pa.Array:
    """Return texts, unchanged; raises ``ValueError`` if one is no JSON."""
    import pyarrow as pa

    texts = cast_scalars(array, pa.string())
    for text in texts.drop_null().to_pylist():
        _parsed(text)
    return texts


def cast_maps(array: pa.Array) -> pa.Array:
    """
    Return maps as JSON objects with their keys in order, so that equal maps are equal texts.

    :raises ValueError: one has a key twice, or a value that is no text.
    """
    import pyarrow as pa

    if is_text(array.type):
        texts = cast_scalars(array, pa.string()).to_pylist()
        found = [None if text is None else _parsed(text, _distinct) for text in texts]
    else:
        found = array.to_pylist()
    return pa.array([None if value is None else _written(value) for value in found], pa.string())


def _parsed(text: str, made_of: Callable[[list[tuple[str, Any]]], Any] | None = None) -> Any:
    try:
        return json.loads(text, parse_constant=_no_number, object_pairs_hook=made_of)
    except RecursionError:
        raise ValueError("too deep") from None


def _no_number(text: str) -> NoReturn:
    # Python reads and writes NaN and Infinity; JSON has neither.
    raise ValueError(f"{text} is no JSON")


def _distinct(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a key stands there twice")
    return found


def _written(value: Any) -> str:
    # Arrow gives a map as pairs, and a struct as a dict.
    pairs = [(_text(key), _text(item)) for key, item in dict(value).items()]
    if not isinstance(value, dict):
        _distinct(value)
    if not all(isinstance(key, str) and isinstance(item, str | None) for key, item in pairs):
        raise ValueError("not a map of texts")
    text = json.dumps(dict(pairs), sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    text.encode()  # half of a surrogate pair is no text
    return text


def _text(value: Any) -> Any:
    return value.decode() if isinstance(value, bytes) else value
