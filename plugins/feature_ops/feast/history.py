"""The dataset's history as materialization and its check read it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import accumulate, pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from feature_ops.datasets.history import check_types
from feature_ops.exceptions import BadInputError
from feature_ops.feast.ledger import FileSpan
from feature_ops.history_failures import reading_history
from feature_ops.object_store import ObjectStore, split_uri
from feature_ops.settings import get_settings
from feature_ops.work_folder import work_folder

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.dataset as pads
    from pyarrow.fs import FileSystem
    from pyarrow.parquet import FileMetaData

    from feature_ops.datasets.dataset import Dataset

# So many keys are sought by name; more are cheaper found by reading the column whole.
_KEYS_SOUGHT = 10_000
_BATCH_ROWS = 65_536
_SMALL_READS = 8

Key = tuple[Any, ...]


@dataclass(frozen=True)
class History:
    """
    The files that Feast reads, in the order in which they came.

    :param paths: path on the file system by the file's name.
    :param sizes: bytes by the file's name.
    :param filesystem: where they are; the local one if None.
    :param objects: the object store that holds them; None for local files.
    """

    dataset: Dataset
    paths: Mapping[str, str]
    sizes: Mapping[str, int]
    filesystem: FileSystem | None = None
    objects: ObjectStore | None = None

    @classmethod
    def from_store(cls, dataset: Dataset, store: ObjectStore) -> Self:
        """Return the history on object storage as it is now."""
        # Feast reads every parquet file under the prefix, so every one of them counts.
        found = [file for file in store.list(dataset.uri) if file.name.endswith(".parquet")]
        found.sort(key=lambda file: (file.modified, file.uri))
        paths = {file.uri.removeprefix(dataset.uri): "/".join(split_uri(file.uri)) for file in found}
        sizes = {name: file.size for name, file in zip(paths, found, strict=True)}
        return cls(dataset, paths, sizes, store.filesystem, store)

    @classmethod
    def from_folder(cls, dataset: Dataset, folder: Path) -> Self:
        """Return a history in a local folder."""
        found = sorted(folder.glob("*.parquet"), key=lambda path: (path.stat().st_mtime_ns, path.name))
        sizes = {path.name: path.stat().st_size for path in found}
        return cls(dataset, {path.name: str(path) for path in found}, sizes)

    @contextmanager
    def reading(self, names: Iterable[str] | None = None) -> Iterator[None]:
        """
        Name the file that cannot be read, and the remedy, if reading fails in the block.

        :param names: the files that are read; all if None.
        """
        if self.objects is None:
            yield
            return
        paths = self.paths.values() if names is None else (self.paths[name] for name in names)
        with reading_history([f"s3://{path}" for path in paths], self.objects, self.dataset):
            yield

    def spans(self, names: Iterable[str]) -> list[FileSpan]:
        """Return the rows and times of files, from their footers alone."""
        with ThreadPoolExecutor(_SMALL_READS) as pool:
            return list(pool.map(self._span, names))

    def readable_spans(self, names: Iterable[str]) -> tuple[list[FileSpan], dict[str, BadInputError]]:
        """Return what :meth:`spans` does of the files that can be read, and the errors of the others."""

        def span(name: str) -> FileSpan | BadInputError:
            try:
                with self.reading([name]):
                    return self._span(name)
            except BadInputError as error:
                return error

        names = list(names)
        with ThreadPoolExecutor(_SMALL_READS) as pool:
            found = dict(zip(names, pool.map(span, names), strict=True))
        errors = {name: one for name, one in found.items() if isinstance(one, BadInputError)}
        return [one for one in found.values() if not isinstance(one, BadInputError)], errors

    def has_corrections(
        self, pending: Sequence[FileSpan], others: Iterable[FileSpan], by: Sequence[str] = ()
    ) -> bool:
        """
        Return whether a pending row has the key and event time of another row.

        :param pending: files that are to be loaded.
        :param others: files that are online.
        :param by: columns of the key; the dataset's own if empty.
        """
        names = [file.name for file in pending]
        rivals = [file.name for file in self.overlapping(pending, others)]
        with work_folder("corrections") as folder:
            return self._repeats(names, rivals, folder, by or self.dataset.keys)

    def overlapping(self, pending: Sequence[FileSpan], others: Iterable[FileSpan]) -> list[FileSpan]:
        """Return those of the other files that may have rows in the same seconds as the pending ones."""
        first = min((file.first_event for file in pending if file.first_event), default=None)
        last = max((file.last_event for file in pending if file.last_event), default=None)
        if first is None or last is None:
            return []
        # Some online stores keep whole seconds.
        first, last = first.replace(microsecond=0), last.replace(microsecond=0) + timedelta(seconds=1)
        return [
            file
            for file in others
            if file.name in self.paths
            and file.first_event is not None
            and file.last_event is not None
            and file.first_event < last
            and file.last_event >= first
        ]

    def sample(self, names: Sequence[str], count: int, by: Sequence[str] = ()) -> list[Key]:
        """
        Return keys of the files' first, last and evenly spread rows: the same at every call.

        :param by: columns of the key; the dataset's own if empty.
        """
        import pyarrow.parquet as pq

        footers = [self._footer(name).num_rows for name in names]
        total = sum(footers)
        count = min(count, total)
        wanted = sorted({i * (total - 1) // max(count - 1, 1) for i in range(count)})
        keys: dict[Key, None] = {}
        for name, (start, end) in zip(names, pairwise(accumulate(footers, initial=0)), strict=True):
            rows = [row - start for row in wanted if start <= row < end]
            if rows:
                with pq.ParquetFile(
                    self.paths[name],
                    filesystem=self.filesystem,
                    pre_buffer=False,  # it would keep the whole file
                ) as file:
                    keys.update(dict.fromkeys(_keys_at(file, by or self.dataset.keys, rows)))
        return list(keys)

    def latest(
        self,
        names: Sequence[str],
        keys: Sequence[Key],
        columns: Iterable[str],
        until: datetime,
        by: Sequence[str] = (),
    ) -> dict[Key, dict[str, Any]]:
        """
        Return each key's newest row in some of the files.

        :param names: the files that count.
        :param columns: what to return of a row.
        :param until: rows with a later event time do not count.
        :param by: columns of the key; the dataset's own if empty.
        """
        import pyarrow as pa
        import pyarrow.dataset as pads

        if not names or not keys:
            return {}
        dataset, by = self.dataset, by or self.dataset.keys
        order = [dataset.timestamp_field, dataset.created_timestamp_column]
        wanted = list(dict.fromkeys([*by, *columns, *order]))
        schema = dataset.arrow_schema()
        firsts = pa.array(sorted({key[0] for key in keys}), schema.field(by[0]).type)
        table = self.files(names).to_table(
            columns=wanted,
            filter=pads.field(by[0]).isin(firsts) & (pads.field(order[0]) <= pa.scalar(until)),
        )
        newest: dict[Key, dict[str, Any]] = {}
        sought = set(keys)
        for row in table.sort_by([(name, "ascending") for name in order]).to_pylist():
            key = tuple(row[name] for name in by)
            if key in sought:
                newest[key] = row
        return newest

    def scanner(
        self, names: Iterable[str], columns: Mapping[str, pads.Expression], where: pads.Expression | None
    ) -> pads.Scanner:
        """Return a stream of the files' rows that holds little of them at a time."""
        from feature_ops.feast.engine.source_files import bounded_scanner

        return bounded_scanner(self.files(names), columns, where, batch_rows=_BATCH_ROWS, files_at_once=1)

    def files(self, names: Iterable[str]) -> pads.FileSystemDataset:
        """Return the rows of some files, in that order; a column that a file lacks is null there."""
        from feature_ops.feast.engine.source_files import parquet_files

        wanted = list(names)
        return parquet_files(
            [self.paths[name] for name in wanted],
            [self.sizes[name] for name in wanted],
            self.filesystem,
            self.dataset.arrow_schema(),
        )

    def _footer(self, name: str) -> FileMetaData:
        import pyarrow.parquet as pq

        footer = pq.read_metadata(self.paths[name], filesystem=self.filesystem)
        place = self.paths[name] if self.filesystem is None else f"s3://{self.paths[name]}"
        check_types(self.dataset, footer.schema.to_arrow_schema(), place)
        return footer

    def _span(self, name: str) -> FileSpan:
        footer = self._footer(name)
        # Parquet counts a struct's fields, so the column's place is another than in the schema.
        paths = [footer.schema.column(number).path for number in range(footer.num_columns)]
        column = paths.index(self.dataset.timestamp_field)
        groups = [footer.row_group(i).column(column).statistics for i in range(footer.num_row_groups)]
        if all(group is not None and group.has_min_max for group in groups):
            times = [_utc(time) for group in groups for time in (group.min, group.max)]
        else:
            times = self._read_times(name)
        return FileSpan(name, footer.num_rows, min(times, default=None), max(times, default=None))

    def _read_times(self, name: str) -> list[datetime]:
        import pyarrow.compute as pc

        field = self.dataset.timestamp_field
        spread = pc.min_max(self.files([name]).to_table(columns=[field]).column(field)).as_py()
        return [_utc(time) for time in spread.values() if time is not None]

    def _repeats(
        self, pending: Sequence[str], rivals: Sequence[str], folder: Path, key: Sequence[str]
    ) -> bool:
        from feature_ops.feast.engine.bounded_duckdb import Limits, bounded_duckdb

        keys = [f"key_{place}" for place, _ in enumerate(key)]
        by = ", ".join([*keys, "event_time"])
        limits = Limits(memory=get_settings().memory_limit, folder=str(folder))
        with bounded_duckdb(limits) as connection:
            connection.register("pending_rows", self._keys_and_times(pending, key))
            connection.execute("CREATE TABLE pending AS FROM pending_rows")
            sought = connection.sql(
                f"SELECT DISTINCT {keys[0]} FROM pending LIMIT {_KEYS_SOUGHT + 1}"  # noqa: S608
            ).to_arrow_table()
            few = sought.column(0).combine_chunks() if sought.num_rows <= _KEYS_SOUGHT else None
            everyone = "SELECT * FROM pending"
            if rivals:
                connection.register("rival_rows", self._keys_and_times(rivals, key, few))
                everyone += f" UNION ALL SELECT * FROM rival_rows SEMI JOIN pending USING ({by})"  # noqa: S608
            found = connection.execute(
                f"SELECT 1 FROM ({everyone}) GROUP BY {by} HAVING count(*) > 1 LIMIT 1"  # noqa: S608
            ).fetchall()
        return bool(found)

    def _keys_and_times(
        self, names: Sequence[str], key: Sequence[str], first_keys: pa.Array | None = None
    ) -> pads.Scanner:
        import pyarrow as pa
        import pyarrow.dataset as pads

        columns = {f"key_{place}": pads.field(name) for place, name in enumerate(key)}
        # As numbers: DuckDB needs an extension for some of what can be done with zoned times.
        columns["event_time"] = pads.field(self.dataset.timestamp_field).cast(pa.int64())
        sought = None if first_keys is None else pads.field(key[0]).isin(first_keys)
        return self.scanner(names, columns, sought)


def _keys_at(file: Any, columns: Sequence[str], rows: Sequence[int]) -> Iterator[Key]:
    """Yield the keys of some rows of a file, whose numbers ascend."""
    import pyarrow as pa

    start, remaining = 0, list(rows)
    for batch in file.iter_batches(columns=list(columns), batch_size=_BATCH_ROWS):
        here = [row - start for row in remaining if row < start + batch.num_rows]
        remaining = remaining[len(here) :]
        found = batch.take(pa.array(here, pa.int64())).to_pylist()
        yield from (tuple(row[name] for name in columns) for row in found)
        start += batch.num_rows
        if not remaining:
            return


def _utc(moment: datetime) -> datetime:
    # Feast, too, takes times without a zone for UTC.
    return moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)
