"""Open and read an untrusted parquet file: what Arrow reports about it becomes a refusal."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from feature_ops.datasets.plain_arrays import plain_type
from feature_ops.datasets.scalar_casts import is_text
from feature_ops.exceptions import BadInputError

if TYPE_CHECKING:
    import pyarrow.parquet as pq

# A column chunk is read through a buffer of this size, however large its row group is.
_READ_BUFFER = 1024 * 1024
# The footer is parsed in memory; this holds the statistics of some 300,000 column chunks.
_LARGEST_FOOTER = 32 * 1024 * 1024
_LARGEST_DICTIONARY = 16 * 1024 * 1024
_DICTIONARIES = {"PLAIN_DICTIONARY", "RLE_DICTIONARY"}
_MIXED = {"PLAIN", "RLE", "BIT_PACKED"}
IS_ENCRYPTED = "the parquet file is encrypted: write it without parquet's encryption"


@contextmanager
def open_parquet(path: Path) -> Iterator[pq.ParquetFile]:
    """
    Open a file with at least one row.

    :raises BadInputError: it is not parquet, encrypted, damaged, not supported by Arrow, or without rows.
    """
    _check_ends(path)
    with _opened(path) as file:
        metadata = file.metadata
        groups = (metadata.row_group(number).num_rows for number in range(metadata.num_row_groups))
        if not metadata.num_rows and not any(groups):
            raise BadInputError("the file has no rows: check the job that writes it")
        yield file


def _opened(path: Path) -> pq.ParquetFile:
    import pyarrow as pa
    import pyarrow.parquet as pq

    with reading_source():
        try:
            file = pq.ParquetFile(path, **_options())
            _ = file.schema_arrow
        except pa.ArrowInvalid as error:
            raise BadInputError(
                f"Apache Arrow {pa.__version__} can't read the file's schema: {_one_line(str(error))}; "
                "write it with other types"
            ) from None
    return file


def reopened(
    path: Path, file: pq.ParquetFile, dictionaries: Sequence[str], int96_unit: str = "us"
) -> pq.ParquetFile:
    """
    Open a file again, to read it differently.

    :param dictionaries: columns of texts that stay dictionaries, so that each text is in memory once.
    :param int96_unit: unit of 96-bit times.
    """
    import pyarrow.parquet as pq

    with reading_source():
        return pq.ParquetFile(
            path, metadata=file.metadata, read_dictionary=list(dictionaries), **_options(int96_unit)
        )


def _options(int96_unit: str = "us") -> dict[str, Any]:
    return {
        "pre_buffer": False,
        "buffer_size": _READ_BUFFER,
        "page_checksum_verification": True,
        # Older writers' 96-bit times hold years that do not fit into nanoseconds.
        "coerce_int96_timestamp_unit": int96_unit,
    }


def dictionary_columns(file: pq.ParquetFile, names: Sequence[str]) -> list[str]:
    """Return which of some columns are texts, outside of lists and structs, that may stay dictionaries."""
    kinds = {name: plain_type(file.schema_arrow.field(name).type) for name in names}
    leaves = {file.schema.column(number).path: number for number in range(len(file.schema))}
    return [
        name
        for name in names
        if name in leaves and is_text(kinds[name]) and _has_dictionaries(file.metadata, leaves[name])
    ]


def _has_dictionaries(metadata: pq.FileMetaData, leaf: int) -> bool:
    """
    Whether a column is best read as dictionaries.

    It has some, no encoding of texts that Arrow can't make one of, and is small in each row group: values
    outside of the file's dictionary make Arrow's grow.
    """
    if metadata.schema.column(leaf).physical_type != "BYTE_ARRAY":
        return False
    found: set[str] = set()
    for number in range(metadata.num_row_groups):
        chunk = metadata.row_group(number).column(leaf)
        found.update(chunk.encodings)
        if chunk.total_uncompressed_size > _LARGEST_DICTIONARY:
            return False
    return bool(found & _DICTIONARIES) and found <= _DICTIONARIES | _MIXED


@contextmanager
def reading_source(where: str = "") -> Iterator[None]:
    """
    Translate what Arrow reports while it reads a file. Only reading belongs into the block.

    :param where: how far the file was read, such as ``after row 1,000``.
    :raises BadInputError: the file is encrypted, damaged, or of a kind that Arrow can't read.
    """
    import pyarrow as pa

    try:
        yield
    except MemoryError:
        raise
    except (pa.ArrowNotImplementedError, pa.ArrowCapacityError) as error:
        raise BadInputError(_not_supported(str(error))) from None
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise  # the local disk, not the file
        raise BadInputError(_reason(str(error), where)) from None


def is_about_encryption(text: str) -> bool:
    """Whether what Arrow reports is that it has no key for a file or a column."""
    return re.search("encrypt|decrypt", text, re.IGNORECASE) is not None


def _reason(text: str, where: str) -> str:
    if is_about_encryption(text):
        return IS_ENCRYPTED
    if re.search("not (yet )?(supported|implemented)|unsupported", text, re.IGNORECASE):
        return _not_supported(text)
    place = f" {where}" if where else ""
    return (
        f"the parquet file is damaged{place}: {_one_line(text)}; "
        "check that it was written and sent completely"
    )


def _not_supported(text: str) -> str:
    import pyarrow as pa

    return (
        f"the parquet file uses what its reader, Apache Arrow {pa.__version__}, does not support: "
        f"{_one_line(text)}; write it with other types, encodings or compression"
    )


def _one_line(text: str) -> str:
    return " ".join(text.split())[:200].rstrip(".")


def _check_ends(path: Path) -> None:
    with path.open("rb") as file:
        start = file.read(4)
        size = file.seek(0, 2)
        file.seek(max(size - 8, 0))
        end = file.read(8)
    if start == b"PARE" or end[4:] == b"PARE":
        raise BadInputError(IS_ENCRYPTED)
    if start != b"PAR1":
        raise BadInputError(f"the file is not parquet (it starts with {start!r}): check the address")
    if size < 12 or end[4:] != b"PAR1":
        raise BadInputError("the parquet file is cut off: check that it was written and sent completely")
    footer = int.from_bytes(end[:4], "little")
    if footer > _LARGEST_FOOTER:
        raise BadInputError(
            f"the parquet file's footer claims {footer:,} bytes, more than {_LARGEST_FOOTER:,}: "
            "write it with fewer columns or larger row groups"
        )
    if footer + 12 > size:
        raise BadInputError(
            f"the parquet file is damaged: its footer claims {footer:,} bytes, and it has {size:,}; "
            "check that it was written and sent completely"
        )
