"""Single Arrow values as messages show them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from feature_ops.datasets.plain_arrays import is_list
from feature_ops.datasets.scalar_casts import is_text

if TYPE_CHECKING:
    import pyarrow as pa

_ELEMENTS_SHOWN = 50


@dataclass(frozen=True)
class _Unquoted:
    """A text that messages show without quotes, as it is not the value itself."""

    text: str

    def __str__(self) -> str:
        return self.text


def shown_scalar(value: pa.Scalar) -> object:
    """Return a value as Python shows it, also where Python has no such value, as for nanoseconds."""
    import pyarrow as pa
    import pyarrow.types as t

    if not value.is_valid:
        return None
    if t.is_timestamp(value.type):
        # Without its zone, which may be unknown here.
        text = pa.scalar(value.value, pa.timestamp(value.type.unit)).cast(pa.string()).as_py()
        return _Unquoted(f"{text} UTC" if value.type.tz else text)
    if is_list(value.type) and len(value) > _ELEMENTS_SHOWN:
        return _Unquoted(f"{str(value.values.slice(0, _ELEMENTS_SHOWN).to_pylist())[:-1]}, ...]")
    try:
        return value.as_py()
    except Exception:
        if is_text(value.type):
            return value.as_buffer().to_pybytes()
        return _Unquoted(f"a value of type {value.type}")
