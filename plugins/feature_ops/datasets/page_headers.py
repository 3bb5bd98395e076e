"""
The headers of a parquet file's pages, read without unpacking a page.

What the footer says about sizes is a claim that readers do not need. A page's own header is what a
reader allocates by, and a page that unpacks to another size is damaged: so headers can be trusted.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from mmap import mmap
from typing import Any

DICTIONARY_PAGE = 2
DELTA_LENGTH_BYTE_ARRAY = 6
DELTA_BYTE_ARRAY = 7
DICTIONARY_NUMBERS = frozenset({2, 8})

# The fields of a header that hold a data page's own header, a dictionary's, and one of version two.
_DATA, _DICTIONARY, _DATA_V2 = 5, 7, 8
_DEEPEST = 8


class DamagedPageError(Exception):
    """What stands where a page should begin is no page."""


@dataclass(frozen=True)
class Page:
    """
    What a page's header says.

    :param start: where it begins in the file, after the header.
    :param packed: bytes of it in the file.
    :param unpacked: bytes of it in a reader's memory.
    :param values: how many values it holds, nulls included.
    :param encoding: number of the encoding of the values, as parquet's specification has it.
    """

    start: int
    is_dictionary: bool
    packed: int
    unpacked: int
    values: int
    encoding: int


# A value that was read, and where what follows it begins.
_Read = tuple[Any, int]


def pages(file: mmap, start: int, size: int) -> Iterator[Page]:
    """
    Yield the pages of a column chunk.

    :param start: where its first page is.
    :param size: bytes of all its pages.
    :raises DamagedPageError: they are not there.
    """
    end = start + size
    if start < 0 or size < 0 or end > len(file):
        raise DamagedPageError(f"a column's pages should be at {start:,} to {end:,}, outside of the file")
    while start < end:
        try:
            header, body = _struct(file, start, _DEEPEST)
            page = _page(header, body)
        except (IndexError, KeyError, TypeError, ValueError):
            raise DamagedPageError(f"there is no page at {start:,}") from None
        start = body + page.packed
        yield page


def _page(header: dict[int, Any], start: int) -> Page:
    kind, unpacked, packed = header[1], header[2], header[3]
    if kind == DICTIONARY_PAGE:
        values, encoding = header[_DICTIONARY][1], header[_DICTIONARY][2]
    elif _DATA_V2 in header:
        values, encoding = header[_DATA_V2][1], header[_DATA_V2][4]
    elif _DATA in header:
        values, encoding = header[_DATA][1], header[_DATA][2]
    else:
        values, encoding = 0, 0
    if min(unpacked, packed, values) < 0:
        raise ValueError
    return Page(start, kind == DICTIONARY_PAGE, packed, unpacked, values, encoding)


def _varint(file: mmap, at: int) -> _Read:
    value = shift = 0
    while True:
        byte = file[at]
        at += 1
        value |= (byte & 127) << shift
        if byte < 128:
            return (value, at)
        shift += 7
        if shift > 63:
            raise ValueError


def _integer(file: mmap, at: int) -> _Read:
    number, at = _varint(file, at)
    return ((number >> 1) ^ -(number & 1), at)


def _binary(file: mmap, at: int) -> _Read:
    length, at = _varint(file, at)
    return (None, at + length)


def _struct(file: mmap, at: int, depth: int) -> _Read:
    """Read a struct of thrift's compact protocol: its fields by number, binaries left out."""
    if not depth:
        raise ValueError
    fields: dict[int, Any] = {}
    number = 0
    while True:
        head = file[at]
        at += 1
        if not head:
            return (fields, at)
        if head >> 4:
            number += head >> 4
        else:
            number, at = _integer(file, at)
        fields[number], at = _value(file, at, head & 15, depth)


def _value(file: mmap, at: int, kind: int, depth: int) -> _Read:
    if kind in (1, 2):
        return (kind == 1, at)
    if kind == 3:
        return (file[at], at + 1)
    if kind in (4, 5, 6):
        return _integer(file, at)
    if kind == 7:
        return (None, at + 8)
    if kind == 8:
        return _binary(file, at)
    if kind == 12:
        return _struct(file, at, depth - 1)
    # No page header has a list, a set or a map.
    raise ValueError
