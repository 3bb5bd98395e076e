"""
Commands to a Redis-protocol server, written for all rows at once.

Source of the format: https://valkey.io/topics/protocol/. A command is an array of bulk strings.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from feature_ops.feast.engine.wire import EMPTY, Ints, lengths_of

_KNOWN_LENGTHS = 1_024


def bulk(value: bytes) -> bytes:
    """Return one value as a bulk string."""
    return b"$%d\r\n%s\r\n" % (len(value), value)


def command(*arguments: bytes) -> bytes:
    """Return one command."""
    return b"*%d\r\n" % len(arguments) + b"".join(map(bulk, arguments))


def commands(arguments: Sequence[bytes | pa.LargeBinaryArray]) -> pa.LargeBinaryArray:
    """
    Return one command per row.

    :param arguments: each is the same for all rows, or has one value a row; at least one has.
    """
    return _joined(arguments, b"*%d\r\n" % len(arguments))


def bulks(values: pa.LargeBinaryArray) -> pa.LargeBinaryArray:
    """Return each row's value as a bulk string."""
    return _joined([values], b"")


def _joined(arguments: Sequence[bytes | pa.LargeBinaryArray], start: bytes) -> pa.LargeBinaryArray:
    parts: list[Any] = []
    constant = start
    for argument in arguments:
        if isinstance(argument, bytes):
            constant += bulk(argument)
            continue
        # What is the same for all rows goes into the table of headers, which spares a copy.
        parts += [_headers(lengths_of(argument), constant + b"$"), argument]
        constant = b"\r\n"
    return pc.binary_join_element_wise(*parts, pa.scalar(constant, pa.large_binary()), EMPTY)


def _headers(lengths: Ints, before: bytes) -> pa.LargeBinaryArray:
    if not len(lengths) or lengths.max() < _KNOWN_LENGTHS:
        return _known_headers(before).take(pa.array(lengths))
    digits = pa.array(lengths).cast(pa.large_string()).cast(pa.large_binary())
    return pc.binary_join_element_wise(
        pa.scalar(before, pa.large_binary()), digits, pa.scalar(b"\r\n", pa.large_binary()), EMPTY
    )


@cache
def _known_headers(before: bytes) -> pa.LargeBinaryArray:
    return pa.array([before + b"%d\r\n" % length for length in range(_KNOWN_LENGTHS)], pa.large_binary())
