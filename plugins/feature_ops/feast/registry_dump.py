"""The registry as it was before an apply: kept on object storage, and read when an apply is undone."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from feature_ops.commit_points import CommitPoint, passing
from feature_ops.feast.diff import kinds
from feature_ops.feast.diff.definitions import Definitions, SerializedObject
from feature_ops.object_store import ObjectStore, split_uri

if TYPE_CHECKING:
    from feast import FeatureStore

_LISTS = {
    kinds.PROJECT: "projects",
    kinds.DATA_SOURCE: "data_sources",
    kinds.ENTITY: "entities",
    kinds.FEATURE_VIEW: "feature_views",
    kinds.ON_DEMAND_FEATURE_VIEW: "on_demand_feature_views",
    kinds.STREAM_FEATURE_VIEW: "stream_feature_views",
    kinds.LABEL_VIEW: "label_views",
    kinds.FEATURE_SERVICE: "feature_services",
    kinds.PERMISSION: "permissions",
}


def write_dump(store: FeatureStore, prefix: str, commit: str) -> str:
    """
    Write the whole registry to object storage.

    :param prefix: ``s3://`` prefix of all dumps.
    :param commit: the commit that is to be applied.
    :return: URI of the dump.
    """
    now = datetime.now(UTC).strftime("%Y%m%dT%H%M%S.%fZ")
    uri = f"{prefix}{now}-before-{commit[:10]}.pb"
    content: bytes = store.registry.proto().SerializeToString()
    with passing(CommitPoint.REGISTRY_DUMPED):
        ObjectStore.from_environment(os.environ).put_bytes(content, uri)
    return uri


def read_dump(uri: str, project: str) -> Definitions:
    """
    Return what a dump holds of a project, functions with their serialized form.

    :raises ValueError: if the dump is not one of a registry.
    """
    bucket, key = split_uri(uri)
    client = ObjectStore.from_environment(os.environ).client
    return of_dump(client.get_object(Bucket=bucket, Key=key)["Body"].read(), project)


def of_dump(content: bytes, project: str) -> Definitions:
    """Return what the content of a dump holds of a project, see :func:`read_dump`."""
    from feast.data_source import DataSource
    from feast.protos.feast.core.Registry_pb2 import Registry

    from feature_ops.feast.diff.describe import describe, serialize
    from feature_ops.feast.diff.messages import DUMMY_ENTITY, reduced, spec_of

    registry = Registry.FromString(content)
    items = [
        SerializedObject(kind, spec_of(message).name, message.SerializeToString(deterministic=True))
        for kind, field in _LISTS.items()
        for message in getattr(registry, field)
        if _project_of(kind, message) == project and spec_of(message).name != DUMMY_ENTITY
    ]
    # Feast's registry leaves out the class of a source, which its type says.
    sources = [
        serialize(kinds.DATA_SOURCE, DataSource.from_proto(message))
        for message in registry.data_sources
        if message.project == project
    ]
    others = [reduced(item) for item in items if item.kind != kinds.DATA_SOURCE]
    plain = describe(project, [*sources, *others])
    return Definitions(project, plain.objects, tuple(items))


def _project_of(kind: str, message: Any) -> str:
    from feature_ops.feast.diff.messages import spec_of

    spec = spec_of(message)
    return str(spec.name if kind == kinds.PROJECT else spec.project)
