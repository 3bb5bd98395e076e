"""The acts of the story, in order: each shows one promise of the product and proves it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

import numpy as np
import pandas as pd

from demo.bad_input_acts import file_crashes_the_parser, hostile_pushes, view_cannot_be_loaded
from demo.feature_acts import (
    broken_definitions,
    burst_of_commits,
    loudness_is_commented_out,
    new_feature_is_backfilled,
    older_revision_by_hand,
    paused_while_pushing,
    readers_noticed_nothing,
    triggerer_is_killed,
    words_only,
)
from demo.model_acts import model_is_worse, self_test_fails, training_fails
from demo.promotion_acts import (
    approval_is_marked_success,
    candidate_is_approved,
    newer_candidate_takes_over,
    way_back,
)
from demo.scene import FLOAT_TOLERANCE, KEY, TIMESTAMPS, Scene, StoryError, expect

LATE = datetime(2024, 1, 15)
_SAMPLE = 300


@dataclass(frozen=True)
class Act:
    """A title for people and the play, which returns what was seen in a few words."""

    title: str
    play: Callable[[Scene], str]


def whole_catalogue_is_online(scene: Scene) -> str:
    """A8: the first load leaves nothing out, however old it is."""
    ids = scene.base[KEY].unique()
    online = scene.online(ids)
    expect(int(online["energy"].isna().sum()), 0, "songs of the catalogue that are not online")
    _same_features(online.loc[scene.base[KEY]], scene.base)
    return f"{len(ids):,} songs"


def new_song_is_unknown(scene: Scene) -> str:
    """A1: before the ETL nobody can serve the song, and who asks is told so in words."""
    values = scene.online([scene.song_id]).loc[scene.song_id]
    expect(values.notna().sum(), 0, f"online values of {scene.song_id}")
    answer = scene.predict(scene.song_id)
    expect(answer.status, 404, "status of its prediction")
    scene.remembered["another song"] = _others(scene)[0]
    scene.remembered["its countries"] = scene.predict(scene.remembered["another song"]).countries
    return str(answer.content["detail"])


def etl_by_hand(scene: Scene) -> str:
    """The form's run: ingest, validate, version, publish, materialize, verify."""
    scene.remembered["others before"] = scene.online(_others(scene))
    scene.remembered["history before"] = len(scene.history())
    scene.remembered["head before"] = scene.remote_head()
    scene.remembered["new url"] = scene.put_in_inbox("new.parquet", scene.new)
    run = scene.run_etl(scene.remembered["new url"])
    expect(set(run.states.values()), {"success"}, "task states")
    scene.remembered["run"] = run
    return run.summaries["validate"]


def song_is_online(scene: Scene) -> str:
    """A2, A4: the song's features are the file's, one row was written, all others are as before."""
    count = scene.new[KEY].nunique()
    _same_features(scene.online(scene.new[KEY]), scene.new)
    expect(len(scene.history()), scene.remembered["history before"] + count, "rows of the history")
    rows = scene.remembered["run"].facts["materialize_incremental"]["rows"]
    expect(rows, count, "rows materialized")
    others = scene.online(_others(scene))
    expect(others.equals(scene.remembered["others before"]), True, "other songs are unchanged")
    answer = scene.predict(scene.song_id)
    expect(answer.status, 200, "status of the new song's prediction")
    expect(
        scene.predict(scene.remembered["another song"]).countries,
        scene.remembered["its countries"],
        "countries of another song",
    )
    return (
        f"{count} row materialized, {len(others)} other songs looked at: unchanged; "
        f"{len(answer.countries)} countries, first {_first(answer.countries)}"
    )


def data_has_versions(scene: Scene) -> str:
    """A5: git points to the data, and the commit before brings the old state back."""
    commit = scene.remembered["run"].facts["version_with_dvc"]["commit"]
    expect(scene.remote_head(), commit, "head of the repository")
    before = scene.rows_at(scene.remembered["head before"])
    after = scene.rows_at(commit)
    expect(before, scene.remembered["history before"], "rows pulled at the commit before")
    expect(after, before + scene.new[KEY].nunique(), "rows pulled at the new commit")
    return f"dvc pull at {commit[:8]}: {after:,} rows, at its parent: {before:,}"


def same_input_changes_nothing(scene: Scene) -> str:
    """A6: no row, no commit, no materialization, no event that would start a training."""
    head, rows = scene.remote_head(), len(scene.history())
    events = scene.api.asset_events("song_properties")
    run = scene.run_etl(scene.remembered["new url"])
    expect(run.states["materialize_incremental"], "skipped", "state of materialize_incremental")
    expect(scene.remote_head(), head, "head of the repository")
    expect(len(scene.history()), rows, "rows of the history")
    expect(scene.api.asset_events("song_properties"), events, "asset events")
    return run.summaries["materialize_incremental"]


