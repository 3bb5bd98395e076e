"""
The conditions under which definitions are read: clock, random numbers, process ids, host name, directory
order.

Definitions are read twice, under two sets of fixed values. What depends on one of them differs between the
two and is refused. What depends on nothing is the same on every machine and at any time.

The values are set for Python code. Code that asks the operating system past Python gets the true ones.
"""

from __future__ import annotations

import datetime
import os
import random
import socket
import sys
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from typing import Any

# : Values by name, for a first and a second reading. The two times differ in each part, from the year to the
# second. : The process ids are above the highest that Linux gives out, so that no signal reaches another
# process.
CONDITIONS: tuple[Mapping[str, Any], ...] = (
    {
        "now": 1_000_000_000,
        "seed": 1,
        "process": 1 << 23,
        "host": "first",
        "reverse": False,
        "hash_seed": "1",
    },
    {
        "now": 2_123_500_003,
        "seed": 2,
        "process": (1 << 23) + 7,
        "host": "second",
        "reverse": True,
        "hash_seed": "2",
    },
)


def impose(values: Mapping[str, Any]) -> None:
    """
    Set the conditions of this process from now on.

    :param values: one of :data:`CONDITIONS`. The hash seed is set when the process starts.
    """
    _set_clock(float(values["now"]))
    _set_random_numbers(int(values["seed"]))
    _set_identity(int(values["process"]), str(values["host"]))
    _set_directory_order(bool(values["reverse"]))


# --- Clock: it begins at the given time and goes on, since code may wait for it.


class _Kind(type):
    """Let instances of the original classes count as instances of those that stand in for them."""

    def __instancecheck__(cls, instance: Any) -> bool:
        return cls.__subclasscheck__(type(instance))

    def __subclasscheck__(cls, subclass: type) -> bool:
        if cls in (_Datetime, _Date):
            return issubclass(subclass, cls.__mro__[1])
        return super().__subclasscheck__(subclass)


class _Datetime(datetime.datetime, metaclass=_Kind):
    @classmethod
    def now(cls, tz: datetime.tzinfo | None = None) -> Any:
        return cls.fromtimestamp(time.time(), tz)

    @classmethod
    def utcnow(cls) -> Any:
        return cls.fromtimestamp(time.time(), datetime.UTC).replace(tzinfo=None)

    @classmethod
    def today(cls) -> Any:
        return cls.fromtimestamp(time.time())

    def __repr__(self) -> str:
        return f"datetime.{super().__repr__()}"


class _Date(datetime.date, metaclass=_Kind):
    @classmethod
    def today(cls) -> Any:
        return cls.fromtimestamp(time.time())

    def __repr__(self) -> str:
        return f"datetime.{super().__repr__()}"


def _set_clock(now: float) -> None:
    offset = now - time.time()
    for name in ("time", "monotonic", "perf_counter", "process_time", "thread_time", "clock_gettime"):
        setattr(time, name, _later(getattr(time, name), offset))
        setattr(time, f"{name}_ns", _later(getattr(time, f"{name}_ns"), int(offset * 1e9)))
    for name in ("localtime", "gmtime", "ctime"):
        setattr(time, name, _from_now(getattr(time, name)))
    time.asctime = _of_now(time.asctime, 0)
    time.strftime = _of_now(time.strftime, 1)
    for kind, name in ((_Datetime, "datetime"), (_Date, "date")):
        kind.__module__, kind.__name__, kind.__qualname__ = "datetime", name, name
        setattr(datetime, name, kind)
    pandas = sys.modules.get("pandas")
    if pandas is not None:
        timestamp = pandas.Timestamp
        timestamp.now = classmethod(lambda cls, tz=None: cls(_Datetime.now(tz)))
        timestamp.today = timestamp.now
        timestamp.utcnow = classmethod(lambda cls: cls(_Datetime.now(datetime.UTC)))


def _later(clock: Callable[..., Any], offset: float) -> Callable[..., Any]:
    return lambda *arguments: clock(*arguments) + offset


def _from_now(convert: Callable[..., Any]) -> Callable[..., Any]:
    return lambda seconds=None: convert(time.time() if seconds is None else seconds)


def _of_now(form: Callable[..., str], count: int) -> Callable[..., str]:
    """Let a function that takes a time after so many other arguments take the present one by default."""
    return lambda *arguments: form(*arguments, *([time.localtime()] if len(arguments) == count else []))


# --- Random numbers: generators that take their seed from the operating system differ by themselves.


def _set_random_numbers(seed: int) -> None:
    random.seed(seed)
    numpy = sys.modules.get("numpy.random")
    if numpy is not None:
        numpy.seed(seed)


def _set_identity(process: int, host: str) -> None:
    for name in ("getpid", "getpgrp", "getpgid", "getsid"):
        setattr(os, name, lambda *arguments: process)
    os.getppid = lambda: process - 1
    threading.get_native_id = lambda: process
    uname = os.uname()
    os.uname = lambda: type(uname)((uname[0], host, *uname[2:]))
    socket.gethostname = lambda: host
    socket.getfqdn = lambda name="": name or host
    platform: Any = sys.modules.get("platform")
    if platform is not None:
        platform._uname_cache = None
    node = 1 << 40 | process
    uuid.getnode = lambda: node
    uuid._node = node  # type: ignore[attr-defined]
    uuid._generate_time_safe = uuid._UuidCreate = None  # type: ignore[attr-defined]


# --- Directory order: a file system's own order differs between machines.


class _Entries:
    """Directory entries in a fixed order; used like the iterator of ``os.scandir``."""

    def __init__(self, entries: list[Any]) -> None:
        self._entries = iter(entries)

    def __iter__(self) -> Iterator[Any]:
        return self._entries

    def __next__(self) -> Any:
        return next(self._entries)

    def __enter__(self) -> _Entries:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def close(self) -> None:
        """Drop the entries that were not read."""
        self._entries = iter(())


def _set_directory_order(reverse: bool) -> None:
    listdir, scandir = os.listdir, os.scandir

    def ordered(*arguments: Any, **named: Any) -> list[Any]:
        return sorted(listdir(*arguments, **named), reverse=reverse)

    def entries(*arguments: Any, **named: Any) -> _Entries:
        with scandir(*arguments, **named) as found:
            return _Entries(sorted(found, key=lambda entry: entry.name, reverse=reverse))

    os.listdir = ordered
    setattr(os, "scandir", entries)  # noqa: B010
