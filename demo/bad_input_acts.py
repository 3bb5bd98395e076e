"""The acts in which one bad thing arrives, and everything else goes on."""

from __future__ import annotations

from demo.data_scientist import VIEW
from demo.scene import KEY, Scene, StoryError, expect
from demo.songs import write_encrypted

_TOO_LONG_MS = 2**31
_SHORT_LENGTHS = """
song_lengths = FeatureView(
    name="song_lengths",
    entities=[music],
    ttl=timedelta(0),
    schema=[Field(name="spotify_id", dtype=String), Field(name="duration_ms", dtype=Int32)],
    source=song_properties_source,
)
"""


def file_crashes_the_parser(scene: Scene) -> str:
    """A file at which the parquet library aborts is refused; the worker lives, and nothing changes."""
    head, rows = scene.remote_head(), len(scene.history())
    write_encrypted(scene.stack.inbox / "encrypted.parquet", scene.new, "energy")
    run = scene.run_etl(scene.stack.dataset_url("encrypted.parquet"), ends="failed")
    expect(run.states["validate"], "failed", "state of validate")
    _expect_words(run.summaries["validate"], "is encrypted", "_quarantine/song_properties/")
    expect(run.tries["validate"], 1, "tries of validate")
    expect((scene.remote_head(), len(scene.history())), (head, rows), "head of the repository, rows")
    return run.summaries["validate"]


def view_cannot_be_loaded(scene: Scene) -> str:
    """A row that does not fit into one view is reported with view, column and key; the other view has it."""
    edit = {VIEW: lambda text: f"{text.replace('Float32, Int64', 'Float32, Int32, Int64')}{_SHORT_LENGTHS}"}
    expect(
        scene.follow(scene.data_scientist.push("Serve lengths", edit)).states["backfill"],
        "success",
        "backfill",
    )
    song = scene.new.assign(spotify_id="LongerThanThreeWeeks00", duration_ms=_TOO_LONG_MS)
    run = scene.run_etl(scene.put_in_inbox("long.parquet", song), ends="failed")
    expect(run.states["materialize_incremental"], "failed", "state of materialize_incremental")
    expect(run.tries["materialize_incremental"], 1, "tries of materialize_incremental")
    line = run.summaries["materialize_incremental"]
    _expect_words(line, "song_lengths", "duration_ms", "LongerThanThreeWeeks00", "Loaded: song_properties")
    online = scene.online(song[KEY])
    expect(int(online["duration_ms"].iloc[0]), _TOO_LONG_MS, "length online")

    back = {
        VIEW: lambda text: text.replace("Float32, Int32, Int64", "Float32, Int64").replace(_SHORT_LENGTHS, "")
    }
    scene.follow(scene.data_scientist.push("Serve no lengths", back))
    after = scene.run_etl(scene.stack.dataset_url("long.parquet"))
    return f"{line}; without the view: {after.summaries['materialize_incremental']}"


def _expect_words(line: str, *words: str) -> None:
    missing = [word for word in words if word not in line]
    if missing:
        raise StoryError(f"the line does not say {missing}: {line}")
