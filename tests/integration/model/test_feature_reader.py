"""What is read for a model from Valkey is what Feast answers to anybody."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from demo.servers import Servers
from tests.unit.model.serving_parts import FeatureRepository
from tests.unit.model.test_serving_features import asked, read, reader

CONFIGURATION = """\
project: music
provider: local
registry:
  path: FOLDER/registry.db
online_store:
  type: redis
  connection_string: {connection}
entity_key_serialization_version: 3
"""


def test_rows_from_valkey_are_those_that_feast_answers_with(servers: Servers, tmp_path: Path) -> None:
    repository = FeatureRepository(
        tmp_path / "features", CONFIGURATION.format(connection=servers.online_store)
    )
    repository.write(
        spotify_id=["é", "zero"],
        energy=[0.1, 0.0],
        loudness=[-60.0, 0.0],
        key=pd.array([-1, 0], dtype="Int64"),
    )
    opened = reader(repository, tmp_path)
    songs = ["zero", "holes", "é", "nobody", "full", "nothing", "zero", ""]
    found = read(opened, songs)
    assert found == asked(repository, songs=songs)
    assert [song for song, row in zip(songs, found, strict=True) if row is None] == ["nobody", ""]
