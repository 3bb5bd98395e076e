"""Several start-ups side by side."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed


def in_parallel(jobs: Sequence[Callable[[], None]], abort: Callable[[], None]) -> None:
    """
    Run the jobs side by side and wait for all.

    :param abort: called at the first error, or Ctrl-C, before it is raised; makes the other jobs end.
    """
    with ThreadPoolExecutor(len(jobs)) as pool:
        try:
            for done in as_completed([pool.submit(job) for job in jobs]):
                done.result()
        except BaseException:
            abort()
            raise
