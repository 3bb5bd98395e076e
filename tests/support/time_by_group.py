"""The table at the end of a run: how long each group of tests took, and which tests are too slow."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator

import pytest

# Seconds of a test with its fixtures. They depend on the machine, so a slow test is reported, not failed.
LIMIT = 20.0

# Slower for a reason. The name is that of a test, or of all its variants.
SLOW = {
    "test_story": "acts of the story in a real scheduler",
    "test_make_demo_make_shell_git_clone_and_make_demo_reset": "starts a stack by the README's command",
    "test_the_page_leads_from_feast_init_to_both_dags": "follows a page with five runs of DAGs",
    "test_both_dags_work_on_another_shape_with_declarations_only": "six runs of DAGs",
    "test_every_sequence_of_runs_leaves_what_the_model_says": "random sequences of runs",
    "test_retries_complete_what_lost_connections_broke_off": "78 connections that are cut",
    "test_a_retry_completes_what_a_killed_try_began": "32 workers that are killed",
    "test_a_run_with_another_input_completes_what_a_killed_run_began": "23 of them, followed by another run",
    "test_a_restart_in_the_middle_of_each_step_that_uses_the_server": "restarts a server for each step",
}


def table(reports: Iterable[pytest.TestReport]) -> Iterator[str]:
    """Yield the lines: per group the number of tests and their seconds, then the slow tests."""
    tests: dict[str, float] = defaultdict(float)
    for report in reports:
        tests[report.nodeid] += report.duration
    groups: dict[str, list[float]] = defaultdict(list)
    for name, seconds in tests.items():
        groups[_group(name)].append(seconds)
    total = sum(tests.values())
    yield f"{'group':<34}{'tests':>6}{'seconds':>9}{'share':>8}"
    for group, times in sorted(groups.items(), key=lambda item: -sum(item[1])):
        yield f"{group:<34}{len(times):>6}{sum(times):>9.0f}{sum(times) / total:>8.0%}"
    yield f"{'all':<34}{len(tests):>6}{total:>9.0f}"
    for name, seconds in sorted(tests.items(), key=lambda item: -item[1]):
        if seconds > LIMIT and _function(name) not in SLOW:
            yield f"SLOW: {name} took {seconds:.0f} s: make it faster, or add the reason to {__name__}.SLOW"


def _group(name: str) -> str:
    """Return the test's folder, at most three levels deep."""
    return "/".join(name.partition("::")[0].split("/")[:-1][:3])


def _function(name: str) -> str:
    return name.partition("::")[2].partition("[")[0]
