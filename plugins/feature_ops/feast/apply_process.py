"""
Apply definitions to the feature store, in a process that has Feast's credentials and none of Airflow's.

The text of functions comes with the definitions, and Feast executes it: that is code of the commit. The
process takes the lock itself, so that it holds the lock exactly as long as it works, even if the task that
started it is killed.
"""

from __future__ import annotations

import json
import logging
import os
import sys
import time
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from feature_ops.advisory_lock import advisory_lock
from feature_ops.commit_points import CommitPoint, passing
from feature_ops.database import database_failures
from feature_ops.exceptions import BadInputError, FeatureOpsError, SupersededError
from feature_ops.feast.applied_base import refuse_stale_base
from feature_ops.feast.applied_commit import AppliedCommit, AppliedState
from feature_ops.feast.applied_definitions import (
    refuse_changed_by_feast,
    refuse_inconsistent,
    registry_differences,
    shown,
)
from feature_ops.feast.configuration import configuration_file, read_configuration
from feature_ops.feast.diff import kinds
from feature_ops.feast.diff.definitions import Definitions, SerializedObject
from feature_ops.feast.importing import import_feast
from feature_ops.feast.online_failures import online_store_failures
from feature_ops.feast.refusals import refuse_removals
from feature_ops.feast.registry_dump import read_dump, write_dump
from feature_ops.feast.store_process import enter_store_sandbox
from feature_ops.sandbox.features import log_missing

if TYPE_CHECKING:
    from feast import FeatureStore

log = logging.getLogger(__name__)

# Seconds: many times what fetching a registry takes.
_READERS_CATCH_UP = 1.0


@dataclass(frozen=True)
class ApplyRequest:
    """
    What is to be applied.

    :param commit: full hash of the commit.
    :param definitions: what it defines.
    :param feature_repo: folder whose feature_store.yaml says where the store is.
    :param live: features that deployed models ask for, by the model's name.
    :param dump_prefix: ``s3://`` prefix under which the registry is kept as it was before.
    :param lock_timeout: seconds to wait for other writers.
    :param base: the registry's state with which the commit was compared; None applies it in any case.
    :param compared_by: the task that is to be cleared for a new comparison.
    :param required: features of the sandbox without which nothing is applied.
    """

    commit: str
    definitions: Definitions
    feature_repo: Path
    live: Mapping[str, list[str]]
    dump_prefix: str
    lock_timeout: float
    base: AppliedState | None = None
    compared_by: str = "the first task"
    required: tuple[str, ...] = ()

    def to_json(self) -> str:
        """Return the request as text."""
        return json.dumps(
            {
                "commit": self.commit,
                "definitions": self.definitions.to_json(),
                "feature_repo": str(self.feature_repo),
                "live": dict(self.live),
                "dump_prefix": self.dump_prefix,
                "lock_timeout": self.lock_timeout,
                "base": asdict(self.base) if self.base else None,
                "compared_by": self.compared_by,
                "required": list(self.required),
            }
        )

    @classmethod
    def from_json(cls, text: str) -> ApplyRequest:
        """Read what :meth:`to_json` wrote."""
        read: dict[str, Any] = json.loads(text)
        definitions = Definitions.from_json(read.pop("definitions"))
        base = read.pop("base")
        return cls(
            definitions=definitions,
            feature_repo=Path(read.pop("feature_repo")),
            base=AppliedState(**base) if base else None,
            required=tuple(read.pop("required")),
            **read,
        )


@dataclass(frozen=True)
class Applied:
    """Labels of the objects that were created, updated and deleted, and where the registry's dump is."""

    created: list[str]
    updated: list[str]
    deleted: list[str]
    dump_uri: str


