"""The kernel features that the sandbox uses, which of them are missing here, and which a setting requires."""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterable
from enum import StrEnum

from feature_ops.exceptions import FeatureOpsError

log = logging.getLogger(__name__)
_logged: set[Feature] = set()


class Feature(StrEnum):
    """A protection that depends on the kernel or on how the process was started."""

    SECCOMP = "seccomp"
    LANDLOCK = "landlock"
    LANDLOCK_NETWORK = "landlock_network"
    LANDLOCK_SIGNALS = "landlock_signals"
    THREAD_LIMIT = "thread_limit"
    PARENT_DEATH = "parent_death"
    PROCESS_NAMESPACE = "process_namespace"


#: What each feature needs, and what is not protected without it.
WITHOUT = {
    Feature.SECCOMP: "no seccomp filter (Linux on x86-64 or 64-bit ARM): every system call is allowed",
    Feature.LANDLOCK: "no Landlock (Linux 5.13): all files that this user can read or write are open",
    Feature.LANDLOCK_NETWORK: "no Landlock ABI 4 (Linux 6.7): TCP connections to all ports are allowed",
    Feature.LANDLOCK_SIGNALS: "no Landlock ABI 6 (Linux 6.12): signals reach all processes of this user",
    Feature.THREAD_LIMIT: (
        "no limit of threads (needs user namespaces, or CAP_SETUID as root): they are limited by memory only"
    ),
    Feature.PARENT_DEATH: "no signal when the parent ends (Linux): a process can outlive its task",
    Feature.PROCESS_NAMESPACE: (
        "no process namespace (needs user namespaces, or CAP_SYS_ADMIN): processes that leave their session "
        "outlive a task whose guard is killed"
    ),
}


class SandboxError(FeatureOpsError):
    """The sandbox can't be set up; the code that it is for was not run."""


def require(missing: Iterable[Feature], required: Collection[str]) -> None:
    """
    Raise if a required feature is missing.

    :param required: names of features, from the setting ``sandbox_required``.
    """
    lacking = [feature for feature in missing if feature in required]
    if lacking:
        raise SandboxError(
            f"FEATURE_OPS_SANDBOX_REQUIRED names {', '.join(lacking)}, but this machine has "
            f"{'; '.join(WITHOUT[feature] for feature in lacking)}. Use a kernel and a container runtime "
            "that allow it, or remove it from the setting"
        )


def log_missing(missing: object) -> None:
    """
    Log each missing feature, once per process.

    :param missing: a list of names; anything else is ignored, as a sandboxed process may report it.
    """
    names = missing if isinstance(missing, list) else []
    for feature in Feature:
        if feature in names and feature not in _logged:
            _logged.add(feature)
            log.warning("The sandbox is weaker on this machine: %s.", WITHOUT[feature])
