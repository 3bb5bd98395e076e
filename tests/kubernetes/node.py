"""
Stands in for a node of a cluster: podman runs the pods, this tells of them as a kubelet does.

Real are the image, the container, its limits of memory and of rights, its exit code and its log. Made up are
scheduling (one node, with the labels that it is given) and the words of the status.
"""

from __future__ import annotations

import copy
import json
import shutil
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tests.kubernetes.podman import Podman

_LOOK_EVERY = 0.2
_MESSAGE_BYTES, _MESSAGE_LINES = 2048, 80

Tell = Callable[[str, str, str], None]


def now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


class NotStartedError(Exception):
    """A container can't be started: the reason in Kubernetes' words, and a message."""


class Node:
    """
    :param secrets: the cluster's secrets: entries by name.
    :param labels: of the node.
    :param host_folders: folders of this machine that each container sees, read-only.
    """

    def __init__(
        self,
        podman: Podman,
        secrets: Mapping[str, Mapping[str, str]],
        labels: Mapping[str, str] | None = None,
        host_folders: Sequence[Path] = (),
    ) -> None:
        self._podman, self.secrets, self.labels = podman, secrets, labels or {}
        self._host_folders = host_folders

    def take(self, pod: dict[str, Any], tell: Tell) -> Container:
        """Run a pod; its ``status`` is kept up to date from then on."""
        container = Container(self._podman, self.secrets, self.labels, pod, tell, self._host_folders)
        container.start()
        return container