def apply(request: ApplyRequest) -> Applied:
    """
    Apply all of it under the lock; doing it twice is doing it once.

    :raises BadInputError: if it would remove what is still read, or can't be applied at all.
    :raises SupersededError: if the registry has changed since the commit was compared with it.
    """
    configuration = read_configuration(request.feature_repo, os.environ)
    if request.definitions.project not in ("", configuration.project):
        raise BadInputError(
            f"feature_store.yaml of commit {request.commit[:10]} names the project "
            f"{request.definitions.project!r}, this deployment serves {configuration.project!r}: correct it"
        )
    if request.definitions.incomplete:
        obstacles = "; ".join(request.definitions.incomplete)
        raise BadInputError(f"commit {request.commit[:10]} can't be applied as it is: {obstacles}")
    store = _open(request.feature_repo, configuration.registry_url)
    refuse_inconsistent(request.definitions, request.commit)
    refuse_changed_by_feast(request.definitions, _made, request.commit)
    note = AppliedCommit(configuration.registry_url, configuration.project)
    with advisory_lock(configuration.registry_url, configuration.lock_name, request.lock_timeout):
        if request.base is not None:
            refuse_stale_base(request.commit, request.base, note.state(), request.compared_by)
        registered = _registered(store)
        refuse_removals(request.definitions, request.live, request.commit)
        dump_uri = write_dump(store, request.dump_prefix, request.commit)
        with passing(CommitPoint.APPLY_BEGUN):
            undo_uri = note.begin(request.commit, dump_uri)
        with online_store_failures(store.config.online_store):
            with passing(CommitPoint.DEFINITIONS_APPLIED):
                created, updated, deleted = _apply(store, registered, request.definitions)
            _verify(store, request, note, undo_uri)
        with passing(CommitPoint.COMMIT_NOTED):
            note.finish(request.commit)
    return Applied(created, updated, deleted, dump_uri)


def _open(feature_repo: Path, registry_url: str) -> FeatureStore:
    # The definitions were made, and so checked, by a plain Feast when the commit was loaded.
    feast = import_feast()
    with database_failures(registry_url):
        store: FeatureStore = feast.FeatureStore(
            repo_path=str(feature_repo), fs_yaml_file=configuration_file(feature_repo)
        )
    return store


def _verify(store: FeatureStore, request: ApplyRequest, note: AppliedCommit, dump_uri: str) -> None:
    """
    Read the registry back, and undo the apply if it holds something else than what was classified.

    May be killed at any point: the commit stays noted as begun until the registry is in one of the two
    states, and the next apply goes back to the same dump.

    :param dump_uri: the registry to go back to.
    """
    found = registry_differences(request.definitions, _registered(store))
    if not found:
        return
    before = read_dump(dump_uri, store.project)
    _apply(store, _registered(store), before)
    left = registry_differences(before, _registered(store))
    if left:
        raise FeatureOpsError(
            f"the registry differs from what was classified of commit {request.commit[:10]} "
            f"({shown(found)}), and going back to {dump_uri} left differences ({shown(left)}): the next try "
            "goes on from there"
        )
    note.undone()
    raise BadInputError(
        f"commit {request.commit[:10]} was undone: after its apply the registry differed from what was "
        f"classified ({shown(found)}). The registry is again what it was before ({dump_uri})"
    )


def _registered(store: FeatureStore) -> Definitions:
    from feature_ops.feast.diff.describe import describe_registry

    store.refresh_registry()
    return describe_registry(store.registry, store.project)


def _apply(
    store: FeatureStore, registered: Definitions, wanted: Definitions
) -> tuple[list[str], list[str], list[str]]:
    """
    Apply in an order in which nobody who reads meanwhile finds a service without what it names.

    First whatever is new, nothing taken away; then the services; then what is no longer wanted goes.
    Readers fetch views before services, one table after the other, so between two stages there is a
    pause in which whoever is in the middle of that comes to its end.
    """
    before, after = _labels(registered), _labels(wanted)
    changed = before != after
    if changed:
        _apply_stage(store, expanded(registered, wanted))
        time.sleep(_READERS_CATCH_UP)
        _apply_stage(store, [item for item in wanted.protos if item.kind == kinds.FEATURE_SERVICE])
        time.sleep(_READERS_CATCH_UP)
    _apply_all(store, wanted)
    return (
        sorted(set(after) - set(before)),
        sorted(label for label in after if label in before and before[label] != after[label]),
        sorted(set(before) - set(after) - {f"{kinds.PROJECT} {store.project}"}),
    )


def expanded(registered: Definitions, wanted: Definitions) -> list[SerializedObject]:
    """Return all that is wanted but services, each view still with the fields that it is to lose."""
    from feature_ops.feast.diff.messages import message_class

    there = {(item.kind, item.name): item.message for item in registered.protos}
    stage = []
    for item in wanted.protos:
        if item.kind in (kinds.FEATURE_VIEW, kinds.STREAM_FEATURE_VIEW) and (item.kind, item.name) in there:
            parse = message_class(item.kind).FromString
            view, earlier = parse(item.message), parse(there[item.kind, item.name])
            names = {feature.name for feature in view.spec.features}
            view.spec.features.extend(f for f in earlier.spec.features if f.name not in names)
            stage.append(replace(item, message=view.SerializeToString()))
        elif item.kind != kinds.FEATURE_SERVICE:
            stage.append(item)
    return stage


