"""What the service says over HTTP: a prediction, or in words why there is none."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote

import pandas as pd
import pytest
from fastapi.testclient import TestClient

from jukebox.serving.app import PAGES, Service, create_app
from jukebox.serving.features import FeatureReader
from jukebox.serving.follower import Follower
from jukebox.serving.kept import KeptModels
from jukebox.serving.metrics import Metrics
from jukebox.serving.problems import UnavailableError
from jukebox.serving.songs import SongNames
from jukebox.serving.store_calls import StoreCalls
from tests.unit.model.serving_parts import COUNTRIES, FEATURES, SEEN, FeatureRepository, Shelf, write_model


@pytest.fixture
def shelf(tmp_path: Path) -> Shelf:
    shelf = Shelf()
    shelf.put("1", write_model(tmp_path / "one"))
    return shelf


@contextmanager
def served(shelf: Shelf, repository: FeatureRepository, folder: Path) -> Iterator[TestClient]:
    songs = {"spotify_id": ["full"], "name": ["Café Nights"], "artists": ["Ana & the Tide"]}
    pd.DataFrame(songs).to_parquet(folder / "songs.parquet")
    metrics = Metrics()
    follower = Follower("test", shelf, repository.folder, KeptModels(folder / "state"), metrics)
    # Polls this often slow down its reads: no timeout here, see test_serving_store_calls.py.
    calls = StoreCalls(timeout_seconds=60)
    service = Service(follower, SongNames(str(folder / "songs.parquet")), metrics, poll=0.02, calls=calls)
    with TestClient(create_app(service), raise_server_exceptions=False) as client:
        wait_for(
            lambda: client.get("/songs?q=caf").json()["searchable"] or bool(follower.troubles.get("names"))
        )
        yield client


@pytest.fixture(scope="module")
def client(
    feature_repository: FeatureRepository, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[TestClient]:
    """A service whose model no test changes."""
    folder, shelf = tmp_path_factory.mktemp("serving"), Shelf()
    shelf.put("1", write_model(folder / "one"))
    with served(shelf, feature_repository, folder) as client:
        yield client


@pytest.fixture
def own_client(shelf: Shelf, feature_repository: FeatureRepository, tmp_path: Path) -> Iterator[TestClient]:
    """A service whose model and metrics a test may change."""
    with served(shelf, feature_repository, tmp_path) as client:
        yield client


def wait_for(condition: Callable[[], bool]) -> None:
    limit = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < limit, "what was waited for did not come"
        time.sleep(0.02)


def test_ranks_the_countries_and_tells_what_the_answer_stands_on(client: TestClient) -> None:
    answer = client.get("/predict/full").json()
    probabilities = [item["probability"] for item in answer["countries"]]
    assert sorted(item["country"] for item in answer["countries"]) == sorted(COUNTRIES)
    assert probabilities == sorted(probabilities, reverse=True)
    assert sum(probabilities) == pytest.approx(1, abs=1e-5)
    assert [(item["name"], item["value"]) for item in answer["features"]] == [
        ("energy", 0.8),
        ("loudness", -6.5),
        ("key", 5),
    ]
    assert answer["features_as_of"] == SEEN.isoformat()
    assert (answer["name"], answer["artists"]) == ("Café Nights", "Ana & the Tide")
    assert answer["model"] == {
        "version": "1",
        "alias": "test",
        "git_commit": "c0ffee1",
        "dataset_version": "songs-1",
    }


def test_tells_as_many_countries_as_asked(client: TestClient) -> None:
    assert len(client.get("/predict/full?top=2").json()["countries"]) == 2
    assert client.get("/predict/full?top=0").status_code == 422


UNKNOWN = ("1D2SVYXZdtNfJCg8wZWvVz", "a/b", "🎵", "../../etc", "a\u200db", "a\xa0b", "x" * 1024, "é" * 512)
GET_PATHS = (
    "/",
    "/static/page.js",
    "/predict/full",
    "/predict/gone",
    "/predict/%00",
    "/songs?q=a",
    "/model",
    "/health/live",
    "/health/ready",
    "/metrics",
)
INVALID = {
    "": "must not be empty",
    " ": "must not be empty",
    "\0": "must not contain control characters or line breaks",
    "\n": "must not be empty",
    "full\0": "must not contain control characters or line breaks",
    "full\n": "must not contain control characters or line breaks",
    "\nfull": "must not contain control characters or line breaks",
    "a\nb": "must not contain control characters or line breaks",
    "full\u200b": "must not contain invisible formatting characters",
    " full": "must not start or end with white space",
    "x" * 1025: "must not be longer than 1,024 bytes in UTF-8",
    "é" * 513: "must not be longer than 1,024 bytes in UTF-8",
}


@pytest.mark.parametrize("song", UNKNOWN)
def test_an_unknown_song_is_told_in_words(client: TestClient, song: str) -> None:
    answer = client.get(f"/predict/{quote(song, safe='' if '..' in song else '/')}")
    assert answer.status_code == 404
    assert "is not in the feature store yet" in answer.json()["detail"]


@pytest.mark.parametrize("song", INVALID)
def test_an_invalid_id_is_refused_with_the_rule_that_it_breaks(client: TestClient, song: str) -> None:
    answer = client.get(f"/predict/{quote(song, safe='')}")
    assert (answer.status_code, answer.json()["outcome"]) == (422, "invalid")
    assert answer.json()["detail"] == f"A song's id {INVALID[song]}."
    assert len(answer.content) < 1000


def test_a_batch_answers_each_id_as_a_single_request_does(client: TestClient) -> None:
    songs = ["full", *UNKNOWN, "holes", *INVALID, "nothing", "full"]
    answer = client.post("/predict", json={"songs": songs})
    assert answer.status_code == 200
    for song, found in zip(songs, answer.json()["predictions"], strict=True):
        alone = client.get(f"/predict/{quote(song, safe='')}").json()
        alone.pop("model")
        assert found == alone


def test_a_batch_of_invalid_ids_repeats_nothing_large_and_reads_nothing(
    client: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(FeatureReader, "read")
    body = b'{"songs": ["\\ud800", "' + b"x" * 1_000_000 + b'"]}'
    answer = client.post("/predict", content=body, headers={"Content-Type": "application/json"})
    assert answer.status_code == 200
    assert [item["outcome"] for item in answer.json()["predictions"]] == ["invalid", "invalid"]
    assert len(answer.content) < 2000


@pytest.mark.parametrize("content", [b'{"songs": ["' + b"x" * 2**20 + b'"]}', b"[" * 2**20 + b"]"])
def test_a_large_body_is_refused(client: TestClient, content: bytes) -> None:
    answer = client.post("/predict", content=content, headers={"Content-Type": "application/json"})
    assert answer.status_code == 413
    assert len(answer.content) < 200


def test_a_deeply_nested_body_is_refused(client: TestClient) -> None:
    answer = client.post("/predict", content=b"[" * 1_000_000, headers={"Content-Type": "application/json"})
    assert answer.status_code in (400, 422)


@pytest.mark.parametrize("path", GET_PATHS)
def test_head_is_served_wherever_get_is(client: TestClient, path: str) -> None:
    get, head = client.get(path), client.head(path)
    assert (head.status_code, head.content) == (get.status_code, b"")
    assert head.headers["Content-Type"] == get.headers["Content-Type"]


def test_a_null_feature_is_named_and_the_answer_still_given(client: TestClient) -> None:
    answer = client.get("/predict/holes")
    assert answer.status_code == 200
    assert answer.json()["missing"] == ["loudness"]
    assert answer.json()["features"][1]["value"] is None


def test_a_song_without_any_value_is_told_in_words(client: TestClient) -> None:
    answer = client.get("/predict/nothing")
    assert answer.status_code == 422
    assert "each feature that the model asks for is null" in answer.json()["detail"]


def test_a_model_that_needs_a_null_says_so(own_client: TestClient, shelf: Shelf, tmp_path: Path) -> None:
    shelf.put("2", write_model(tmp_path / "two", imputes=False))
    wait_for(lambda: own_client.get("/model").json()["version"] == "2")
    answer = own_client.get("/predict/holes")
    assert answer.status_code == 422
    assert "can't answer for holes without loudness" in answer.json()["detail"]


def test_a_batch_answers_each_song_in_its_place(client: TestClient) -> None:
    answer = client.post("/predict", json={"songs": ["full", "gone", "holes", "full"]})
    assert answer.status_code == 200
    first, gone, holes, again = answer.json()["predictions"]
    assert first == again
    assert first["countries"] == client.get("/predict/full").json()["countries"]
    assert gone["outcome"] == "unknown"
    assert holes["missing"] == ["loudness"]


@pytest.mark.parametrize(
    "body",
    [b"", b"{}", b'{"songs": []}', b'{"songs": [1]}', b"[", b'{"songs": "full"}'],
)
def test_a_batch_that_is_none_is_refused_in_words(client: TestClient, body: bytes) -> None:
    answer = client.post("/predict", content=body, headers={"Content-Type": "application/json"})
    assert answer.status_code == 422
    assert isinstance(answer.json()["detail"], str)


def test_a_batch_has_a_limit(client: TestClient) -> None:
    assert client.post("/predict", json={"songs": ["full"] * 1000}).status_code == 200
    assert client.post("/predict", json={"songs": ["full"] * 1001}).status_code == 422


def test_songs_are_found_by_name_without_case_and_accents(client: TestClient) -> None:
    found = client.get("/songs", params={"q": "CAFE tide"}).json()["songs"]
    assert found == [{"song": "full", "name": "Café Nights", "artists": "Ana & the Tide"}]
    assert client.get("/songs", params={"q": "  "}).json()["songs"] == []


def test_tells_which_model_answers(client: TestClient) -> None:
    model = client.get("/model").json()
    assert (model["version"], model["alias"], model["git_commit"]) == ("1", "test", "c0ffee1")
    assert [feature["name"] for feature in model["features"]] == list(FEATURES)
    assert model["refused"] is None
    assert "song_properties" in model["freshness"]


def test_a_refused_model_has_its_reason(own_client: TestClient, shelf: Shelf, tmp_path: Path) -> None:
    shelf.put("2", write_model(tmp_path / "two", format=2))
    wait_for(lambda: own_client.get("/model").json()["refused"] is not None)
    model = own_client.get("/model").json()
    assert model["refused"] == {"version": "2", "reason": "its model.json is not of format 1"}
    assert model["version"] == "1"
    assert own_client.get("/predict/full").status_code == 200


def test_lives_before_it_is_ready(feature_repository: FeatureRepository, tmp_path: Path) -> None:
    metrics = Metrics()
    follower = Follower("test", Shelf(), feature_repository.folder, KeptModels(tmp_path), metrics)
    with TestClient(create_app(Service(follower, SongNames(None), metrics, poll=0.02))) as client:
        assert client.get("/health/live").status_code == 200
        wait_for(lambda: "no model has the alias" in client.get("/health/ready").json()["detail"])
        assert client.get("/health/ready").status_code == 503
        assert client.get("/predict/full").status_code == 503
        assert client.get("/model").json()["version"] is None
        assert client.get("/songs?q=a").json() == {"songs": [], "searchable": False}


def test_is_ready_with_a_model(client: TestClient) -> None:
    assert client.get("/health/ready").json() == {"ready": True, "version": "1"}


def test_an_online_store_that_is_away_is_told_in_words(
    client: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(*arguments: object) -> None:
        raise UnavailableError("the online store does not answer (ConnectionError)")

    monkeypatch.setattr(FeatureReader, "read", away)
    answer = client.get("/predict/full")
    assert answer.status_code == 503
    assert answer.json()["detail"] == "the online store does not answer (ConnectionError)"


def test_prometheus_is_told_what_was_asked_and_which_model_answers(
    own_client: TestClient, shelf: Shelf, tmp_path: Path
) -> None:
    own_client.get("/predict/full")
    own_client.get("/predict/gone")
    own_client.post("/predict", json={"songs": ["full", "full"]})
    shelf.put("2", write_model(tmp_path / "two", commit="beef"))
    wait_for(lambda: own_client.get("/model").json()["version"] == "2")
    told = own_client.get("/metrics").text
    assert 'jukebox_predictions_total{endpoint="single",outcome="answered"} 1.0' in told
    assert 'jukebox_predictions_total{endpoint="single",outcome="unknown"} 1.0' in told
    assert 'jukebox_predictions_total{endpoint="batch",outcome="answered"} 2.0' in told
    assert re.findall(r"jukebox_model_info\{.*", told) == [
        'jukebox_model_info{alias="test",git_commit="beef",version="2"} 1.0'
    ]


def test_nothing_of_the_page_comes_from_elsewhere(client: TestClient) -> None:
    page = client.get("/")
    assert "default-src 'self'" in page.headers["Content-Security-Policy"]
    for path in PAGES.iterdir():
        text = path.read_text(encoding="utf-8")
        found = {url for url in re.findall(r"https?://[^\s\"'`)]+", text) if "www.w3.org" not in url}
        assert not found, f"{path.name} names {found}"
        assert client.get(f"/static/{path.name}").status_code == 200
