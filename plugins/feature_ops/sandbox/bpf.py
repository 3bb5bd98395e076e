"""
Assemble the program by which the kernel decides about each system call (classic BPF).

See https://docs.kernel.org/userspace-api/seccomp_filter.html. The program finds the call's number by binary
search, then checks arguments. It is plain data, so that tests can run it for every architecture.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import NamedTuple

from feature_ops.sandbox.numbers import Architecture

#: Results of a filter.
ALLOW, ERRNO, KILL_PROCESS = 0x7FFF0000, 0x00050000, 0x80000000
#: Operations: load a word of the call's data, keep some of its bits, jump if equal, jump if not less, jump,
#: return.
LOAD, AND, JUMP_EQUAL, JUMP_NOT_LESS, JUMP, RETURN = 0x20, 0x54, 0x15, 0x35, 0x05, 0x06
_AT_NUMBER, _AT_ARCHITECTURE, _AT_ARGUMENTS = 0, 4, 16
_WORD = 0xFFFFFFFF
# The longest jump of a comparison.
_NEAR = 255


class Step(NamedTuple):
    """One instruction: jumps are numbers of instructions to skip."""

    code: int
    then: int
    otherwise: int
    value: int


class Check(NamedTuple):
    """Holds if the bits of an argument that the mask selects have a value."""

    argument: int
    mask: int
    value: int


class Decision(NamedTuple):
    """
    What happens to a system call.

    :param alternatives: the call is allowed if all checks of one alternative hold.
    :param otherwise: the filter's result if none does.
    """

    alternatives: tuple[tuple[Check, ...], ...]
    otherwise: int


def allow() -> Decision:
    """Allow a call."""
    return Decision((), ALLOW)


def errno_of(number: int) -> Decision:
    """Let a call fail with an error number; with 0 it does nothing and reports success."""
    return Decision((), ERRNO | number)


def kill() -> Decision:
    """End the process that makes the call."""
    return Decision((), KILL_PROCESS)


def either(*alternatives: Sequence[Check]) -> Decision:
    """Allow a call if all checks of any alternative hold; else it fails with EPERM."""
    return Decision(tuple(tuple(checks) for checks in alternatives), ERRNO | 1)


def only_if(*checks: Check) -> Decision:
    """Allow a call if all checks hold; else it fails with EPERM."""
    return either(checks)


def assemble(architecture: Architecture, decisions: Mapping[int, Decision], unknown: Decision) -> list[Step]:
    """
    Return the program of a filter.

    Calls of another architecture, or of another calling convention, end the process.

    :param decisions: by system call number.
    :param unknown: for every other number.
    """
    return [
        Step(LOAD, 0, 0, _AT_ARCHITECTURE),
        Step(JUMP_EQUAL, 1, 0, architecture.audit),
        Step(RETURN, 0, 0, KILL_PROCESS),
        Step(LOAD, 0, 0, _AT_NUMBER),
        *_search(_ranges(architecture, decisions, unknown)),
    ]


def _ranges(
    architecture: Architecture, decisions: Mapping[int, Decision], unknown: Decision
) -> list[tuple[int, Decision]]:
    """Return ranges of numbers with the same decision by their starts; they cover all numbers."""
    starts = {0: unknown}
    for number in sorted(decisions):
        starts[number] = decisions[number]
        starts[number + 1] = unknown
    if architecture.other_abi is not None:
        starts[architecture.other_abi] = kill()
    ordered = sorted(starts.items())
    changed = [after for before, after in pairwise(ordered) if before[1] != after[1]]
    return [ordered[0], *changed]


def _search(ranges: list[tuple[int, Decision]]) -> list[Step]:
    if len(ranges) == 1:
        return _decide(ranges[0][1])
    middle = len(ranges) // 2
    lower, upper = _search(ranges[:middle]), _search(ranges[middle:])
    first = ranges[middle][0]
    if len(lower) <= _NEAR:
        return [Step(JUMP_NOT_LESS, len(lower), 0, first), *lower, *upper]
    return [Step(JUMP_NOT_LESS, 0, 1, first), Step(JUMP, 0, 0, len(lower)), *lower, *upper]


def _decide(decision: Decision) -> list[Step]:
    steps: list[Step] = []
    for alternative in decision.alternatives:
        steps += _all_hold(alternative)
    return [*steps, Step(RETURN, 0, 0, decision.otherwise)]


def _all_hold(checks: Sequence[Check]) -> list[Step]:
    """Allow if all checks hold, else go on behind."""
    words = [word for check in checks for word in _words(check)]
    steps: list[Step] = []
    for left, (offset, mask, value) in zip(range(len(words) - 1, -1, -1), words, strict=True):
        # Skips the three instructions of every further word, and the return.
        steps += [
            Step(LOAD, 0, 0, offset),
            Step(AND, 0, 0, mask),
            Step(JUMP_EQUAL, 0, 3 * left + 1, value),
        ]
    return [*steps, Step(RETURN, 0, 0, ALLOW)]


def _words(check: Check) -> list[tuple[int, int, int]]:
    """Return offset, mask and value of the 32-bit words of an argument that a check is about."""
    offset = _AT_ARGUMENTS + 8 * check.argument
    halves = (
        (offset, check.mask & _WORD, check.value & _WORD),
        (offset + 4, check.mask >> 32, check.value >> 32),
    )
    return [half for half in halves if half[1]]
