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

# Runs when the file is loaded; what succeeds is reported by the error that ends it.
_ATTACK = """
import os, socket
from pathlib import Path


def _attack():
    home = Path("{home}")
    yield lambda: (home / "credentials.json").read_text()
    yield lambda: Path("/proc", str(os.getppid()), "environ").read_text()
    yield lambda: os.chmod(home / "credentials.json", 0o644)
    yield lambda: (home / "planted").write_text("x")
    yield lambda: socket.create_connection(("127.0.0.1", 80))
    yield lambda: os.fork()
    yield lambda: os.kill(os.getppid(), 15)
    yield lambda: [name for name in os.environ if name.startswith(("AIRFLOW", "AWS"))][0]


_done = []
for _attempt in _attack():
    try:
        _done.append(_attempt())
    except BaseException:
        pass
raise ValueError(f"attempts: {{len(_done)}} succeeded {{_done}}")
"""
_FORGED_NAME = """
_to_proto = FeatureView.to_proto


def _forged(self):
    message = _to_proto(self)
    message.spec.name = "other_name"
    return message


FeatureView.to_proto = _forged
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


def hostile_pushes(scene: Scene) -> str:
    """Commits that read secrets, change files and forge names change nothing and are reported."""
    applied, modes = scene.service_features(), _modes(scene)
    attack = _ATTACK.format(home=str(scene.stack.home))
    thief = scene.follow(scene.data_scientist.push("Tune the ttl", {VIEW: lambda text: f"{text}{attack}"}))
    line = thief.summaries["diff_feature_service"]
    _expect_words(line, "features.py", "attempts: 0 succeeded")
    forger = scene.follow(
        scene.data_scientist.push("Clean up", {VIEW: lambda text: text.replace(attack, _FORGED_NAME)})
    )
    _expect_words(forger.summaries["diff_feature_service"], "song_properties")
    for run in (thief, forger):
        expect(run.states["diff_feature_service"], "failed", "state of diff_feature_service")
        expect(run.states["apply"], "upstream_failed", "state of apply")
    expect(
        (scene.service_features(), _modes(scene)), (applied, modes), "features of serving_fs, modes of files"
    )

    edit = {VIEW: lambda text: text.replace(_FORGED_NAME, "")}
    honest = scene.follow(scene.data_scientist.push("Undo that", edit))
    expect(honest.states["diff_feature_service"], "success", "state of diff_feature_service")
    return f"{line[:160]}; {forger.summaries['diff_feature_service'][:160]}"


def _modes(scene: Scene) -> dict[str, int]:
    return {path.name: path.stat().st_mode for path in sorted(scene.stack.home.glob("*"))}


def _expect_words(line: str, *words: str) -> None:
    missing = [word for word in words if word not in line]
    if missing:
        raise StoryError(f"the line does not say {missing}: {line}")
