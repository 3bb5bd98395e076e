"""The git trigger in Airflow's real shared streams, against real repositories on disk."""

from __future__ import annotations

import asyncio
import json
import logging
import shutil
import threading
from collections import Counter
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any

import pytest

from feature_ops.git import heads, heads_stream
from feature_ops.git.heads import WatchedRepository
from feature_ops.git.trigger import GitPathOnceTrigger, GitPathTrigger
from feature_ops.settings import get_settings
from tests.unit.git.clone import Clone
from tests.unit.git.watching import Store, Triggerer, triggerer, until

INTERVAL = 0.03
PATHS = ["feature_repo/**"]


@pytest.fixture
def clone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Clone]:
    """A repository with one commit, to which the git connection leads."""
    made = Clone(tmp_path)
    made.commit("first", {"feature_repo/a.py": "1", "README.md": "1"})
    monkeypatch.setenv("AIRFLOW_CONN_GIT_DEFAULT", json.dumps({"conn_type": "git", "host": made.url}))
    monkeypatch.setenv("FEATURE_OPS_WORK_DIR", str(tmp_path / "work"))
    get_settings.cache_clear()
    yield made
    get_settings.cache_clear()


@pytest.fixture
def looks(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """One entry for each request to a server for its heads; the name of the repository."""
    asked: list[str] = []
    real = WatchedRepository.heads

    def counted(self: WatchedRepository) -> dict[str, str]:
        asked.append(self.name)
        return real(self)

    monkeypatch.setattr(WatchedRepository, "heads", counted)
    return asked


def trigger(**arguments: Any) -> GitPathTrigger:
    return GitPathTrigger(**{"paths": PATHS, "interval": INTERVAL, **arguments})


async def more(looks: list[str], count: int = 3) -> None:
    """Wait until the server was asked so many times more: what was to happen has happened by then."""
    there = len(looks)
    await until(lambda: len(looks) >= there + count, "more looks at the server")


Scenario = Callable[[Triggerer, list[dict[str, Any]], Store], Coroutine[Any, Any, None]]


def play(looks: list[str], scenario: Scenario, **arguments: Any) -> list[dict[str, Any]]:
    """Watch, play what happens, and return the events."""

    async def watched() -> list[dict[str, Any]]:
        store = Store()
        async with triggerer() as running:
            events = running.start(trigger(**arguments), store)
            await until(lambda: store, "the watch has its baseline")
            await scenario(running, events, store)
            await more(looks)
            return events

    return asyncio.run(watched())


def test_a_commit_that_changes_a_watched_path_is_told_in_full(clone: Clone, looks: list[str]) -> None:
    old = clone.git("rev-parse", "HEAD")

    async def scenario(_: Triggerer, events: list[dict[str, Any]], store: Store) -> None:
        assert store.commits == [old]
        new = clone.commit("Louder", {"feature_repo/b.py": "2", "README.md": "2"})
        await until(lambda: events, "an event")
        await until(lambda: store.commits == [new], "the commit is noted")

    (event,) = play(looks, scenario)
    assert event.pop("committed_at").endswith("+00:00")
    assert event == {
        "repository": clone.url,
        "branch": "main",
        "path": "feature_repo/b.py",
        "paths": ["feature_repo/b.py"],
        "changed": 1,
        "old": old,
        "new": clone.git("rev-parse", "HEAD"),
        "author": "Ada Ü",
        "subject": "Louder",
    }


def test_a_commit_elsewhere_is_no_event_but_is_not_looked_at_again(clone: Clone, looks: list[str]) -> None:
    async def scenario(_: Triggerer, __: list[dict[str, Any]], store: Store) -> None:
        for number in range(2):
            new = clone.commit("docs", {"README.md": f"more {number}"})
            await until(lambda new=new: store.commits == [new], "the baseline moves")

    assert play(looks, scenario) == []


def test_a_hundred_commits_in_one_push_are_one_event(clone: Clone, looks: list[str]) -> None:
    old = clone.git("rev-parse", "HEAD")

    async def scenario(_: Triggerer, events: list[dict[str, Any]], __: Store) -> None:
        clone.commit_many(100, "feature_repo/a.py")
        await until(lambda: events, "an event")

    (event,) = play(looks, scenario)
    assert (event["old"], event["subject"], event["changed"]) == (old, "number 100", 1)


def test_a_change_and_its_opposite_in_one_push_are_no_event(clone: Clone, looks: list[str]) -> None:
    async def scenario(_: Triggerer, __: list[dict[str, Any]], store: Store) -> None:
        clone.commit("there", {"feature_repo/a.py": "2"}, push=False)
        new = clone.commit("and back", {"feature_repo/a.py": "1"})
        await until(lambda: store.commits == [new], "the baseline moves")

    assert play(looks, scenario) == []


def test_a_forced_push_is_a_change_even_when_the_server_forgot_the_old_commit(
    clone: Clone, looks: list[str]
) -> None:
    async def scenario(_: Triggerer, events: list[dict[str, Any]], store: Store) -> None:
        clone.git("commit", "-q", "--amend", "-m", "first, amended")
        clone.git("push", "-q", "-f", "origin", "main")
        clone.serve("gc", "-q", "--prune=now")
        await until(lambda: events, "an event")
        new = clone.commit("and on", {"feature_repo/a.py": "3"})
        await until(lambda: len(events) == 2 and store.commits == [new], "the next event")

    amended, after = play(looks, scenario)
    assert (amended["changed"], amended["path"], amended["subject"]) == (0, "", "first, amended")
    assert after["old"] == amended["new"]
    assert after["paths"] == ["feature_repo/a.py"]


def test_a_forced_push_to_the_same_content_is_no_event(clone: Clone, looks: list[str]) -> None:
    async def scenario(_: Triggerer, __: list[dict[str, Any]], store: Store) -> None:
        clone.git("commit", "-q", "--amend", "-m", "first, amended")
        clone.git("push", "-q", "-f", "origin", "main")
        amended = clone.git("rev-parse", "HEAD")
        await until(lambda: store.commits == [amended], "the baseline moves")

    assert play(looks, scenario) == []


def test_a_branch_that_comes_back_is_compared_with_what_was_handled(
    clone: Clone, looks: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    old = clone.git("rev-parse", "HEAD")
    clone.git("push", "-q", "origin", "main:other")

    async def scenario(_: Triggerer, events: list[dict[str, Any]], __: Store) -> None:
        clone.serve("update-ref", "-d", "refs/heads/main")
        await more(looks, 5)
        clone.git("push", "-q", "origin", "main")  # as it was: nothing to tell
        await more(looks)
        clone.serve("update-ref", "-d", "refs/heads/main")
        await more(looks)
        assert events == []
        clone.commit("back", {"feature_repo/a.py": "2"})
        await until(lambda: events, "an event")

    (event,) = play(looks, scenario)
    assert event["old"] == old
    told = [r.message for r in caplog.records if "no branch or tag main (any more)" in r.message]
    assert len(told) == 2


def test_a_renamed_file_is_told_with_both_names(clone: Clone, looks: list[str]) -> None:
    async def scenario(_: Triggerer, events: list[dict[str, Any]], __: Store) -> None:
        clone.git("mv", "feature_repo/a.py", "feature_repo/b.py")
        clone.commit("inside")
        await until(lambda: len(events) == 1, "an event")
        clone.git("mv", "feature_repo/b.py", "elsewhere.py")
        clone.commit("out of it")
        await until(lambda: len(events) == 2, "an event")

    inside, out = play(looks, scenario)
    assert inside["paths"] == ["feature_repo/a.py", "feature_repo/b.py"]
    assert out["paths"] == ["feature_repo/b.py"]


def test_a_merge_commit_tells_what_it_brings(clone: Clone, looks: list[str]) -> None:
    async def scenario(_: Triggerer, events: list[dict[str, Any]], __: Store) -> None:
        clone.git("checkout", "-q", "-b", "topic")
        clone.commit("topic", {"feature_repo/b.py": "2"})
        await more(looks)
        assert events == []  # of another branch
        clone.git("checkout", "-q", "main")
        clone.commit("meanwhile", {"README.md": "3"})
        clone.git("merge", "-q", "--no-ff", "topic", "-m", "Merge the topic")
        clone.git("push", "-q", "origin", "main")
        await until(lambda: events, "an event")

    (event,) = play(looks, scenario)
    assert (event["subject"], event["paths"]) == ("Merge the topic", ["feature_repo/b.py"])


def test_a_moved_tag_is_a_change_of_what_it_points_to(clone: Clone, looks: list[str]) -> None:
    clone.git("tag", "-a", "live", "-m", "live")
    clone.git("push", "-q", "origin", "live")
    old = clone.git("rev-parse", "HEAD")

    async def scenario(_: Triggerer, events: list[dict[str, Any]], __: Store) -> None:
        clone.commit("next", {"feature_repo/a.py": "2"})
        await more(looks)
        assert events == []
        clone.git("tag", "-f", "-a", "live", "-m", "live again")
        clone.git("push", "-q", "-f", "origin", "live")
        await until(lambda: events, "an event")

    (event,) = play(looks, scenario, ref="live")
    assert (event["branch"], event["old"], event["new"]) == ("live", old, clone.git("rev-parse", "HEAD"))


def test_everything_is_new_in_the_first_commit_of_an_empty_repository(clone: Clone, looks: list[str]) -> None:
    shutil.rmtree(clone.bare)
    clone.create_bare()

    async def scenario(_: Triggerer, events: list[dict[str, Any]], store: Store) -> None:
        await more(looks)
        assert events == []
        assert store.commits == [""]
        clone.git("push", "-q", "origin", "main")
        await until(lambda: events, "an event")

    (event,) = play(looks, scenario)
    assert (event["old"], event["paths"]) == ("", ["feature_repo/a.py"])


def test_paths_may_have_spaces_and_any_letters(clone: Clone, looks: list[str]) -> None:
    async def scenario(_: Triggerer, events: list[dict[str, Any]], __: Store) -> None:
        clone.commit("größer", {"my größe/é è.py": "1", "my größe/zwei\nzeilen.py": "1"})
        await until(lambda: events, "an event")

    (event,) = play(looks, scenario, paths=["my größe/*.py"])
    assert event["paths"] == ["my größe/zwei\nzeilen.py", "my größe/é è.py"]


def test_what_a_fetch_left_behind_when_it_was_interrupted_harms_nobody(
    clone: Clone, looks: list[str], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Once the scratch repository is poisoned, everything is made anew in another one."""
    caplog.set_level(logging.INFO)
    monkeypatch.setattr("feature_ops.git.outage._LONGEST_PAUSE", INTERVAL)

    async def scenario(_: Triggerer, events: list[dict[str, Any]], __: Store) -> None:
        (scratch,) = get_settings().work_dir.glob("*/scratch")
        (scratch / "shallow.lock").write_text("left behind")
        clone.commit("next", {"feature_repo/a.py": "2"})
        await until(lambda: events, "an event")
        assert not scratch.exists()

    (event,) = play(looks, scenario)
    assert event["paths"] == ["feature_repo/a.py"]
    assert told(caplog, "is held up") == 1
    assert told(caplog, "works again") == 1


def told(caplog: pytest.LogCaptureFixture, words: str) -> int:
    return sum(words in record.getMessage() for record in caplog.records)


def test_a_remote_that_is_away_is_told_once_and_asked_less_and_less_often(
    clone: Clone, looks: list[str], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    pauses: list[float] = []
    real = heads_stream.Outage.failed

    def noted(self: heads_stream.Outage, error: BaseException) -> float:
        pauses.append(real(self, error))
        return 0.001

    monkeypatch.setattr(heads_stream.Outage, "failed", noted)

    async def scenario(_: Triggerer, events: list[dict[str, Any]], __: Store) -> None:
        away = clone.bare.with_name("away.git")
        clone.bare.rename(away)
        await until(lambda: len(pauses) >= 20, "twenty failed looks")
        away.rename(clone.bare)
        clone.commit("meanwhile", {"feature_repo/a.py": "2"})
        await until(lambda: events, "an event")

    assert len(play(looks, scenario)) == 1
    assert told(caplog, "is held up") == 1
    assert told(caplog, "works again") == 1
    for number, pause in enumerate(pauses, start=1):
        longest = min(300.0, INTERVAL * 2**number)
        assert longest / 2 <= pause <= longest
    assert len(set(pauses[-5:])) == 5  # jitter


def test_watchers_of_a_repository_share_one_request_whatever_they_watch(
    clone: Clone, looks: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    compared: list[tuple[str, str]] = []
    real = WatchedRepository.change

    def counted(self: WatchedRepository, old: str, new: str) -> heads.Change:
        compared.append((old, new))
        return real(self, old, new)

    monkeypatch.setattr(WatchedRepository, "change", counted)

    async def watched() -> Counter[int]:
        stores = [Store() for _ in range(20)]
        async with triggerer() as running:
            watches = [
                running.start(trigger(paths=[f"dir{number}/**"], ref=("main", "topic")[number % 2]), store)
                for number, store in enumerate(stores)
            ]
            await until(lambda: all(stores), "all have their baseline")
            assert running.groups == 1
            before = len(looks)
            clone.commit("next", {"dir0/a": "1", "dir2/a": "1"})
            await until(lambda: watches[0] and watches[2], "two events")
            await more(looks)
            assert len(looks) < before + 20
            return Counter(len(events) for events in watches)

    assert asyncio.run(watched()) == {0: 18, 1: 2}
    assert len(compared) == 1


def test_a_kill_between_event_and_database_repeats_the_event(clone: Clone, looks: list[str]) -> None:
    store = Store()

    async def first_life() -> str:
        async with triggerer() as running:
            events = running.start(trigger(), store)
            await until(lambda: store, "the watch has its baseline")
            running.persisting = False
            clone.commit("next", {"feature_repo/a.py": "2"})
            await until(lambda: events, "an event")
            await more(looks)
            return str(events[0]["new"])

    async def second_life() -> list[str]:
        async with triggerer() as running:
            events = running.start(trigger(), store)
            await until(lambda: store.commits == [clone.git("rev-parse", "HEAD")], "the commit is noted")
            await more(looks)
            return [event["new"] for event in events]

    new = asyncio.run(first_life())
    assert store.commits != [new]
    assert asyncio.run(second_life()) == [new]
    assert asyncio.run(second_life()) == []


def test_what_was_pushed_while_nobody_watched_is_told(clone: Clone, looks: list[str]) -> None:
    store = Store()

    async def life(push: bool) -> list[str]:
        async with triggerer() as running:
            events = running.start(trigger(), store)
            await until(lambda: store.commits == [clone.git("rev-parse", "HEAD")], "the commit is noted")
            await more(looks)
            return [event["new"] for event in events]

    assert asyncio.run(life(push=False)) == []
    new = clone.commit("at night", {"feature_repo/a.py": "2"})
    assert asyncio.run(life(push=True)) == [new]


applied: list[Any] = []


def applied_commit() -> str | None:
    """What a DAG's author would give as the baseline; plays back the list, the last entry for ever."""
    assert threading.current_thread() is not threading.main_thread()
    answer = applied.pop(0) if len(applied) > 1 else applied[0]
    if isinstance(answer, Exception):
        raise answer
    return answer


BASELINE = f"{__name__}:applied_commit"


@pytest.fixture
def importable(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the trigger find this very module."""
    import sys

    monkeypatch.setitem(sys.modules, __name__, sys.modules.get(__name__) or _this_module())


def _this_module() -> Any:
    from types import SimpleNamespace

    return SimpleNamespace(applied_commit=applied_commit)


@pytest.mark.usefixtures("importable")
def test_the_first_start_compares_with_the_applied_commit(
    clone: Clone, looks: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    old = clone.git("rev-parse", "HEAD")
    applied[:] = [old]
    clone.commit("before the watch", {"feature_repo/a.py": "2"})

    async def scenario(_: Triggerer, events: list[dict[str, Any]], __: Store) -> None:
        await until(lambda: events, "an event")

    (event,) = play(looks, scenario, baseline=BASELINE)
    assert event["old"] == old
    assert told(caplog, f"starts from {old[:8]}, the applied commit") == 1


@pytest.mark.usefixtures("importable")
def test_without_an_applied_commit_the_first_start_takes_the_head_and_says_so(
    clone: Clone, looks: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    applied[:] = [None]
    head = clone.git("rev-parse", "HEAD")

    async def scenario(_: Triggerer, __: list[dict[str, Any]], store: Store) -> None:
        assert store.commits == [head]

    assert play(looks, scenario, baseline=BASELINE) == []
    assert told(caplog, f"main for feature_repo/** starts from {head[:8]}, today's commit") == 1


@pytest.mark.usefixtures("importable")
def test_an_applied_commit_that_cannot_be_learnt_is_asked_for_again(
    clone: Clone, looks: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    """Today's head instead could hide a change that was pushed before."""
    caplog.set_level(logging.INFO)
    old = clone.git("rev-parse", "HEAD")
    applied[:] = [ConnectionError("the registry is away"), ConnectionError("still"), old]
    clone.commit("before the watch", {"feature_repo/a.py": "2"})

    async def scenario(_: Triggerer, events: list[dict[str, Any]], __: Store) -> None:
        await until(lambda: events, "an event")

    (event,) = play(looks, scenario, baseline=BASELINE)
    assert event["old"] == old
    assert told(caplog, "is held up") == 1
    assert told(caplog, "the registry is away") == 1
    assert told(caplog, "works again after 2 failed tries") == 1


def test_assets_that_share_a_trigger_share_what_was_handled(clone: Clone, looks: list[str]) -> None:
    async def watched() -> None:
        stores = [Store(), Store()]
        async with triggerer() as running:
            running.start(trigger(), *stores)
            await until(lambda: all(stores), "both have the baseline")
            assert stores[0].commits == stores[1].commits == [clone.git("rev-parse", "HEAD")]

    asyncio.run(watched())


def test_other_paths_have_a_baseline_of_their_own(clone: Clone, looks: list[str]) -> None:
    async def watched() -> None:
        store = Store()
        async with triggerer() as running:
            running.start(trigger(), store)
            running.start(trigger(paths=["model/**"]), store)
            await until(lambda: len(store) == 2, "two baselines")

    asyncio.run(watched())


def test_a_task_that_waits_gets_one_event_since_its_commit(clone: Clone, looks: list[str]) -> None:
    old = clone.git("rev-parse", "HEAD")
    clone.commit("before the task", {"feature_repo/a.py": "2"})

    async def watched() -> list[dict[str, Any]]:
        async with triggerer() as running:
            events = running.start(GitPathOnceTrigger(since=old, paths=PATHS, interval=INTERVAL))
            await until(lambda: events, "an event")
            clone.commit("after it", {"feature_repo/a.py": "3"})
            return events

    (event,) = asyncio.run(watched())
    assert event["old"] == old


def test_the_trigger_also_runs_alone(clone: Clone) -> None:
    async def watched() -> Any:
        alone = trigger()
        alone.asset_state_store = type("Stores", (), {"_by_name": {"a": (store := Store())}})()
        run = alone.run()
        first = asyncio.ensure_future(anext(run))
        await until(lambda: store, "the watch has its baseline")
        clone.commit("next", {"feature_repo/a.py": "2"})
        event = await asyncio.wait_for(first, 30)
        await run.aclose()
        return event.payload["paths"]

    assert asyncio.run(watched()) == ["feature_repo/a.py"]


def test_nothing_is_left_behind(clone: Clone, looks: list[str]) -> None:
    async def scenario(_: Triggerer, __: list[dict[str, Any]], ___: Store) -> None:
        assert list(get_settings().work_dir.iterdir())

    play(looks, scenario)

    def cleaned() -> bool:
        threads = [t.name for t in threading.enumerate() if t.name.startswith("git-watch")]
        return not threads and not list(get_settings().work_dir.iterdir())

    asyncio.run(until(cleaned, "threads and folders are gone"))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"paths": "feature_repo/**"}, "a list of patterns"),
        ({"paths": []}, "at least one path"),
        ({"ref": ""}, "ref must be"),
        ({"interval": 0}, "more than 0 seconds"),
        ({"interval": float("nan")}, "more than 0 seconds"),
        ({"baseline": "feature_ops.feast.applied.applied_commit"}, "package.module:function"),
    ],
)
def test_bad_arguments_are_the_one_error_that_a_triggerer_survives(
    arguments: dict[str, Any], message: str
) -> None:
    with pytest.raises(TypeError, match=message):
        trigger(**arguments)


def test_equal_triggers_are_one_for_airflow() -> None:
    from airflow.triggers.base import BaseEventTrigger

    def identity(made: GitPathTrigger) -> int:
        return BaseEventTrigger.hash(*made.serialize())

    assert identity(trigger(interval=30)) == identity(trigger(interval=30.0))
    assert identity(trigger()) != identity(trigger(paths=["model/**"]))
