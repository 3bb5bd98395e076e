"""
Split a commit object into what is signed and the signature.

Only the form that git itself writes is accepted. git reads others, too: a signature header in front of a
``parent`` line, for example, hides that parent from git while the signature stays valid.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum

from feature_ops.git.signatures.errors import InvalidSignatureError

# A commit with a merged tag or a long message has some ten thousand bytes.
MAX_BYTES = 1 << 20

_FIRST_FIELDS = re.compile(
    rb"tree [0-9a-f]{40,64}\n(?:parent [0-9a-f]{40,64}\n)*"
    rb"author [^\n\0]+\ncommitter (?P<committer>[^\n\0]+)\n"
)
_FIELD = re.compile(rb"(?P<name>[^ \n\0]+) (?P<value>[^\n\0]*\n(?: [^\n\0]*\n)*)")
_SIGNATURE = b"gpgsig"
_ONCE_ONLY = frozenset({b"tree", b"parent", b"author", b"committer", b"gpgsig-sha256"})
_EMAIL = re.compile(rb"<([^<>\n]*)>[^<>]*\Z")


class Kind(StrEnum):
    """How a commit is signed."""

    SSH = "SSH"
    GPG = "GPG"


# One block of armor and nothing else, so that no program can read another one than git does.
_ARMOR = {
    Kind.SSH: re.compile(
        rb"-----BEGIN SSH SIGNATURE-----\n[A-Za-z0-9+/=\n]+\n-----END SSH SIGNATURE-----\n+", re.ASCII
    ),
    Kind.GPG: re.compile(
        rb"-----BEGIN PGP SIGNATURE-----\n(?:[A-Za-z][\w-]*: [^\n]*\n)*\n?[A-Za-z0-9+/=\n]+\n"
        rb"-----END PGP SIGNATURE-----\n+",
        re.ASCII,
    ),
}


@dataclass(frozen=True)
class SignedCommit:
    """
    A commit with a signature that is not verified yet.

    :param payload: the commit object without its signature: what the signer signed.
    :param signature: in ASCII armor.
    :param committer: e-mail address of the committer.
    """

    payload: bytes
    signature: bytes
    kind: Kind
    committer: str

    @classmethod
    def parse(cls, content: bytes) -> SignedCommit:
        """
        Split a commit object.

        :raises InvalidSignatureError: it is not signed, or not in the form that git writes.
        """
        first = _FIRST_FIELDS.match(content)
        end = content.find(b"\n\n")
        if first is None or end < first.end() - 1:
            raise InvalidSignatureError("its header is not in the form that git writes")
        start, stop = _signature_span(content, first.end(), end + 1)
        lines = content[start + len(_SIGNATURE) + 1 : stop].split(b"\n")
        signature = b"\n".join([lines[0], *(line[1:] for line in lines[1:-1]), b""])
        kind = next((kind for kind, armor in _ARMOR.items() if armor.fullmatch(signature)), None)
        if kind is None:
            raise InvalidSignatureError("its signature is neither an SSH nor a GPG signature")
        return cls(content[:start] + content[stop:], signature, kind, _email(first["committer"]))


def _signature_span(content: bytes, start: int, end: int) -> tuple[int, int]:
    """Return where the only signature field begins and ends."""
    found: list[tuple[int, int]] = []
    while start < end:
        field = _FIELD.match(content, start, end)
        if field is None or field["name"] in _ONCE_ONLY:
            raise InvalidSignatureError("its header is not in the form that git writes")
        if field["name"] == _SIGNATURE:
            found.append(field.span())
        start = field.end()
    if not found:
        raise InvalidSignatureError("it is not signed")
    if len(found) > 1:
        raise InvalidSignatureError("it has more than one signature")
    return found[0]


def _email(committer: bytes) -> str:
    address = _EMAIL.search(committer)
    text = address[1].decode(errors="replace").strip() if address else ""
    if not text.isprintable():
        raise InvalidSignatureError("the e-mail address of its committer has control characters")
    return text
