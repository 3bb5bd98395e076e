"""
Stands in for a cluster's API server, as far as a task that runs pods needs one: pods and their events.

It keeps pods, checks manifests against the published schemas and callers against a role, and can be away,
refuse, and lose its answer. What runs the pods is in :mod:`tests.kubernetes.node`.
"""

from __future__ import annotations

import json
import re
import threading
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

import kubernetes_validate

from tests.kubernetes.node import Container, Node, now

_PATH = re.compile(r"/api/v1/namespaces/([^/]+)/(pods|events)(?:/([^/]+))?(?:/(log))?")
_STEP = 0.2


class RefusedError(Exception):
    """A status and a message of the API."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status, self.message = status, message


@dataclass
class Fault:
    """
    What goes wrong at the next requests.

    :param verb: of which requests, as in a role: create, get, list, watch, patch, delete.
    :param status: the answer; None if the request is done and its answer gets lost.
    :param times: how often.
    :param silent: seconds for which nothing is said, before the connection ends; nothing is done.
    """

    verb: str
    status: int | None
    times: int = 1
    message: str = "injected"
    resource: str = "pods"
    silent: float = 0


@dataclass
class ApiServer:
    """
    :param namespace: the only one there is.
    :param rules: of the role that the caller has.
    """

    node: Node
    namespace: str
    rules: list[dict[str, Any]]
    token: str = field(default_factory=lambda: uuid.uuid4().hex)
    faults: list[Fault] = field(default_factory=list)
    calls: list[tuple[str, str]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.pods: dict[str, dict[str, Any]] = {}
        self.created: list[dict[str, Any]] = []
        self._containers: dict[str, Container] = {}
        self._events: list[dict[str, Any]] = []
        self._lock = threading.RLock()
        self._version = 1
        self._server: ThreadingHTTPServer | None = None
        self._port = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._port}"

    @property
    def kubeconfig(self) -> dict[str, Any]:
        return {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "stand-in", "cluster": {"server": self.url}}],
            "users": [{"name": "airflow", "user": {"token": self.token}}],
            "contexts": [{"name": "stand-in", "context": {"cluster": "stand-in", "user": "airflow"}}],
            "current-context": "stand-in",
        }

    def start(self) -> None:
        """Answer, at the same address after each stop; pods and their containers stay."""
        self._server = _Server(("127.0.0.1", self._port), type("Handler", (_Handler,), {"api": self}))
        self._port = self._server.server_port
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    def stop(self) -> None:
        """Go away; the pods go on."""
        if self._server:
            self._server.shutdown()
            self._server.server_close()
            self._server = None

    def close(self) -> None:
        """Go away with all pods."""
        self.stop()
        for container in self._containers.values():
            container.remove()
        for container in self._containers.values():
            container.join(60)

    def settle(self) -> None:
        """Wait until the pods that are to be removed are."""
        limit = time.monotonic() + 60
        while any(pod["metadata"].get("deletionTimestamp") for pod in self.pods.values()):
            if time.monotonic() > limit:
                raise TimeoutError("pods are not removed")
            time.sleep(_STEP)

    def fail(self, fault: Fault) -> None:
        self.faults.append(fault)

    def container(self, name: str) -> Container:
        return self._containers[name]

    def check(self, token: str | None, verb: str, resource: str) -> Fault | None:
        """Raise unless the role allows it; return what is to go wrong."""
        self.calls.append((verb, resource))
        if token != f"Bearer {self.token}":
            raise RefusedError(401, "Unauthorized")
        allowed = any(resource in rule["resources"] and verb in rule["verbs"] for rule in self.rules)
        if not allowed:
            raise RefusedError(403, f'{resource} is forbidden: User "airflow" cannot {verb} resource')
        for fault in self.faults:
            if fault.times and (fault.verb, fault.resource) == (verb, resource):
                fault.times -= 1
                if fault.status is None or fault.silent:
                    return fault
                raise RefusedError(fault.status, fault.message)
        return None

    def create(self, pod: dict[str, Any]) -> dict[str, Any]:
        with self._lock:
            metadata = pod["metadata"]
            name = metadata["name"]
            try:
                kubernetes_validate.validate(pod, "1.37", strict=True)
            except kubernetes_validate.ValidationError as error:
                raise RefusedError(422, f"Pod {name!r} is invalid: {error.message}") from None
            if name in self.pods:
                raise RefusedError(409, f'pods "{name}" already exists')
            metadata |= {
                "uid": str(uuid.uuid4()),
                "creationTimestamp": now(),
                "resourceVersion": self._next_version(),
            }
            self.pods[name] = pod
            self.created.append(json.loads(json.dumps(pod)))
            self._containers[name] = self.node.take(
                pod, lambda kind, reason, message: self._tell(name, kind, reason, message)
            )
            self._tell(name, "Normal", "Scheduled", f"Successfully assigned {name}")
            return pod

    def read(self, name: str) -> dict[str, Any]:
        with self._lock:
            if name not in self.pods:
                raise RefusedError(404, f'pods "{name}" not found')
            return self.pods[name]

    def list(self, selector: str) -> list[dict[str, Any]]:
        with self._lock:
            return [
                pod for pod in self.pods.values() if _matches(pod["metadata"].get("labels", {}), selector)
            ]

    def patch(self, name: str, change: dict[str, Any]) -> dict[str, Any]:
        with self._lock:
            pod = self.read(name)
            pod["metadata"]["labels"] |= change["metadata"]["labels"]
            pod["metadata"]["resourceVersion"] = self._next_version()
            return pod

    def delete(self, name: str) -> dict[str, Any]:
        """Have the pod end; it is there until it has."""
        with self._lock:
            pod = self.read(name)
            pod["metadata"].setdefault("deletionTimestamp", now())
        container = self._containers[name]
        container.remove()
        threading.Thread(target=self._forget, args=(name, container), daemon=True).start()
        return pod

    def events(self, selector: str) -> list[dict[str, Any]]:
        name = selector.removeprefix("involvedObject.name=")
        with self._lock:
            return [event for event in self._events if event["involvedObject"]["name"] == name]

    def _forget(self, name: str, container: Container) -> None:
        container.join()
        with self._lock:
            self.pods.pop(name, None)

    def _tell(self, name: str, kind: str, reason: str, message: str) -> None:
        with self._lock:
            self._events.append(
                {
                    "apiVersion": "v1",
                    "kind": "Event",
                    "metadata": {
                        "name": f"{name}.{len(self._events)}",
                        "namespace": self.namespace,
                        "uid": str(uuid.uuid4()),
                        "resourceVersion": self._next_version(),
                    },
                    "involvedObject": {"kind": "Pod", "name": name, "namespace": self.namespace},
                    "type": kind,
                    "reason": reason,
                    "message": message,
                }
            )

    def _next_version(self) -> str:
        self._version += 1
        return str(self._version)


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    allow_reuse_address = True


def _matches(labels: dict[str, str], selector: str) -> bool:
    for term in filter(None, selector.split(",")):
        if term.startswith("!"):
            fits = term[1:] not in labels
        elif "!=" in term:
            name, value = term.split("!=")
            fits = labels.get(name) != value
        else:
            name, value = term.split("=")
            fits = labels.get(name) == value
        if not fits:
            return False
    return True


class _Handler(BaseHTTPRequestHandler):
    api: ApiServer
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self._do("GET")

    def do_POST(self) -> None:
        self._do("POST")

    def do_PATCH(self) -> None:
        self._do("PATCH")

    def do_DELETE(self) -> None:
        self._do("DELETE")

    def _do(self, method: str) -> None:
        parts = urlsplit(self.path)
        query = {name: values[0] for name, values in parse_qs(parts.query).items()}
        given = json.loads(self.rfile.read(int(self.headers.get("Content-Length") or 0)) or "null")
        found = _PATH.fullmatch(parts.path)
        try:
            if not found or found[1] != self.api.namespace:
                raise RefusedError(404, f"no such path or namespace: {parts.path}")
            _, kind, name, log = found.groups()
            verb = _verb(method, name, query)
            fault = self.api.check(self.headers.get("Authorization"), verb, "pods/log" if log else kind)
            if fault and fault.silent:
                time.sleep(fault.silent)
                self.close_connection = True
                return
            self._answer(verb, kind, name, log, query, given, fault)
        except RefusedError as refused:
            self._send({"kind": "Status", "message": refused.message}, refused.status)

    def _answer(
        self,
        verb: str,
        kind: str,
        name: str,
        log: str | None,
        query: dict[str, str],
        given: Any,
        fault: Any,
    ) -> None:
        if verb == "watch":
            self._stream(_watched(self.api, query))
            return
        if log:
            self._stream(_log(self.api, name, query))
            return
        answer: Any
        if kind == "events":
            answer = _as_list("Event", self.api.events(query.get("fieldSelector", "")))
        elif verb == "list":
            answer = _as_list("Pod", self.api.list(query.get("labelSelector", "")))
        else:
            answer = {
                "create": lambda: self.api.create(given),
                "get": lambda: self.api.read(name),
                "patch": lambda: self.api.patch(name, given),
                "delete": lambda: self.api.delete(name),
            }[verb]()
        if fault:
            self.close_connection = True
            return
        self._send(answer)

    def _send(self, body: Any, status: int = 200) -> None:
        content = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def _stream(self, lines: Iterator[str]) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Connection", "close")
        self.end_headers()
        self.close_connection = True
        try:
            for line in lines:
                self.wfile.write(f"{line}\n".encode())
                self.wfile.flush()
        except (BrokenPipeError, ConnectionResetError):
            return

    def log_message(self, *_: object) -> None:
        pass


def _verb(method: str, name: str | None, query: dict[str, str]) -> str:
    if method == "GET":
        if query.get("watch", "").lower() == "true":
            return "watch"
        return "get" if name else "list"
    return {"POST": "create", "PATCH": "patch", "DELETE": "delete"}[method]


def _as_list(kind: str, items: list[dict[str, Any]]) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": f"{kind}List", "metadata": {"resourceVersion": "1"}, "items": items}


def _watched(api: ApiServer, query: dict[str, str]) -> Iterator[str]:
    """Yield a pod's events as they come."""
    after = int(query.get("resourceVersion") or 0)
    limit = time.monotonic() + float(query.get("timeoutSeconds") or 30)
    while time.monotonic() < limit:
        for event in api.events(query.get("fieldSelector", "")):
            version = int(event["metadata"]["resourceVersion"])
            if version > after:
                after = version
                yield json.dumps({"type": "ADDED", "object": event})
        time.sleep(_STEP)


def _log(api: ApiServer, name: str, query: dict[str, str]) -> Iterator[str]:
    """Yield a pod's lines, with ``follow`` until its end."""
    pod, container = api.read(name), api.container(name)
    stamped = query.get("timestamps", "").lower() == "true"
    follow = query.get("follow", "").lower() == "true"
    since = datetime.now(UTC) - timedelta(seconds=float(query.get("sinceSeconds") or 1e9))
    told = 0
    while True:
        going = pod["status"]["phase"] in ("Pending", "Running")
        lines = container.log()
        for when, text in lines[told:]:
            if datetime.fromisoformat(when) < since:
                continue
            yield f"{when} {text}" if stamped else text
        told = len(lines)
        if not (follow and going):
            return
        time.sleep(_STEP)
