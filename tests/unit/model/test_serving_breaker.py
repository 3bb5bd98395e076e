"""The circuit opens after failures in a row, and one probe at a time finds out whether to close it."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from jukebox.serving.breaker import CircuitBreaker, Permit

FAILURES, PAUSE = 3, 10


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def opened() -> tuple[CircuitBreaker, Clock]:
    clock = Clock()
    breaker = CircuitBreaker(FAILURES, PAUSE, clock)
    for _ in range(FAILURES):
        breaker.leave(Permit.CALL, succeeded=False)
    return breaker, clock


def test_opens_after_failures_in_a_row_only() -> None:
    breaker = CircuitBreaker(FAILURES, PAUSE, Clock())
    for succeeded in (False, False, True, False, False):
        assert breaker.enter() is Permit.CALL
        breaker.leave(Permit.CALL, succeeded)
    assert not breaker.is_open
    breaker.leave(Permit.CALL, succeeded=False)
    assert breaker.is_open


def test_lets_nothing_pass_during_the_pause_and_one_probe_after_it() -> None:
    breaker, clock = opened()
    clock.now = PAUSE - 1
    assert breaker.enter() is None
    clock.now = PAUSE
    assert [breaker.enter() for _ in range(3)] == [Permit.PROBE, None, None]


def test_a_probe_that_fails_begins_another_pause() -> None:
    breaker, clock = opened()
    clock.now = PAUSE
    assert breaker.enter() is Permit.PROBE
    clock.now = PAUSE + 5
    breaker.leave(Permit.PROBE, succeeded=False)
    clock.now = 2 * PAUSE + 4
    assert breaker.enter() is None
    clock.now = 2 * PAUSE + 5
    assert breaker.enter() is Permit.PROBE


def test_a_probe_that_succeeds_closes_the_circuit() -> None:
    breaker, clock = opened()
    clock.now = PAUSE
    assert breaker.enter() is Permit.PROBE
    breaker.leave(Permit.PROBE, succeeded=True)
    assert [breaker.enter() for _ in range(3)] == [Permit.CALL] * 3
    breaker.leave(Permit.CALL, succeeded=False)
    assert not breaker.is_open, "earlier failures are forgotten"


# Advance the clock by some seconds, enter, or leave with the oldest or newest permit.
STEPS = st.lists(
    st.one_of(st.integers(1, PAUSE), st.just("enter"), st.tuples(st.sampled_from([0, -1]), st.booleans())),
    max_size=60,
)


@given(STEPS)
def test_whatever_happens_in_any_order(steps: list[int | str | tuple[int, bool]]) -> None:
    clock = Clock()
    breaker = CircuitBreaker(FAILURES, PAUSE, clock)
    held: list[Permit] = []
    refused_until = 0.0
    for step in steps:
        if isinstance(step, int):
            clock.now += step
        elif isinstance(step, tuple):
            if held:
                was_open, permit = breaker.is_open, held.pop(step[0])
                breaker.leave(permit, step[1])
                if permit is Permit.PROBE:
                    assert breaker.is_open is not step[1]
                else:
                    assert breaker.is_open or not was_open, "only a probe closes the circuit"
                if breaker.is_open and (permit is Permit.PROBE or not was_open):
                    refused_until = clock.now + PAUSE
        else:
            was_open, permit_or_none = breaker.is_open, breaker.enter()
            is_probing = Permit.PROBE in held
            expected = None if is_probing or clock.now < refused_until else Permit.PROBE
            assert permit_or_none is (expected if was_open else Permit.CALL)
            if permit_or_none:
                held.append(permit_or_none)
    assert held.count(Permit.PROBE) <= 1
