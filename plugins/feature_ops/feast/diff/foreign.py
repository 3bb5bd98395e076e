"""What runs in the fork: the repository's own code, then its objects as protobuf messages."""

from __future__ import annotations

import base64
import contextlib
import faulthandler
import fcntl
import json
import os
import signal
import sys
import tempfile
import traceback
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Any

from feature_ops.feast.diff import kinds
from feature_ops.feast.diff.conditions import impose
from feature_ops.feast.diff.confinement import READABLE, limit_resources, make_room, refuse


class EndedItselfError(BaseException):
    """Stands in the place of ``os._exit``, which would leave nothing to tell of."""


class NothingDefinedError(Exception):
    """No file of the folder defines a Feast object."""


def answer_for(request: dict[str, Any], answer: int, output: int, trace: int) -> None:
    """
    Load one folder and write the answer.

    :param request: ``path`` and ``project`` (what ``feature_store.yaml`` calls it; may be empty) of the
        folder, ``scratch``, ``packages``, ``limits`` and ``conditions``.
    :param answer: file descriptor for the answer, a JSON document.
    :param output: file descriptor that takes what the code prints.
    :param trace: file descriptor that takes the place of a crash, or of SIGUSR1.
    """
    folder, scratch = Path(request["path"]), Path(request["scratch"])
    answer, trace = _keep_only(answer, trace, output)
    faulthandler.enable(trace)
    faulthandler.register(signal.SIGUSR1, trace)
    os.environ.update(HOME=str(scratch), TMPDIR=str(scratch))
    tempfile.tempdir = str(scratch)
    os._exit = _refuse_to_end  # type: ignore[assignment]
    sys.dont_write_bytecode = True
    # Byte code that lies next to a source file is never looked for.
    sys.pycache_prefix = str(scratch / "bytecode")
    limit_resources(**request["limits"])
    missing = refuse([*READABLE, *_packages(request), folder], scratch, parent=request["parent"])
    os.chdir(folder)
    sys.path.append(str(folder))
    impose(request["conditions"])
    try:
        found = {**_definitions(folder, request["project"]), "open": missing}
    except BaseException as error:  # what a repository raises may be anything
        make_room()
        found = {"error": _told(error, folder)}
    with contextlib.suppress(Exception):
        sys.stdout.flush()
    with os.fdopen(answer, "w") as file:
        json.dump(found, file)


def _keep_only(answer: int, trace: int, output: int) -> tuple[int, int]:
    """Close every other file that this process was given; returns the new numbers of the first two."""
    nothing = os.open(os.devnull, os.O_RDONLY)
    high = [fcntl.fcntl(file, fcntl.F_DUPFD_CLOEXEC, 64) for file in (nothing, output, answer, trace)]
    for number, file in enumerate([high[0], high[1], high[1], high[2], high[3]]):
        os.dup2(file, number, inheritable=number < 3)
    os.closerange(5, 4096)
    return 3, 4


def _packages(request: dict[str, Any]) -> list[Path]:
    folders = [request["packages"], sys.prefix, sys.base_prefix, sys.exec_prefix, *sys.path]
    return [Path(folder) for folder in folders if folder]


def _refuse_to_end(code: int = 0) -> None:
    raise EndedItselfError(f"calls os._exit({code})")


def _definitions(folder: Path, project: str) -> dict[str, Any]:
    from feast.repo_operations import parse_repo

    return collected(parse_repo(folder), folder, project)


def collected(contents: Any, folder: Path, project: str) -> dict[str, Any]:
    """
    Return what a loaded repository defines as JSON-able data: its objects' messages and functions.

    :param contents: Feast's ``RepoContents``.
    :param folder: the repository's, by which its own functions are known.
    :param project: what ``feature_store.yaml`` calls the project; may be empty.
    :raises ValueError: if it is not one project.
    """
    from feature_ops.feast.diff.describe import serialize

    # Feast itself adds an entity for views without one.
    defined = [*contents.entities[:-1], *_views(contents), *contents.data_sources, *contents.feature_services]
    if not [*defined, *contents.permissions, *contents.projects]:
        raise NothingDefinedError(folder.name)
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
        # Feast itself adds the last one, for views without entities.
        kinds.ENTITY: contents.entities[:-1],
        kinds.FEATURE_VIEW: contents.feature_views,
        kinds.ON_DEMAND_FEATURE_VIEW: contents.on_demand_feature_views,
        kinds.STREAM_FEATURE_VIEW: contents.stream_feature_views,
        kinds.LABEL_VIEW: contents.label_views,
        kinds.FEATURE_SERVICE: contents.feature_services,
        kinds.PERMISSION: contents.permissions,
    }


def _complete(contents: Any) -> Iterator[str]:
    """
    Do and check what Feast does at apply as far as it needs no data.

    Yields in words what keeps the definitions from being applied or served.
    """
    from feast.feature_store import _validate_data_sources, _validate_feature_views

    from feature_ops.feast.diff.function_text import stream_function_problem

    _validate_feature_views(_views(contents))
    _validate_data_sources(contents.data_sources)
    for view in contents.on_demand_feature_views:
        # Runs the function on made-up values, and takes its features from the result if none are declared.
        view.infer_features()
        yield from _lost_in_registry(view)
    yield from _not_kept_by_registry(contents)
    yield from filter(None, map(stream_function_problem, contents.stream_feature_views))
    views = {view.name: view for view in _views(contents)}
    for service in contents.feature_services:
        yield from _complete_service(service, views)
    for view in [*contents.feature_views, *contents.stream_feature_views]:
        if not view.features:
            yield f"feature view {view.name} declares no schema"
        source = view.batch_source
        if source is not None and not source.timestamp_field:
            yield f"feature view {view.name}: its source {source.name} names no timestamp_field"
    yield from _untyped_keys(contents)


