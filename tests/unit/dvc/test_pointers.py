"""Pointers are read without DVC, and only those that DVC could follow."""

from __future__ import annotations

import pytest

from feature_ops.dvc.pointers import Pointer, parse_pointer, pointed_files
from feature_ops.exceptions import BadInputError

NAME = "0123456789abcdef0123.parquet"
MD5 = "ab" + "c" * 30
PATH = f"data/songs/{NAME}.dvc"


def test_a_pointer_tells_where_its_content_is() -> None:
    content = f"outs:\n- md5: {MD5}\n  size: 12\n  hash: md5\n  path: {NAME}\n".encode()
    pointer = parse_pointer(PATH, content)
    assert pointer == Pointer(NAME, MD5, 12)
    assert pointer.data_uri("s3://cache") == f"s3://cache/files/md5/ab/{'c' * 30}"


def test_a_pointer_of_an_older_dvc_keeps_its_content_elsewhere() -> None:
    pointer = parse_pointer(PATH, f"outs:\n- {{md5: {MD5}, size: 12, path: {NAME}}}\n".encode())
    assert pointer.data_uri("s3://cache") == f"s3://cache/ab/{'c' * 30}"


@pytest.mark.parametrize(
    "content",
    [
        "",
        "<<<<<<< HEAD",
        "outs: []",
        "outs: [{}, {}]",
        "just text",
        "outs: [text]",
        f"outs: [{{md5: {MD5}, size: x, path: {NAME}}}]",
        f"outs: [{{md5: ../../etc, size: 1, path: {NAME}}}]",
        f"outs: [{{md5: {MD5}.dir, size: 1, path: {NAME}}}]",
        f"outs: [{{md5: {MD5}, size: 1, path: ../other.parquet}}]",
        "!!python/object/apply:os.system [whoami]",
    ],
)
def test_a_broken_pointer_is_named_with_the_remedy(content: str) -> None:
    with pytest.raises(BadInputError, match=f"{PATH} in git is no pointer"):
        parse_pointer(PATH, content.encode())


def test_pointers_to_files_not_named_by_their_content_are_foreign() -> None:
    names = [".gitignore", f"{NAME}.dvc", "mine.parquet.dvc", "readme.md"]
    assert pointed_files(names) == ({NAME}, ["mine.parquet"])
