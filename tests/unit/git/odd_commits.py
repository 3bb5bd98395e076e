"""Commit objects that no well-behaved program writes, and that git stores and serves."""

from __future__ import annotations

import hashlib
import random
import zlib
from collections.abc import Iterator
from pathlib import Path

_DATES = (
    *(b"0 +0000", b"1 +0000", b"1800000000 +0900", b"1800000000", b"-1 +0000", b"-9223372036854775808 +0000"),
    *(b"99999999999999 +0000", b"253402300800 +0000", b"18446744073709551615 +0000", b"9" * 5000 + b" +0000"),
    *(b"1800000000 -9999", b"1800000000 +99999999", b"1800000000 +5:30", b"1800000000 Z", b"1e9 +0000"),
    *(
        b"0x7fffffff +0000",
        b"1800000000.5 +0000",
        b"\xd9\xa1\xd9\xa2 +0000",
        b"Thu Jan 1 1970",
        b"",
        b"  7  ",
    ),
)
_NAMES = (
    *(
        b"Ada",
        b"",
        b"   ",
        b"\xff\xfe\xfd",
        b"\x1b[31mRed\x1b[0m",
        b"\xe2\x80\xaeadA",
        b"A\0B",
        b"x" * 70_000,
    ),
    *(
        b"\xed\xa0\x80",
        "Ада 阿达 👩\u200d💻".encode(),
        "한글 이름".encode("euc-kr"),
        b"<<>>",
        b'"; --',
        b"\r",
    ),
)
_ADDRESSES = (
    b"<ada@localhost>",
    b"<>",
    b"",
    b"<",
    b">",
    b"<a@b> <c@d>",
    b"<\xff\0>",
    b"<" + b"e" * 9000 + b">",
)
_MESSAGES = (
    *(
        b"Louder\n\nbody\n",
        b"",
        b"\n\n\n",
        b"\0",
        b"a\0b\n",
        b"\xff" * 400,
        b"m" * 1_500_000,
        b"one\ntwo\n\nthree",
    ),
    *(b"\x1b]0;title\x07", "\u202eeruces\u202c".encode(), "a\u2028b\u2029c\x85d".encode(), b"\r\n\r\nx"),
    *(
        "Größer".encode("latin-1"),
        "크게".encode("cp949"),
        b"\xf0\x9f\x8e\xb5" * 400,
        b"{{ commit }} %s {0} <b>",
    ),
)
_ENCODINGS = (
    *(
        b"UTF-8",
        b"ISO-8859-1",
        b"cp949",
        b"nonsense",
        b"",
        b"zlib_codec",
        b"punycode",
        b"idna",
        b"unicode_escape",
    ),
    *(b"undefined", b"utf-16", b"utf-7", b"\xff", b"a" * 9000, b"mbcs", b"rot13", b"base64"),
)
_FURTHER = (
    *(b"gpgsig -----BEGIN PGP SIGNATURE-----\n \n author Eve <eve@localhost> 1 +0000\n -----END", b"gpgsig"),
    *(
        b"gpgsig-sha256 x\n y",
        b"mergetag object 1\n type commit",
        b"HG:extra x",
        b" continued without a field",
    ),
    *(b"author Second <second@localhost> 5 +0000", b"committer Second <second@localhost> 5 +0000", b"\0\0"),
)


def commit_object(
    tree: str,
    *,
    parents: tuple[str, ...] = (),
    author: bytes = b"Ada <ada@localhost> 1800000000 +0000",
    committer: bytes = b"Ada <ada@localhost> 1800000000 +0000",
    header: tuple[bytes, ...] = (),
    message: bytes = b"Louder\n",
) -> bytes:
    """Return a commit object as git stores it."""
    lines = [
        b"tree " + tree.encode(),
        *(b"parent " + parent.encode() for parent in parents),
        b"author " + author,
        b"committer " + committer,
        *header,
    ]
    return b"\n".join(lines) + b"\n\n" + message


def named_commits(tree: str, parents: list[str]) -> dict[str, bytes]:
    """
    Return one commit for each thing that has gone wrong somewhere.

    :param parents: commits to be merged; a thousand, say.
    """
    head = tree.encode()
    dates = {f"date {date[:24]!r}": commit_object(tree, committer=b"A <a> " + date) for date in _DATES}
    names = {
        f"name {name[:12]!r}": commit_object(tree, author=name + b" <a@b> 1800000000 +0000")
        for name in _NAMES
    }
    messages = {f"message {text[:12]!r}": commit_object(tree, message=text) for text in _MESSAGES}
    fields = {f"field {field[:20]!r}": commit_object(tree, header=(field,)) for field in _FURTHER}
    encodings = {
        f"encoding {name[:12]!r}": commit_object(
            tree, header=(b"encoding " + name,), message=b"\xe4\xff \xb0"
        )
        for name in _ENCODINGS
    }
    shapes = {
        "no author and no committer": b"tree " + head + b"\n\nmessage\n",
        "no empty line before the message": b"tree " + head + b"\nauthor A <a> 1 +0000\nmessage",
        "an octopus": commit_object(tree, parents=tuple(parents[:8])),
        "a thousand parents": commit_object(tree, parents=tuple(parents)),
    }
    return {**dates, **names, **messages, **fields, **encodings, **shapes}


def random_commits(tree: str, count: int, seed: int = 20261130) -> Iterator[bytes]:
    """Yield commits with odd parts put together at random, always the same ones for a seed."""
    draw = random.Random(seed)

    def identity() -> bytes:
        return b" ".join(draw.choice(parts) for parts in (_NAMES, _ADDRESSES, _DATES)).replace(b"\n", b" ")

    for _ in range(count):
        further = [b"encoding " + draw.choice(_ENCODINGS), *draw.sample(_FURTHER, 2), draw.randbytes(9)]
        yield commit_object(
            tree,
            author=identity(),
            committer=identity(),
            header=tuple(field.replace(b"\n\n", b"") for field in draw.sample(further, draw.randrange(4))),
            message=draw.choice((*_MESSAGES[:6], *_MESSAGES[7:], draw.randbytes(60))),
        )


def write_object(bare: Path, kind: str, content: bytes) -> str:
    """Store an object in a repository without asking git; returns its hash."""
    stored = f"{kind} {len(content)}\0".encode() + content
    name = hashlib.sha1(stored, usedforsecurity=False).hexdigest()
    target = bare / "objects" / name[:2] / name[2:]
    target.parent.mkdir(exist_ok=True)
    target.write_bytes(zlib.compress(stored, 1))
    return name