def _not_kept_by_registry(contents: Any) -> Iterator[str]:
    """Yield parts of views that Feast's messages do not hold, so that a registry would lose them."""
    for view in contents.feature_views:
        if getattr(view, "aggregations", None):
            yield (
                f"feature view {view.name} has aggregations, which Feast 0.67 does not keep for batch "
                "feature views: aggregate in the dataset"
            )
    for view in contents.stream_feature_views:
        if view.feature_transformation and not view.udf:
            yield (
                f"stream feature view {view.name} has a feature_transformation, which Feast 0.67 does not "
                "keep: pass the function as udf"
            )


def _untyped_keys(contents: Any) -> Iterator[str]:
    """Tell of join keys whose type Feast would look up in the data, which may not be there yet."""
    from feast import ValueType

    # Without that which Feast adds for views that have none.
    entities = contents.entities[:-1]
    untyped = {entity.name: entity for entity in entities if entity.value_type == ValueType.UNKNOWN}
    for view in [*contents.feature_views, *contents.stream_feature_views, *contents.label_views]:
        typed = {column.name for column in view.entity_columns}
        for entity in (untyped[name] for name in view.entities if name in untyped):
            if entity.join_key not in typed:
                yield (
                    f"feature view {view.name}: nothing says of what type its join key {entity.join_key} is: "
                    f"give the entity {entity.name} a value_type, such as ValueType.INT64, or the view "
                    "a field"
                )


def _lost_in_registry(view: Any) -> Iterator[str]:
    from feature_ops.feast.diff.describe import serialize
    from feature_ops.feast.diff.function_text import function_problems
    from feature_ops.feast.diff.messages import message_class

    item = serialize(kinds.ON_DEMAND_FEATURE_VIEW, view)
    if list(function_problems([item])):
        return  # reported for the messages of all views
    # A registry makes functions of their text alone, in a module of their own. So do readers.
    try:
        type(view).from_proto(message_class(item.kind).FromString(item.message)).infer_features()
    except Exception as error:
        yield (
            f"on demand feature view {view.name}: its function fails once it is read back from a registry "
            f"({type(error).__name__}: {error}): import and define within the function what it uses"
        )


def _complete_service(service: Any, views: dict[str, Any]) -> Iterator[str]:
    from feast.field import Field
    from feast.types import Invalid

    from feature_ops.feast.diff.unsupported import pinned

    refs = service._pending_feature_refs
    service._pending_feature_refs = [ref for ref in refs if not _is_pinned(ref)]
    for ref in refs:
        if _is_pinned(ref):
            yield pinned(service.name, ref)
    service.resolve_pending_refs("", _NoRegistry(service.name), views)
    for projection in service.feature_view_projections:
        for name in projection.desired_features:
            yield f"feature service {service.name} asks for {projection.name}:{name} of undeclared type"
            projection.features = [*projection.features, Field(name=name, dtype=Invalid)]


def _is_pinned(ref: str) -> bool:
    from feast.utils import _parse_feature_or_view_ref

    return _parse_feature_or_view_ref(ref)[1] is not None


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
        "text": _text(error),
        "file": file,
        "line": line,
        "name": str(getattr(error, "name", "") or ""),
        "environment": _wanted_variable(error),
        "link": _link(error, folder),
    }


def _text(error: BaseException) -> str:
    if isinstance(error, OSError) and error.strerror:
        return f"{error.strerror}: {error.filename}" if error.filename else error.strerror
    if isinstance(error, SyntaxError):
        return error.msg
    return str(error)


def _place(error: BaseException, folder: Path) -> tuple[str, str]:
    if isinstance(error, SyntaxError) and error.filename:
        return _relative(error.filename, folder), str(error.lineno)
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if Path(frame.filename).is_relative_to(folder)]
    return (_relative(own[-1].filename, folder), str(own[-1].lineno)) if own else ("", "")


def _relative(file: str, folder: Path) -> str:
    return os.path.relpath(file, folder)


def _link(error: BaseException, folder: Path) -> str:
    """Return the symbolic link that the code could not follow out of the folder, with its target."""
    for path in _wanted_paths(error, folder):
        with contextlib.suppress(OSError, ValueError):
            if path.is_symlink():
                return f"{path.relative_to(folder)} → {os.readlink(path)}"
    return ""


def _wanted_paths(error: BaseException, folder: Path) -> Iterator[Path]:
    if isinstance(error, ModuleNotFoundError) and error.name:
        path = folder
        for part in error.name.split("."):
            path = path / part
            yield from (path, path.with_name(f"{part}.py"))
    elif isinstance(error, OSError) and isinstance(error.filename, str):
        path = folder / error.filename
        yield from (one for one in (path, *path.parents) if one.is_relative_to(folder))


def _wanted_variable(error: BaseException) -> str:
    last: TracebackType | None = error.__traceback__
    while last is not None and last.tb_next is not None:
        last = last.tb_next
    if isinstance(error, KeyError) and last is not None and last.tb_frame.f_globals.get("__name__") == "os":
        return str(error.args[0])
    return ""
