"""Times of labels in the unit of a source's times: whole numbers are compared, rounded the right way."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from feature_ops.feast.engine.wire import Bools, Ints, to_ints

_FIRST, _LAST = np.iinfo(np.int64).min, np.iinfo(np.int64).max
_PER_SECOND = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}


@dataclass(frozen=True)
class Moments:
    """
    One time for each label.

    :param counts: in ``unit`` since 1970; anything where there is no time.
    :param known: where there is one.
    :param unit: ``us`` or ``ns``.
    """

    counts: Ints
    known: Bools
    unit: str

    @classmethod
    def of(cls, column: pa.Array) -> Moments:
        """Take a column of Arrow timestamps."""
        unit = "ns" if column.type.unit == "ns" else "us"
        counts = to_ints(column.cast(pa.int64()))
        known: Bools = column.is_valid().to_numpy(zero_copy_only=False)
        return cls(_times(counts, _PER_SECOND[unit] // _PER_SECOND[column.type.unit]), known, unit)

    def last(self, unit: str) -> Ints:
        """Return the last whole count of a unit that is not after each moment."""
        return _in_unit(self.counts, self.unit, unit, up=False)

    def first(self, unit: str, ttl: timedelta) -> Ints:
        """Return the first whole count of a unit that is not more than ``ttl`` before each moment."""
        span = min(ttl // timedelta(microseconds=1) * (_PER_SECOND[self.unit] // 10**6), _LAST)
        earlier = np.where(self.counts < _FIRST + span, _FIRST, self.counts - span)
        return _in_unit(earlier, self.unit, unit, up=True)


def _in_unit(counts: Ints, unit: str, wanted: str, *, up: bool) -> Ints:
    if _PER_SECOND[wanted] >= _PER_SECOND[unit]:
        return _times(counts, _PER_SECOND[wanted] // _PER_SECOND[unit])
    whole, rest = np.divmod(counts, _PER_SECOND[unit] // _PER_SECOND[wanted])
    return whole + (rest > 0) if up else whole


def _times(counts: Ints, factor: int) -> Ints:
    """Multiply; what 64 bits can't hold becomes the first or last that they can."""
    if factor == 1:
        return counts
    bounded: npt.NDArray[np.int64] = np.clip(counts, -(_LAST // factor), _LAST // factor)
    return bounded * factor
