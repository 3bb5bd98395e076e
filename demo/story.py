"""Play the story from an empty machine to fresh online features, without hands, proving each act."""

from __future__ import annotations

import sys
import tempfile
import time
import traceback
from contextlib import closing
from pathlib import Path

import pandas as pd

from demo.acts import ACTS, Act
from demo.container_stack import ContainerStack
from demo.deciding import deciding_lines
from demo.errors import DemoError
from demo.scene import KEY, EtlRun, Scene, StoryError, TrainingRun
from demo.songs import NEW_SONG_ID, write_catalogue, write_new_song
from demo.stack import Stack


def play(base: Path | None, new: Path | None, song: str | None) -> int:
    """
    Play every act on a stack of its own in a temporary folder; returns the exit code.

    :param base: the catalogue that is there at first; generated if None.
    :param new: the file that comes in; generated if None.
    :param song: id of the new song to follow; the only or first one in ``new`` if None.
    """
    with tempfile.TemporaryDirectory(prefix="feature-ops-story-") as folder:
        home = Path(folder)
        base = base or written(home / "catalogue.parquet", write_catalogue)
        actors = cast(home, base, new, song)
        stack = Stack(home / "stack", catalogue=base)
        started = time.monotonic()
        try:
            stack.start(lambda line: print(f"  {line}", flush=True))
            print(f"stack: up with the catalogue loaded in {time.monotonic() - started:.1f} s", flush=True)
            return _play_acts(Scene(stack, *actors))
        finally:
            stack.stop()


def play_on_containers(new: Path | None, song: str | None) -> int:
    """
    Play every act on the stack of docker-compose.yaml, fresh from its first start; returns the exit code.

    :param new: the file that comes in; generated if None.
    :param song: id of the new song to follow; the only or first one in ``new`` if None.
    """
    stack = ContainerStack()
    with tempfile.TemporaryDirectory(prefix="feature-ops-story-") as folder, closing(stack):
        home = Path(folder)
        actors = cast(home, written(home / "catalogue.parquet", write_catalogue), new, song)
        return _play_acts(Scene(stack, *actors))


def cast(
    home: Path, base: Path, new: Path | None = None, song: str | None = None
) -> tuple[pd.DataFrame, pd.DataFrame, str]:
    """Return the songs that are there at first, those that come in, and the one to follow."""
    new = new or written(home / "new_song.parquet", write_new_song)
    base_songs, new_songs = _songs(base), _songs(new)
    song = song or (NEW_SONG_ID if (new_songs[KEY] == NEW_SONG_ID).any() else new_songs[KEY].iloc[0])
    _check_cast(base, base_songs, new, new_songs, song)
    return base_songs, new_songs, song


def _play_acts(scene: Scene) -> int:
    """Play the acts in order and stop at the first that fails; returns the exit code."""
    passed = _passed(scene)
    print(f"story: {passed} of {len(ACTS)} acts passed")
    return 0 if passed == len(ACTS) else 1


def _passed(scene: Scene) -> int:
    for number, act in enumerate(ACTS, start=1):
        started, scene.last_run = time.monotonic(), None
        try:
            seen = act.play(scene)
        except Exception as error:
            if not isinstance(error, StoryError | DemoError):
                traceback.print_exc()
            print(failure(number, act, error, scene.last_run), file=sys.stderr, flush=True)
            return number - 1
        print(f"act {number}  {time.monotonic() - started:5.1f} s  {act.title}: {seen}", flush=True)
    return len(ACTS)


def failure(number: int, act: Act, error: Exception, run: EtlRun | TrainingRun | None) -> str:
    """
    Return what is printed of an act that failed.

    :param run: the run that the act looked at last; its deciding task often has the cause.
    """
    cause = str(error) if isinstance(error, StoryError | DemoError) else f"{type(error).__name__}: {error}"
    lines = [f"act {number}  FAILED  {act.title}", cause]
    if run:
        lines += [f"run {run.run_id}: {line}" for line in deciding_lines(run.states, run.summaries)]
    return "\n       ".join(lines)


def written(path: Path, write: object) -> Path:
    """Return the path, after ``write(path)``."""
    assert callable(write)
    write(path)
    return path


def _songs(path: Path) -> pd.DataFrame:
    songs = pd.read_parquet(path).reset_index(drop=True)
    songs.columns = songs.columns.str.lower()
    return songs.drop(columns=[c for c in songs.columns if c.startswith("__index")])


def _check_cast(base: Path, base_songs: pd.DataFrame, new: Path, new_songs: pd.DataFrame, song: str) -> None:
    """Say early what would make the story pointless."""
    if not (new_songs[KEY] == song).any():
        raise SystemExit(f"story: song {song} is not in {new}; name one of its {KEY} values with SONG=")
    known = new_songs[new_songs[KEY].isin(base_songs[KEY])]
    if len(known):
        raise SystemExit(
            f"story: {len(known)} songs of {new} are in {base} already; NEW= needs new songs only"
        )