class Container(threading.Thread):
    """A pod with its only container."""

    def __init__(
        self,
        podman: Podman,
        secrets: Mapping[str, Mapping[str, str]],
        labels: Mapping[str, str],
        pod: dict[str, Any],
        tell: Tell,
        host_folders: Sequence[Path] = (),
    ) -> None:
        super().__init__(name=pod["metadata"]["name"], daemon=True)
        self._host_folders = host_folders
        self._podman, self._secrets, self._labels, self._pod, self._tell = podman, secrets, labels, pod, tell
        self._folder = podman.home / pod["metadata"]["name"]
        self._wanted = threading.Event()
        self._wanted.set()
        (self._container,) = pod["spec"]["containers"]
        self._began = ""
        pod["status"] = {"phase": "Pending"}

    @property
    def podman_name(self) -> str:
        return f"{self.name}-{self._container['name']}"

    def run(self) -> None:
        try:
            if not self._scheduled():
                self._wait_for_removal()
                return
            try:
                self._create()
            except NotStartedError as error:
                reason, message = error.args
                self._tell("Warning", "Failed", message)
                self._set({"waiting": {"reason": reason, "message": message}}, "Pending")
                self._wait_for_removal()
                return
            self._follow()
        except Exception as error:
            # Of the stand-in itself: a test is to see it, not to wait.
            self._pod["status"] |= {"phase": "Failed", "reason": "StandInFailed", "message": repr(error)}
            raise
        finally:
            self._wait_for_removal()
            self._remove()

    def remove(self) -> None:
        """Have it stopped and removed; returns at once."""
        self._wanted.clear()

    def log(self) -> list[tuple[str, str]]:
        """Return its lines with their times."""
        path = self._podman.attempt("inspect", "--format={{.HostConfig.LogConfig.Path}}", self.podman_name)
        if path is None or not Path(path.strip()).exists():
            return []
        # Each line has its time, its stream, and whether it is whole.
        lines = Path(path.strip()).read_text(errors="replace").splitlines()
        fields = (line.split(" ", 3) for line in lines)
        return [(field[0], field[3]) for field in fields if len(field) == 4]

    def _scheduled(self) -> bool:
        wanted = self._pod["spec"].get("nodeSelector", {})
        fits = wanted.items() <= self._labels.items()
        condition = {"type": "PodScheduled", "status": str(fits)}
        if not fits:
            message = "0/1 nodes are available: 1 node(s) didn't match Pod's node affinity/selector."
            condition |= {"reason": "Unschedulable", "message": message}
            self._tell("Warning", "FailedScheduling", message)
        self._pod["status"] = {"phase": "Pending", "conditions": [condition]}
        return fits

    def _create(self) -> None:
        self._check_image()
        self._check_user()
        played = self._as_podman_takes_it()
        self._folder.mkdir()
        (self._folder / "pod.json").write_text(json.dumps(played))
        try:
            self._podman("kube", "play", "pod.json", cwd=self._folder)
        except RuntimeError as error:
            self._end(128, "StartError", str(error))
            return
        self._began = now()
        self._pod["status"] |= {"startTime": self._began, "hostIP": "127.0.0.1"}
        self._set({"running": {"startedAt": self._began}}, "Running")

    def _check_image(self) -> None:
        image = self._container["image"]
        if self._podman.attempt("image", "exists", image) is not None:
            return
        if self._container["imagePullPolicy"] == "Never":
            raise NotStartedError("ErrImageNeverPull", f'Container image "{image}" is not present')
        raise NotStartedError("ErrImagePull", f'failed to pull image "{image}": not found')

    def _check_user(self) -> None:
        context = self._pod["spec"].get("securityContext", {})
        user = self._podman("image", "inspect", "--format={{.User}}", self._container["image"]).strip()
        if context.get("runAsNonRoot") and not (user.isdigit() and int(user)):
            raise NotStartedError(
                "CreateContainerConfigError", f"container has runAsNonRoot and image has {user or 'root'!r}"
            )

    def _as_podman_takes_it(self) -> dict[str, Any]:
        """Return the manifest, on the host's network, where the tests' servers are."""
        pod = copy.deepcopy({name: value for name, value in self._pod.items() if name != "status"})
        pod["spec"]["hostNetwork"] = True
        # Podman shares what has the same name.
        for volume in pod["spec"].get("volumes", ()):
            volume["name"] = f"{self.name}-{volume['name']}"
        (container,) = pod["spec"]["containers"]
        for mount in container.get("volumeMounts", ()):
            mount["name"] = f"{self.name}-{mount['name']}"
        self._mount_host_folders(pod["spec"], container)
        of_secrets: dict[str, str] = {}
        for source in container.pop("envFrom", ()):
            name = source["secretRef"]["name"]
            if name not in self._secrets:
                raise NotStartedError("CreateContainerConfigError", f'secret "{name}" not found')
            of_secrets |= self._secrets[name]
        own = container.get("env", [])
        known = {one["name"] for one in own}
        container["env"] = [
            *own,
            *({"name": name, "value": value} for name, value in of_secrets.items() if name not in known),
        ]
        return pod

    def _mount_host_folders(self, spec: dict[str, Any], container: dict[str, Any]) -> None:
        for number, folder in enumerate(self._host_folders):
            name = f"{self.name}-host-{number}"
            host = {"name": name, "hostPath": {"path": str(folder), "type": "Directory"}}
            spec.setdefault("volumes", []).append(host)
            mount = {"name": name, "mountPath": str(folder), "readOnly": True}
            container.setdefault("volumeMounts", []).append(mount)

    def _follow(self) -> None:
        deadline = self._pod["spec"].get("activeDeadlineSeconds")
        began = time.monotonic()
        while self._wanted.is_set() and self._pod["status"]["phase"] == "Running":
            state = self._state()
            if state["Status"] not in ("running", "created", "configured"):
                self._ended(int(state["ExitCode"]))
                return
            if deadline and time.monotonic() - began > deadline:
                self._podman("pod", "stop", "--time", "1", self.name)
                self._ended(137)
                self._pod["status"] |= {
                    "phase": "Failed",
                    "reason": "DeadlineExceeded",
                    "message": "Pod was active on the node longer than the specified deadline",
                }
                return
            time.sleep(_LOOK_EVERY)

    def _ended(self, code: int) -> None:
        # Where there is no counter, conmon leaves a file in the folder that it was started in.
        reason = "Completed" if code == 0 else "OOMKilled" if (self._folder / "oom").exists() else "Error"
        message = ""
        if code and self._container.get("terminationMessagePolicy") == "FallbackToLogsOnError":
            lines = [text for _, text in self.log()[-_MESSAGE_LINES:]]
            message = "\n".join(lines)[-_MESSAGE_BYTES:]
        self._end(code, reason, message)

    def _end(self, code: int, reason: str, message: str) -> None:
        self._set(
            {
                "terminated": {
                    "exitCode": code,
                    "reason": reason,
                    "message": message,
                    "startedAt": self._began,
                    "finishedAt": now(),
                }
            },
            "Failed" if code else "Succeeded",
        )

    def _set(self, state: dict[str, Any], phase: str) -> None:
        self._pod["status"] = {
            **self._pod["status"],
            "phase": phase,
            "containerStatuses": [
                {
                    "name": self._container["name"],
                    "image": self._container["image"],
                    "imageID": "",
                    "ready": phase == "Running",
                    "restartCount": 0,
                    "state": state,
                }
            ],
        }

    def _state(self) -> dict[str, Any]:
        return dict(json.loads(self._podman("inspect", "--format={{json .State}}", self.podman_name)))

    def _wait_for_removal(self) -> None:
        while self._wanted.is_set():
            time.sleep(_LOOK_EVERY)

    def _remove(self) -> None:
        grace = str(self._pod["spec"].get("terminationGracePeriodSeconds", 30))
        with suppress(RuntimeError):
            self._podman("pod", "stop", "--time", grace, self.name)
        self._podman.attempt("pod", "rm", "--force", self.name)
        self._podman.attempt("volume", "rm", "--force", f"{self.name}-tmp")
        shutil.rmtree(self._folder, ignore_errors=True)


def container_names(podman: Podman) -> list[str]:
    """Return the names of all pods that podman has."""
    return podman("pod", "ps", "--format={{.Name}}").split()