def _apply_stage(store: FeatureStore, items: Iterable[SerializedObject]) -> None:
    objects = [_made(item) for item in items]
    if objects:
        store.apply(objects)


def _apply_all(store: FeatureStore, wanted: Definitions) -> None:
    from feast.repo_operations import extract_objects_for_apply_delete

    contents = _contents(wanted, store.project)
    provider: Any = store._get_provider()
    for view in contents.feature_views:
        if view.batch_source is not None:
            provider.validate_data_source(store.config, view.batch_source)
    to_apply, to_delete, _, _ = extract_objects_for_apply_delete(store.project, store.registry, contents)
    store.apply(to_apply, objects_to_delete=to_delete, partial=False)


def _labels(definitions: Definitions) -> dict[str, Any]:
    return {
        f"{kind} {name}": data for kind, named in definitions.objects.items() for name, data in named.items()
    }


def _contents(definitions: Definitions, project: str) -> Any:
    """Return the definitions as Feast has them after it read a repository."""
    from feast import Project
    from feast.feature_view import DUMMY_ENTITY
    from feast.repo_contents import RepoContents

    made: dict[str, list[Any]] = {}
    for item in definitions.protos:
        made.setdefault(item.kind, []).append(_made(item))
    return RepoContents(
        projects=made.get(kinds.PROJECT) or [Project(name=project)],
        data_sources=made.get(kinds.DATA_SOURCE, []),
        entities=[*made.get(kinds.ENTITY, []), DUMMY_ENTITY],
        feature_views=made.get(kinds.FEATURE_VIEW, []),
        feature_services=made.get(kinds.FEATURE_SERVICE, []),
        on_demand_feature_views=made.get(kinds.ON_DEMAND_FEATURE_VIEW, []),
        stream_feature_views=made.get(kinds.STREAM_FEATURE_VIEW, []),
        label_views=made.get(kinds.LABEL_VIEW, []),
        permissions=made.get(kinds.PERMISSION, []),
    )


def _made(item: SerializedObject) -> Any:
    from feast import Entity, FeatureService, FeatureView, OnDemandFeatureView, Project, StreamFeatureView
    from feast.data_source import DataSource
    from feast.labeling.label_view import LabelView
    from feast.permissions.permission import Permission

    from feature_ops.feast.diff.function_text import made_of_text
    from feature_ops.feast.diff.messages import message_class

    makers: dict[str, Any] = {
        kinds.PROJECT: Project,
        kinds.DATA_SOURCE: DataSource,
        kinds.ENTITY: Entity,
        kinds.FEATURE_VIEW: FeatureView,
        kinds.ON_DEMAND_FEATURE_VIEW: OnDemandFeatureView,
        kinds.STREAM_FEATURE_VIEW: StreamFeatureView,
        kinds.LABEL_VIEW: LabelView,
        kinds.FEATURE_SERVICE: FeatureService,
        kinds.PERMISSION: Permission,
    }
    message = message_class(item.kind).FromString(item.message)
    if item.kind == kinds.STREAM_FEATURE_VIEW and not message.spec.user_defined_function.body:
        return made_of_text(message)
    return makers[item.kind].from_proto(message)


def main() -> int:
    """Read a request, enter the sandbox, apply it, and write the answer to the descriptor named first."""
    logging.basicConfig(level=logging.INFO, stream=sys.stderr, format="%(message)s")
    logging.getLogger("botocore").setLevel(logging.WARNING)
    answer: dict[str, Any]
    try:
        request = ApplyRequest.from_json(sys.stdin.read())
        # Before Feast is imported, and so before a function is loaded.
        log_missing(enter_store_sandbox(request.feature_repo, os.environ, request.required))
        answer = {"applied": apply(request).__dict__}
    except SupersededError as error:
        answer = {"superseded": str(error)}
    except BadInputError as error:
        answer = {"refused": str(error)}
    except FeatureOpsError as error:
        answer = {"failed": str(error)}
    with os.fdopen(int(sys.argv[1]), "w") as pipe:
        json.dump(answer, pipe)
    return 0


if __name__ == "__main__":
    sys.exit(main())
