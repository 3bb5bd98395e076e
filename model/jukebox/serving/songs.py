"""Names of songs, so that people can search for them."""

from __future__ import annotations

import os
import unicodedata
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from jukebox.serving.problems import UnavailableError

_COLUMNS = ("spotify_id", "name", "artists")


class SongNames:
    """
    Songs by name, in memory.

    :param uri: a parquet file, or a folder or prefix of them, with ``spotify_id``, ``name`` and
        ``artists``; ``s3://`` or a path. None: nothing can be found by name.
    """

    def __init__(self, uri: str | None) -> None:
        self._uri = uri
        self._read: set[tuple[str, int | None, Any]] = set()
        self._songs: dict[str, tuple[str, str]] = {}
        self._folded: list[tuple[str, str]] = []

    @property
    def searchable(self) -> bool:
        """Whether any song can be found by its name."""
        return bool(self._folded)

    def refresh(self) -> None:
        """
        Read the files that are new.

        :raises UnavailableError: they can't be read.
        """
        if self._uri is None:
            return
        try:
            filesystem, files = _files(self._uri)
            new = [file for file in files if _print(file) not in self._read]
            if not new:
                return
            songs = dict(self._songs)
            for file in sorted(new, key=lambda file: (str(file.mtime), file.path)):
                songs.update(_names(filesystem, file.path))
        except Exception as error:  # object stores and files share no base class
            raise UnavailableError(f"the names of songs can't be read ({type(error).__name__})") from error
        self._read.update(_print(file) for file in new)
        self._folded = [(_fold(f"{name} {artists}"), song) for song, (name, artists) in songs.items() if name]
        self._songs = songs

    def describe(self, song: str) -> dict[str, str | None]:
        """Return name and artists of a song, null where nobody knows."""
        name, artists = self._songs.get(song, ("", ""))
        return {"name": name or None, "artists": artists or None}

    def examples(self, limit: int = 5) -> list[dict[str, str | None]]:
        """Return some songs that have a name, spread evenly over all of them."""
        songs = [song for _, song in self._folded]
        return [{"song": song, **self.describe(song)} for song in songs[:: -(-len(songs) // limit) or 1]]

    def search(self, text: str, limit: int = 8) -> list[dict[str, str | None]]:
        """Return songs whose id is the text or whose name or artists have all its words, best first."""
        words = _fold(text).split()
        if not words:
            return []
        hits = [
            (not folded.startswith(words[0]), folded, song)
            for folded, song in self._folded
            if all(word in folded for word in words)
        ]
        found = [song for _, _, song in sorted(hits)[:limit]]
        if text.strip() in self._songs:
            found = [text.strip(), *found][:limit]
        return [{"song": song, **self.describe(song)} for song in found]


def _files(uri: str) -> tuple[Any, list[Any]]:
    from pyarrow import fs

    parts = urlsplit(uri)
    if parts.scheme == "s3":
        endpoint = urlsplit(os.environ.get("AWS_ENDPOINT_URL", ""))
        # A region that is given spares pyarrow asking AWS, which may be out of reach.
        filesystem: Any = fs.S3FileSystem(
            endpoint_override=endpoint.netloc or None,
            scheme=endpoint.scheme or "https",
            region=os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION") or "us-east-1",
        )
        path = f"{parts.netloc}{parts.path}".rstrip("/")
    else:
        filesystem, path = fs.LocalFileSystem(), str(Path(uri).resolve())
    found = filesystem.get_file_info(path)
    if found.type == fs.FileType.File:
        return filesystem, [found]
    listed = filesystem.get_file_info(fs.FileSelector(path, allow_not_found=True, recursive=True))
    return filesystem, [
        item for item in listed if item.type == fs.FileType.File and item.path.endswith(".parquet")
    ]


def _print(file: Any) -> tuple[str, int | None, Any]:
    return file.path, file.size, file.mtime


def _names(filesystem: Any, path: str) -> dict[str, tuple[str, str]]:
    from pyarrow import parquet

    with filesystem.open_input_file(path) as opened:
        table = parquet.ParquetFile(opened).read(columns=list(_COLUMNS))
    columns = [table.column(name).to_pylist() for name in _COLUMNS]
    return {song: (name or "", artists or "") for song, name, artists in zip(*columns, strict=True) if song}


def _fold(text: str) -> str:
    """Return a text without case and accents, as people type it."""
    decomposed = unicodedata.normalize("NFKD", text.casefold())
    return "".join(sign for sign in decomposed if not unicodedata.combining(sign))
