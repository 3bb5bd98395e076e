"""Rows of a feature view, encoded for an online store."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from feature_ops.feast.engine.entity_keys import encode_entity_keys
from feature_ops.feast.engine.event_times import to_microseconds
from feature_ops.feast.engine.features import encode_values
from feature_ops.feast.engine.value_texts import value_texts
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
    :param texts: values as text by the feature's name, for stores that keep those, too.
    """

    keys: pa.LargeBinaryArray
    values: Mapping[str, pa.LargeBinaryArray]
    event_times: Ints
    created_times: pa.Int64Array | None
    texts: Mapping[str, pa.LargeStringArray] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.keys)

    def by_key(self) -> EncodedRows:
        """
        Return the rows in the order of their keys.

        So a table's index is written from one end to the other, and writers that lock the same rows do
        it in the same order.
        """
        order = pc.sort_indices(self.keys)
        if np.array_equal(order.to_numpy(), np.arange(len(order))):
            return self
        return EncodedRows(
            keys=self.keys.take(order),
            values={name: column.take(order) for name, column in self.values.items()},
            event_times=self.event_times[order.to_numpy()],
            created_times=None if self.created_times is None else self.created_times.take(order),
            texts={name: column.take(order) for name, column in self.texts.items()},
        )


@dataclass(frozen=True)
class RowEncoder:
    """
    Encodes the rows of one feature view.

    :param join_keys: name of Feast's value type by the join key's name; :data:`NO_ENTITY` alone
        for a view without entities.
    :param features: the same for the features.
    :param with_texts: whether the store keeps values as text, too.
    """

    join_keys: Mapping[str, str]
    features: Mapping[str, str]
    with_texts: bool = False

    def encode(self, rows: pa.RecordBatch) -> EncodedRows:
        """
        Return the rows as bytes.

        :param rows: columns named as the view names them, :data:`EVENT_TIME`, and :data:`CREATED_TIME` if
            the view has such a column.
        :raises ValueError: a key is null.
        :raises pyarrow.ArrowInvalid: an integer does not fit into its feature's type.
        """
        created = rows.column(CREATED_TIME) if CREATED_TIME in rows.schema.names else None
        return EncodedRows(
            keys=self.keys(rows),
            values={name: encode_values(rows.column(name), kind) for name, kind in self.features.items()},
            event_times=to_microseconds(rows.column(EVENT_TIME)),
            created_times=None if created is None else _nullable_microseconds(created),
            texts={name: value_texts(rows.column(name), kind) for name, kind in self.features.items()}
            if self.with_texts
            else {},
        )

    def keys(self, rows: pa.RecordBatch) -> pa.LargeBinaryArray:
        """
        Return the serialized key of every row.

        :raises ValueError: a key is null.
        """
        no_entity = pa.repeat(pa.scalar(""), rows.num_rows)
        return encode_entity_keys(
            {
                name: (no_entity if name == NO_ENTITY else rows.column(name), kind)
                for name, kind in self.join_keys.items()
            }
        )


def _nullable_microseconds(column: pa.Array) -> pa.Int64Array:
    return pa.array(to_microseconds(column), mask=column.is_null().to_numpy(zero_copy_only=False))
