"""What a person may give to ``make story``."""

from __future__ import annotations

import subprocess
from pathlib import Path

from demo.songs import catalogue, write_new_song
from tests.unit.docs.made import copy_project, environment, make


def test_make_story_takes_ones_own_files_and_says_early_what_does_not_fit(tmp_path: Path) -> None:
    """``make story BASE=… NEW=… SONG=…``: nothing is started for a song that is not in the new file."""
    project = copy_project(tmp_path / "project")
    base, new = tmp_path / "old.parquet", tmp_path / "new.parquet"
    catalogue().head(50).to_parquet(base)
    write_new_song(new)
    command = make("story", f"BASE={base}", f"NEW={new}", "SONG=nobody")

    done = subprocess.run(command, cwd=project, env=environment(project), capture_output=True, text=True)

    assert done.returncode != 0
    assert f"story: song nobody is not in {new}; name one of its spotify_id values with SONG=" in done.stderr
    assert "Starting" not in done.stdout
