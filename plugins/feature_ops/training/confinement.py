"""What a training may use, as a profile of :mod:`feature_ops.sandbox`. Standard library only."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from feature_ops.sandbox.profile import NETWORK_FILES, PYTHON_FILES, Limits, Profile
from feature_ops.training.isolation import SHARED_MEMORY, Views

_PROGRAMS = ("/usr", "/lib", "/lib32", "/lib64", "/bin", "/sbin")
_READABLE = (
    *("/etc/timezone", "/etc/fonts", "/etc/ssl/cert.pem", "/etc/pki/tls/certs", "/etc/pki/tls/openssl.cnf"),
    *("/etc/pki/ca-trust/extracted", "/sys/devices/system/node", "/sys/bus/pci/devices"),
)
# Limits of processors and memory, by controller of control groups v1; v2 has none.
_LIMITS = {
    "cpu": ("cpu.cfs_quota_us", "cpu.cfs_period_us"),
    "memory": ("memory.limit_in_bytes", "memory.usage_in_bytes"),
    "": ("cpu.max", "memory.max", "memory.high", "memory.current"),
}
_FILES = 4096


@dataclass(frozen=True)
class Access:
    """
    What a training may use.

    :param programs: files and folders that may be read and run: its code and the Python environment.
    :param readable: files and folders that may be read.
    :param scratch: the only folder that may be written to.
    :param ports: TCP ports that may be connected to, at any address.
    :param required: features without which no training starts, see :mod:`feature_ops.sandbox.features`.
    """

    programs: Sequence[str]
    readable: Sequence[str]
    scratch: str
    ports: Sequence[int]
    required: Sequence[str] = ()

    def to_json(self) -> dict[str, object]:
        """Return it as plain JSON."""
        return asdict(self)

    def profile(self, views: Views) -> Profile:
        """
        Return the profile of the training's process.

        :param views: file systems of its own. In its own ``/proc`` are no processes of others.
        """
        own = ("/proc",) if views.proc else ("/proc/self",)
        shared = (SHARED_MEMORY,) if views.shared_memory else ()
        return Profile(
            readable=(
                *(*PYTHON_FILES, *NETWORK_FILES, *limits_of_groups(_own_groups())),
                *_paths(*_READABLE, *own, *self.readable),
            ),
            executable=_paths(*_PROGRAMS, *self.programs),
            writable=_paths(self.scratch, *shared),
            processes=True,
            ports=tuple(self.ports),
            attributes="ignore",
            shared_memory=True,
            limits=Limits(threads=None, files=_FILES),
        )


def limits_of_groups(groups: str) -> Iterator[Path]:
    """
    Yield the files that hold the limits of a process's control groups, which libraries read at their start.

    :param groups: content of ``/proc/self/cgroup``.
    """
    for line in groups.splitlines():
        _, controllers, path = line.split(":", 2)
        for controller in controllers.split(","):
            top = Path("/sys/fs/cgroup", controllers)
            # In a container the path may be that of the host.
            folders = {top, Path("/sys/fs/cgroup", controller), Path(f"{top}{path}")}
            folders.add(Path(f"/sys/fs/cgroup/{controller}{path}"))
            yield from (folder / name for folder in folders for name in _LIMITS.get(controller, ()))


def _own_groups() -> str:
    try:
        return Path("/proc/self/cgroup").read_text()
    except OSError:
        return ""


def _paths(*names: str) -> tuple[Path, ...]:
    return tuple(Path(name) for name in names)
