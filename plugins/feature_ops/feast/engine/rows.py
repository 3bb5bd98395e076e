"""Rows of a feature view, encoded for an online store."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import pyarrow as pa

from feature_ops.feast.engine.entity_keys import encode_entity_keys
from feature_ops.feast.engine.event_times import to_microseconds
from feature_ops.feast.engine.features import encode_values
from feature_ops.feast.engine.wire import Ints

EVENT_TIME, CREATED_TIME = "__event_time", "__created_time"
# Feast gives views without entities this key with an empty value.
NO_ENTITY = "__dummy_id"


@dataclass(frozen=True)
class EncodedRows:
    """
    Rows with one key each; no key comes twice.

    :param keys: serialized entity keys.
    :param values: serialized ``Value`` messages by the feature's name.
    :param event_times: microseconds since 1970, UTC.
    :param created_times: the same for the created timestamps, which may be null; None if there are none.
    """

    keys: pa.LargeBinaryArray
    values: Mapping[str, pa.LargeBinaryArray]
    event_times: Ints
    created_times: pa.Int64Array | None

    def __len__(self) -> int:
        return len(self.keys)


@dataclass(frozen=True)
class RowEncoder:
    """
    Encodes the rows of one feature view.

    :param join_keys: name of Feast's value type by the join key's name; none for a view without entities.
    :param features: the same for the features.
    """

    join_keys: Mapping[str, str]
    features: Mapping[str, str]

    def encode(self, rows: pa.RecordBatch) -> EncodedRows:
        """
        Return the rows as bytes.

        :param rows: columns named as the view names them, :data:`EVENT_TIME`, and :data:`CREATED_TIME` if
            the view has such a column.
        :raises ValueError: a key is null.
        :raises pyarrow.ArrowInvalid: an integer does not fit into its feature's type.
        """
        keys = {name: (rows.column(name), kind) for name, kind in self.join_keys.items()}
        if not keys:
            keys = {NO_ENTITY: (pa.repeat(pa.scalar(""), rows.num_rows), "STRING")}
        created = rows.column(CREATED_TIME) if CREATED_TIME in rows.schema.names else None
        return EncodedRows(
            keys=encode_entity_keys(keys),
            values={name: encode_values(rows.column(name), kind) for name, kind in self.features.items()},
            event_times=to_microseconds(rows.column(EVENT_TIME)),
            created_times=None if created is None else _nullable_microseconds(created),
        )


def _nullable_microseconds(column: pa.Array) -> pa.Int64Array:
    return pa.array(to_microseconds(column), mask=column.is_null().to_numpy(zero_copy_only=False))
