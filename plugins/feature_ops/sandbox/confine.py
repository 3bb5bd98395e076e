"""Enter the sandbox: the current process keeps what its profile names, and nothing else, for good."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Collection
from pathlib import Path

from feature_ops.sandbox import landlock, seccomp
from feature_ops.sandbox.capabilities import drop_privileges
from feature_ops.sandbox.features import Feature, SandboxError, require
from feature_ops.sandbox.identity import count_apart
from feature_ops.sandbox.libc import failure, prctl
from feature_ops.sandbox.limits import apply_limits, limit_threads
from feature_ops.sandbox.profile import Profile

_PR_SET_PDEATHSIG = 1


def confine(profile: Profile, *, required: Collection[str] = (), parent: int | None = None) -> list[Feature]:
    """
    Sandbox the current process and all that it starts.

    :param required: features without which nothing may run (``FEATURE_OPS_SANDBOX_REQUIRED``).
    :param parent: process whose end ends this one; by default the current parent. Pass what the parent itself
        named, as it may have ended already.
    :return: the features that are missing on this machine.
    :raises SandboxError: a required feature is missing, one that the kernel has does not work, or the process
        has several threads, of which most protections would reach one only.
    """
    if sys.platform != "linux":
        apply_limits(profile.limits)
        absent = unavailable(profile)
        require(absent, required)
        return absent
    _require_single_thread()
    absent = unavailable(profile)
    require(absent, required)
    if profile.limits.threads is not None:
        if count_apart(profile.processes):
            limit_threads(profile.limits.threads)
        else:
            absent = [*absent, Feature.THREAD_LIMIT]
            require(absent, required)
    apply_limits(profile.limits)
    drop_privileges()
    # Behind all changes of identity, as they clear it.
    end_with_parent(os.getppid() if parent is None else parent)
    if Feature.LANDLOCK not in absent:
        landlock.restrict(profile)
    if Feature.SECCOMP not in absent:
        seccomp.install(profile, os.getpid())
    return absent


def unavailable(profile: Profile) -> list[Feature]:
    """Return the features that a profile uses and this machine lacks, as far as they can be looked up."""
    if sys.platform != "linux":
        lacking = [Feature.SECCOMP, Feature.LANDLOCK, Feature.PARENT_DEATH]
        return [*lacking, Feature.THREAD_LIMIT] if profile.limits.threads is not None else lacking
    abi = landlock.version()
    return [
        feature
        for feature, exists in (
            (Feature.SECCOMP, seccomp.is_available()),
            (Feature.LANDLOCK, abi > 0),
            (Feature.LANDLOCK_NETWORK, abi >= landlock.NETWORK or not profile.ports),
            (Feature.LANDLOCK_SIGNALS, abi >= landlock.SIGNALS or not profile.processes),
        )
        if not exists
    ]


def end_with_parent(parent: int) -> None:
    """
    Let the kernel kill this process when its parent ends; the filter keeps it from changing that.

    :raises SandboxError: if the parent has ended already.
    """
    if prctl(_PR_SET_PDEATHSIG, signal.SIGKILL) != 0:
        raise failure("the signal at the parent's end can't be set")
    if os.getppid() != parent:
        raise SandboxError("the parent process has ended")


def _require_single_thread() -> None:
    threads = len(list(Path("/proc/self/task").iterdir()))
    if threads != 1:
        raise SandboxError(
            f"the process has {threads} threads, and a sandbox holds for one: enter it before libraries "
            "start threads"
        )
