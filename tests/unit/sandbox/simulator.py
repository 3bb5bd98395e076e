"""Runs a filter's program as the kernel does, for any architecture."""

from __future__ import annotations

import struct
from collections.abc import Sequence

from feature_ops.sandbox import bpf


def run(steps: Sequence[bpf.Step], audit: int, number: int, arguments: Sequence[int] = ()) -> int:
    """Return the result for one system call; the data is the kernel's ``struct seccomp_data``."""
    filled = [value & 0xFFFFFFFFFFFFFFFF for value in (*arguments, 0, 0, 0, 0, 0, 0)[:6]]
    data = struct.pack("<IIQ6Q", number & 0xFFFFFFFF, audit, 0x7F0000001000, *filled)
    accumulator, at = 0, 0
    while True:
        code, then, otherwise, value = steps[at]
        at += 1
        if code == bpf.LOAD:
            assert value % 4 == 0
            (accumulator,) = struct.unpack_from("<I", data, value)
        elif code == bpf.AND:
            accumulator &= value
        elif code == bpf.JUMP_EQUAL:
            at += then if accumulator == value else otherwise
        elif code == bpf.JUMP_NOT_LESS:
            at += then if accumulator >= value else otherwise
        elif code == bpf.JUMP:
            at += value
        else:
            assert code == bpf.RETURN
            return value
