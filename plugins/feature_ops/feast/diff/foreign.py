"""What runs in the fork: the repository's own code, then its objects as protobuf messages."""

from __future__ import annotations

import base64
import faulthandler
import json
import os
import signal
import sys
import traceback
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Any

from feature_ops.feast.diff import kinds


def answer_for(folder: Path, project: str, request: dict[str, Any], answer: int, output: int) -> int:
    """
    Load one folder and write the answer; returns the exit code of this process.

    :param project: what ``feature_store.yaml`` calls the project; empty if there is no such file.
    :param answer: file descriptor for the answer, a JSON document.
    :param output: file descriptor that takes what the code prints.
    """
    os.setpgid(0, 0)
    _redirect(output)
    sys.dont_write_bytecode = True
    faulthandler.enable(sys.stderr)
    faulthandler.register(signal.SIGUSR1, sys.stderr)
    os.chdir(folder)
    sys.path.append(str(folder))
    try:
        found = _definitions(folder, project)
    except BaseException as error:  # what a repository raises may be anything
        found = {"error": _told(error, folder)}
    with os.fdopen(answer, "w") as file:
        json.dump(found, file)
    return 0


def _redirect(output: int) -> None:
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.dup2(output, 1)
    os.dup2(output, 2)


def _definitions(folder: Path, project: str) -> dict[str, Any]:
    from feast.repo_operations import parse_repo

    from feature_ops.feast.diff.describe import serialize

    contents = parse_repo(folder)
    name = _project(contents, project)
    incomplete = list(_complete(contents))
    protos = [serialize(kind, item) for kind, items in _by_kind(contents).items() for item in items]
    return {
        "project": name,
        "protos": [
            {"kind": item.kind, "name": item.name, "message": base64.b64encode(item.message).decode()}
            for item in protos
        ],
        "functions": dict(_functions(contents, folder)),
        "incomplete": incomplete,
    }


def _project(contents: Any, project: str) -> str:
    from feast.project import Project

    names = [item.name for item in contents.projects] or [project]
    if len(names) != 1 or not names[0] or project not in ("", names[0]):
        raise ValueError(
            f"it defines the projects {', '.join(names) or 'none'} and feature_store.yaml names "
            f"{project or 'none'}: Feast allows one, under one name"
        )
    if not contents.projects:
        contents.projects.append(Project(name=names[0]))
    return str(names[0])


def _by_kind(contents: Any) -> dict[str, list[Any]]:
    return {
        kinds.PROJECT: contents.projects,
        kinds.DATA_SOURCE: contents.data_sources,
        kinds.ENTITY: contents.entities,
        kinds.FEATURE_VIEW: contents.feature_views,
        kinds.ON_DEMAND_FEATURE_VIEW: contents.on_demand_feature_views,
        kinds.STREAM_FEATURE_VIEW: contents.stream_feature_views,
        kinds.LABEL_VIEW: contents.label_views,
        kinds.FEATURE_SERVICE: contents.feature_services,
        kinds.PERMISSION: contents.permissions,
    }


def _complete(contents: Any) -> Iterator[str]:
    """Do what Feast does at apply as far as it needs no data; yields in words what stays open."""
    views = {view.name: view for view in _views(contents)}
    for service in contents.feature_services:
        yield from _complete_service(service, views)
    for view in [*contents.feature_views, *contents.stream_feature_views]:
        if not view.features:
            yield f"feature view {view.name} declares no schema"
        source = view.batch_source
        if source is not None and not source.timestamp_field:
            yield f"feature view {view.name}: its source {source.name} names no timestamp_field"


def _complete_service(service: Any, views: dict[str, Any]) -> Iterator[str]:
    from feast.field import Field
    from feast.types import Invalid

    pinned = [ref for ref in service._pending_feature_refs if "@" in ref]
    service._pending_feature_refs = [ref for ref in service._pending_feature_refs if ref not in pinned]
    for ref in pinned:
        yield f"feature service {service.name} pins {ref}, which only the registry knows"
    service.resolve_pending_refs("", _NoRegistry(service.name), views)
    for projection in service.feature_view_projections:
        for name in projection.desired_features:
            yield f"feature service {service.name} asks for {projection.name}:{name} of undeclared type"
            projection.features = [*projection.features, Field(name=name, dtype=Invalid)]


class _NoRegistry:
    """Stands where a registry would be asked for a view that the repository does not define."""

    def __init__(self, service: str) -> None:
        self.service = service

    def get_any_feature_view(self, name: str, *args: Any, **options: Any) -> Any:
        raise LookupError(f"feature service {self.service} names the view {name}, which is not defined here")


def _views(contents: Any) -> list[Any]:
    return [
        *contents.feature_views,
        *contents.stream_feature_views,
        *contents.on_demand_feature_views,
        *contents.label_views,
    ]


def _functions(contents: Any, folder: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    from feature_ops.feast.diff.function_code import describe_function

    for view in _views(contents):
        transformation = getattr(view, "feature_transformation", None)
        function = getattr(view, "udf", None) or getattr(transformation, "udf", None)
        described = describe_function(function, folder)
        if described:
            yield view.name, described


def _told(error: BaseException, folder: Path) -> dict[str, Any]:
    file, line = _place(error, folder)
    return {
        "kind": type(error).__name__,
        "text": str(error),
        "file": file,
        "line": line,
        "name": str(getattr(error, "name", "") or ""),
        "environment": _wanted_variable(error),
    }


def _place(error: BaseException, folder: Path) -> tuple[str, str]:
    if isinstance(error, SyntaxError) and error.filename:
        return _relative(error.filename, folder), str(error.lineno)
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if Path(frame.filename).is_relative_to(folder)]
    return (_relative(own[-1].filename, folder), str(own[-1].lineno)) if own else ("", "")


def _relative(file: str, folder: Path) -> str:
    return os.path.relpath(file, folder)


def _wanted_variable(error: BaseException) -> str:
    last: TracebackType | None = error.__traceback__
    while last is not None and last.tb_next is not None:
        last = last.tb_next
    if isinstance(error, KeyError) and last is not None and last.tb_frame.f_code.co_filename == os.__file__:
        return str(error.args[0])
    return ""
