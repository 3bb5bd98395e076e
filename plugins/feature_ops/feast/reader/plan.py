"""How the features of one request are looked up when keys of certain names are given."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from feature_ops.feast.reader.answer import Answer, Part
from feature_ops.feast.reader.decoding import decoder_of, row_decoder_of
from feature_ops.feast.reader.keys import encode_column, head_of
from feature_ops.feast.reader.request import Request
from feature_ops.feast.reader.rows import RowReader, Wanted
from feature_ops.feast.reader.stores import row_reader

_NO_ANSWER = "the store did not answer as it should"


class AskFeastError(Exception):
    """Feast has to answer this; the message says why."""


@dataclass(frozen=True)
class _Group:
    """
    Keys by which views are looked up.

    :param head: what each of them begins with.
    :param given: the names of the values that follow, as they are given.
    """

    head: bytes
    given: tuple[str, ...]


@dataclass(frozen=True)
class _Features:
    """
    Features of one view.

    :param names: as Feast names them in its answer.
    :param row: decodes a value of each.
    :param columns: of each, what decodes several values.
    """

    names: list[str]
    row: Callable[[Sequence[bytes | None]], list[Any]]
    columns: list[Callable[[Sequence[bytes | None]], list[Any]]]


class Plan:
    """
    Looks up features by keys of certain names.

    :param names: the names by which keys are given.
    :raises AskFeastError: keys of these names are not enough, or unusual.
    """

    def __init__(self, store: Any, request: Request, names: Sequence[str], full_feature_names: bool) -> None:
        from feast.feature_view import DUMMY_ENTITY_ID, DUMMY_ENTITY_VAL

        self._told = [(name, request.key_types.get(name)) for name in names if name != DUMMY_ENTITY_ID]
        # The key of views that have no entity, whatever is given for it.
        self._constant = {DUMMY_ENTITY_ID: DUMMY_ENTITY_VAL} if request.has_no_entity else {}
        unknown = [name for name in names if name not in request.join_keys]
        if unknown:
            raise AskFeastError(f"{', '.join(unknown)} is no join key")
        usable = [*(name for name in names if name not in self._constant), *self._constant]
        groups: dict[_Group, int] = {}
        wanted = []
        for view, features in request.grouped:
            group = _group(view, request, usable)
            wanted.append(Wanted(_name(store, view), tuple(features), groups.setdefault(group, len(groups))))
        self._groups = list(groups)
        views = [view for view, _ in request.grouped]
        provider = store._get_provider()
        self._rows: RowReader = row_reader(provider.online_store, store.config, views, wanted)
        self._features = _features(provider.online_store, request, full_feature_names)
        clash = set(names) & {name for features in self._features for name in features.names}
        if clash:
            raise AskFeastError(f"{', '.join(sorted(clash))} is a join key and a feature")

    def read(self, keys: Mapping[str, Sequence[Any]]) -> Answer:
        """
        Look up features.

        :raises AskFeastError: the keys, or what the store answers, are unusual.
        """
        counts = {len(values) for values in keys.values()}
        if len(counts) != 1 or 0 in counts:
            raise AskFeastError("there are no keys, or more of one than of another")
        (count,) = counts
        values, parts = self._encoded(keys, count)
        encoded = [_joined(group, parts) for group in self._groups]
        return self._one(values, encoded) if count == 1 else self._several(values, encoded)

    def _one(self, values: dict[str, list[Any]], keys: Sequence[Sequence[bytes]]) -> Answer:
        rows = self._rows.read_one([key for (key,) in keys])
        if rows is None:
            raise AskFeastError(_NO_ANSWER)
        tells_missing, parts = self._rows.tells_missing, []
        for features, row in zip(self._features, rows, strict=True):
            values.update(zip(features.names, [[value] for value in features.row(row.values)], strict=True))
            stored = [(raw,) for raw in row.values] if tells_missing else None
            parts.append(Part(features.names, stored, (row.time,)))
        return Answer(values, parts, self._rows.decode_time)

    def _several(self, values: dict[str, list[Any]], keys: Sequence[Sequence[bytes]]) -> Answer:
        rows = self._rows.read(keys)
        if rows is None:
            raise AskFeastError(_NO_ANSWER)
        tells_missing, parts = self._rows.tells_missing, []
        for features, (stored, times) in zip(self._features, rows, strict=True):
            for name, decode, column in zip(features.names, features.columns, stored, strict=True):
                values[name] = decode(column)
            parts.append(Part(features.names, stored if tells_missing else None, times))
        return Answer(values, parts, self._rows.decode_time)

    def _encoded(
        self, keys: Mapping[str, Sequence[Any]], count: int
    ) -> tuple[dict[str, list[Any]], dict[str, list[bytes]]]:
        """Return the keys as they are answered, and what each of their values adds to a serialized key."""
        answered: dict[str, list[Any]] = {}
        parts: dict[str, list[bytes]] = {}
        for name, constant in self._constant.items():
            parts[name] = (encode_column([constant], "STRING") or []) * count
        for name, kind in self._told:
            if type(keys[name]) not in (list, tuple):
                raise AskFeastError(f"the keys {name} are no list")
            values = list(keys[name])
            try:
                column = encode_column(values, kind.name) if kind else None
                if column is None:
                    values, column = _converted(values, kind)
            except Exception as error:  # whatever it is, Feast has its own words for it
                raise AskFeastError(f"the keys {name} can't be serialized: {error}") from error
            answered[name], parts[name] = values, column
        return answered, parts


def _joined(group: _Group, parts: Mapping[str, list[bytes]]) -> list[bytes]:
    """Return serialized keys."""
    head = group.head
    if len(group.given) == 1:
        return [head + part for part in parts[group.given[0]]]
    return [b"".join((head, *row)) for row in zip(*(parts[name] for name in group.given), strict=True)]


def _converted(values: list[Any], kind: Any) -> tuple[list[Any], list[bytes]]:
    """Convert keys as Feast does; returns them as it answers them, and as parts of a serialized key."""
    from feast.infra.key_encoding_utils import _serialize_val
    from feast.type_map import feast_value_type_to_python_type, python_values_to_proto_values
    from feast.value_type import ValueType

    messages = python_values_to_proto_values(values, kind or ValueType.UNKNOWN)
    parts = []
    for message in messages:
        raw, number = _serialize_val(message.WhichOneof("val"), message, 3)
        parts.append(number.to_bytes(4, "little") + len(raw).to_bytes(4, "little") + raw)
    return [feast_value_type_to_python_type(message) for message in messages], parts


def _group(view: Any, request: Request, names: Sequence[str]) -> _Group:
    from feast import utils

    # By Feast itself: keys may be given by another name than the one they are stored by.
    given = utils._get_table_entity_values(view, request.key_names, {name: name for name in names})
    missing = {request.key_names[entity] for entity in view.entities} - set(given)
    if missing:
        raise AskFeastError(f"{', '.join(sorted(missing))} of {view.name} is not given")
    stored = sorted(given)
    return _Group(head_of(stored), tuple(given[name] for name in stored))


def _name(store: Any, view: Any) -> str:
    from feast.infra.online_stores.helpers import compute_versioned_name

    return str(compute_versioned_name(view, store.config.registry.enable_online_feature_view_versioning))


def _features(online_store: Any, request: Request, full_feature_names: bool) -> list[_Features]:
    types = online_store._build_feature_types(request.grouped)
    found = []
    for view, features in request.grouped:
        prefix = f"{view.projection.name_to_use()}__" if full_feature_names else ""
        names = [prefix + name for name in features]
        kinds = [types[name].name for name in names]
        columns = [decoder_of(kind).column for kind in kinds]
        found.append(_Features(names, row_decoder_of(kinds), columns))
    return found