def known_song_changes(scene: Scene) -> str:
    """A7: a newer version is added, and labels from before it still find the old one."""
    song = _a_known_song(scene)
    old_energy = float(song["energy"].iloc[0])
    new_energy = round(1 - old_energy, 4) if abs(old_energy - 0.5) > 0.01 else 0.9
    changed = song.drop(columns=list(TIMESTAMPS), errors="ignore").assign(energy=new_energy)
    scene.run_etl(scene.put_in_inbox("changed.parquet", changed))
    song_id = song[KEY].iloc[0]
    versions = scene.history().query(f"{KEY} == @song_id").sort_values("event_timestamp")
    expect(versions["energy"].tolist(), [old_energy, new_energy], "energy of both versions")
    first, second = versions["event_timestamp"]
    labels = pd.DataFrame({KEY: song_id, "event_timestamp": [first + (second - first) / 2, second]})
    energies = scene.historical(labels)["energy"].to_numpy()
    if not np.allclose(energies, [old_energy, new_energy], atol=FLOAT_TOLERANCE):
        raise StoryError(f"point-in-time energy: expected {[old_energy, new_energy]}, got {energies}")
    scene.remembered["changed"] = changed
    return f"energy {old_energy} → {new_energy}; a label from between finds {energies[0]:.4g}"


def late_row_arrives(scene: Scene) -> str:
    """A row older than the watermark is loaded, and never hides a newer one."""
    changed = scene.remembered["changed"]
    unseen = changed.assign(**{KEY: "late" + scene.song_id[4:]})
    late = pd.concat([unseen, changed.assign(energy=0.123)]).assign(event_timestamp=pd.Timestamp(LATE))
    rows = len(scene.history())
    scene.run_etl(scene.put_in_inbox("late.parquet", late))
    expect(len(scene.history()), rows + 2, "rows of the history")
    _same_features(scene.online(unseen[KEY]), unseen)
    _same_features(scene.online(changed[KEY]), changed)
    return f"a row of {LATE:%Y-%m-%d} is online; the newer version of {changed[KEY].iloc[0]} stayed"


ACTS = (
    Act("The whole catalogue was loaded by the DAG, the oldest song too (A8)", whole_catalogue_is_online),
    Act("The new song is unknown; its prediction is refused with a clear message (A1)", new_song_is_unknown),
    Act("The ETL is triggered manually with dataset_url", etl_by_hand),
    Act(
        "Its features are online, its countries are predicted; nothing else changed (A2, A4)", song_is_online
    ),
    Act("Git holds the version; dvc pull of the commit before gives the old state (A5)", data_has_versions),
    Act("The same input again changes nothing (A6)", same_input_changes_nothing),
    Act(
        "A known song with newer values: both versions are kept, joins stay correct (A7)", known_song_changes
    ),
    Act("A late row reaches the online store and hides nothing newer", late_row_arrives),
    Act("A file that crashes the parser is refused; worker and data are unaffected", file_crashes_the_parser),
    Act("README, comment, order and whitespace: nothing is applied (A10)", words_only),
    Act(
        "loudness is commented out and pushed: a new model predicts differently (A9)",
        loudness_is_commented_out,
    ),
    Act("The approval is marked as success: nothing is promoted", approval_is_marked_success),
    Act("The candidate waits for an approval; once approved, production serves it", candidate_is_approved),
    Act("A training that cannot run deploys nothing (A13)", training_fails),
    Act("A model that is worse than the champion deploys nothing (A13)", model_is_worse),
    Act("A model that fails its self-test leaves the previous one; the next push works", self_test_fails),
    Act("Definitions that do not load: a clear error, nothing changes (A11)", broken_definitions),
    Act("Hostile pushes read, forge and change nothing; the next honest push works", hostile_pushes),
    Act("A new feature gets its values for all old songs", new_feature_is_backfilled),
    Act("A view that cannot be loaded does not hold up other views", view_cannot_be_loaded),
    Act("Ten pushes in a burst: one apply", burst_of_commits),
    Act("A push while the DAG is paused is evaluated once, after unpausing", paused_while_pushing),
    Act("A push while the triggerer is down is not lost", triggerer_is_killed),
    Act("Rollback: an older revision, triggered manually", older_revision_by_hand),
    Act(
        "A newer candidate replaces an older one; rejected, production stays as it is",
        newer_candidate_takes_over,
    ),
    Act("Rollback of production: an older model version, triggered manually", way_back),
    Act("No reader and no client saw an error (A12)", readers_noticed_nothing),
)


def _first(countries: dict[str, float]) -> str:
    return ", ".join(f"{country} {chance:.1%}" for country, chance in list(countries.items())[:3])


def _others(scene: Scene) -> list[str]:
    """A fixed sample of the catalogue."""
    ids = scene.base[KEY].unique()
    return list(ids[:: max(1, len(ids) // _SAMPLE)])


def _a_known_song(scene: Scene) -> pd.DataFrame:
    """One song of the catalogue with exactly one version."""
    single = scene.base[~scene.base[KEY].duplicated(keep=False)]
    return single.dropna(subset=["name"]).iloc[[len(single) // 2]]


def _same_features(online: pd.DataFrame, wanted: pd.DataFrame) -> None:
    """Raise unless each online row has the values of the wanted row at the same place."""
    for feature in online.columns:
        got = online[feature].to_numpy(dtype=float, na_value=np.nan)
        want = wanted[feature].to_numpy(dtype=float)
        differs = ~np.isclose(got, want, rtol=FLOAT_TOLERANCE, atol=FLOAT_TOLERANCE)
        if differs.any():
            place = int(differs.argmax())
            raise StoryError(
                f"{feature} of {wanted[KEY].iloc[place]}: expected {want[place]}, got {got[place]} "
                f"({differs.sum()} differ)"
            )
