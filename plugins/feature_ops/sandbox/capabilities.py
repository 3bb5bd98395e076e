"""Give up every capability of the current process, and every way to gain privileges, for good."""

from __future__ import annotations

import ctypes

from feature_ops.sandbox.features import SandboxError
from feature_ops.sandbox.libc import failure, load_libc, prctl

_PR_CAPBSET_READ, _PR_CAPBSET_DROP, _PR_SET_NO_NEW_PRIVS, _PR_CAP_AMBIENT = 23, 24, 38, 47
_CLEAR_ALL = 4
_VERSION_3 = 0x20080522


class _Header(ctypes.Structure):
    _fields_ = (("version", ctypes.c_uint32), ("pid", ctypes.c_int))


class _Data(ctypes.Structure):
    _fields_ = (
        ("effective", ctypes.c_uint32),
        ("permitted", ctypes.c_uint32),
        ("inheritable", ctypes.c_uint32),
    )


def drop_privileges() -> None:
    """
    Drop the ambient, bounding, effective, permitted and inheritable capabilities; set ``no_new_privs``.

    :raises SandboxError: if a capability remains.
    """
    if prctl(_PR_SET_NO_NEW_PRIVS, 1) != 0:
        raise failure("no_new_privs can't be set")
    prctl(_PR_CAP_AMBIENT, _CLEAR_ALL)  # EINVAL before Linux 4.3, which has none
    _drop_bounding()
    header, nothing = _Header(_VERSION_3, 0), (_Data * 2)()
    if load_libc().capset(ctypes.byref(header), nothing) != 0:
        raise failure("capabilities can't be dropped")
    if any(held for held in current_capabilities()):
        raise SandboxError("capabilities remain after they were dropped")


def current_capabilities() -> tuple[int, int, int]:
    """Return the effective, permitted and inheritable capabilities as bit masks."""
    header, data = _Header(_VERSION_3, 0), (_Data * 2)()
    if load_libc().capget(ctypes.byref(header), data) != 0:
        raise failure("capabilities can't be read")
    low, high = data
    return (
        low.effective | high.effective << 32,
        low.permitted | high.permitted << 32,
        low.inheritable | high.inheritable << 32,
    )


def _drop_bounding() -> None:
    """Empty the set that programs gain from; without CAP_SETPCAP it is left to ``no_new_privs``."""
    for number in range(64):
        if prctl(_PR_CAPBSET_READ, number) < 0:
            return
        prctl(_PR_CAPBSET_DROP, number)
