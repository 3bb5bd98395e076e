"""The service as a process, on real servers: it answers through all that changes or goes away."""

from __future__ import annotations

import os
import secrets
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import pandas as pd
import pytest
from playwright.sync_api import Browser, Page, expect

from demo.servers import Servers
from tests.unit.model.serving_parts import COUNTRIES, REFS, FeatureRepository, write_model

if TYPE_CHECKING:
    from mlflow import MlflowClient

MODEL_PACKAGE = Path(__file__).resolve().parents[3] / "model"
NEW_SONG = "1D2SVYXZdtNfJCg8wZWvVz"
CONFIGURATION = """\
project: music
provider: local
registry:
  registry_type: sql
  path: ${FEAST_REGISTRY_URL}
  serve_features_while_materializing: true
online_store:
  type: redis
  connection_string: ${FEAST_ONLINE_STORE}
entity_key_serialization_version: 3
"""


def wait_for(condition: Callable[[], Any], limit: float = 60) -> Any:
    """Return what the condition says once it holds."""
    until = time.monotonic() + limit
    while not (found := condition()):
        assert time.monotonic() < until, "what was waited for did not come"
        time.sleep(0.05)
    return found


class Place:
    """One instance of the service, and all that it stands on."""

    def __init__(self, folder: Path, servers: Servers) -> None:
        self.folder, self._servers = folder, servers
        self._database = f"feast_{secrets.token_hex(4)}"
        self.environment = {
            **os.environ,
            "PYTHONPATH": str(MODEL_PACKAGE),
            "MLFLOW_TRACKING_URI": f"sqlite:///{folder}/mlflow.db",
            "MLFLOW_DISABLE_TELEMETRY": "true",
        }
        # The test applies and writes; the service has credentials that read.
        os.environ["FEAST_REGISTRY_URL"] = servers.create_database(self._database)
        os.environ["FEAST_ONLINE_STORE"] = servers.online_store
        self.environment["FEAST_REGISTRY_URL"] = servers.create_reader(self._database)
        self.environment["FEAST_ONLINE_STORE"] = servers.online_store_reader
        self.features = FeatureRepository(folder / "features", CONFIGURATION)
        songs = {
            "spotify_id": ["full", "holes"],
            "name": ["Golden River", "Golden Train"],
            "artists": ["Lune Noire", "Velour"],
        }
        pd.DataFrame(songs).to_parquet(folder / "songs.parquet")
        self._process: subprocess.Popen[bytes] | None = None
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self.http = httpx.Client(base_url=self.url, trust_env=False, timeout=30)
        # SQLite's tables are made here: two processes that make them at once are in each other's way.
        self._registry().search_registered_models()

    def _registry(self) -> MlflowClient:
        from mlflow import MlflowClient

        return MlflowClient(self.environment["MLFLOW_TRACKING_URI"], self.environment["MLFLOW_TRACKING_URI"])

    def start(self) -> None:
        """Start the service; it lives when this returns."""
        arguments = ["--alias", "test", "--feature-repo", str(self.features.folder), "--port", str(self.port)]
        arguments += ["--poll", "0.2", "--state", str(self.folder / "state")]
        arguments += ["--songs", str(self.folder / "songs.parquet")]
        with (self.folder / "serve.log").open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "jukebox", "serve", *arguments],
                env=self.environment,
                stdout=log,
                stderr=log,
                cwd=self.folder,
            )
        wait_for(lambda: self.status("/health/live") == 200)

    def kill(self) -> None:
        """End the service at once, wherever it is."""
        if self._process:
            self._process.kill()
            self._process.wait()

    def close(self) -> None:
        """Leave nothing behind."""
        self.kill()
        self.http.close()
        if self._database:
            self._servers.drop_database(self._database)

    def drop_registry(self) -> None:
        """Take the feature registry's database away."""
        self._servers.drop_database(self._database)
        self._database = ""

    def status(self, path: str) -> int:
        """Return a page's status; 0 if nobody answers."""
        try:
            return self.http.get(path).status_code
        except httpx.HTTPError:
            return 0

    def model(self) -> dict[str, Any]:
        """Return what the service says of its model."""
        answer: dict[str, Any] = self.http.get("/model").json()
        return answer

    def deploy(self, name: str, **options: Any) -> str:
        """Log a model, register it and give it the alias; returns its version."""
        client = self._registry()
        found = client.get_experiment_by_name("jukebox")
        if found is None:
            client.create_registered_model("jukebox")
            experiment = client.create_experiment("jukebox", (self.folder / "artifacts").as_uri())
        else:
            experiment = found.experiment_id
        run = client.create_run(experiment)
        client.log_artifacts(run.info.run_id, str(write_model(self.folder / name, **options)), "model")
        made = client.create_model_version("jukebox", f"{run.info.artifact_uri}/model", run.info.run_id)
        client.set_registered_model_alias("jukebox", "test", made.version)
        return str(made.version)

    def answers_with(self, version: str) -> bool:
        return self.model()["version"] == version


@pytest.fixture(scope="module")
def place(servers: Servers, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    before = dict(os.environ)
    place = Place(tmp_path_factory.mktemp("serving"), servers)
    try:
        place.start()
        assert place.status("/health/ready") == 503, "there is no model yet"
        version = place.deploy("first", commit="aaaaaaa1111")
        wait_for(lambda: place.answers_with(version))
        yield place
    finally:
        place.close()
        os.environ.clear()
        os.environ.update(before)


@pytest.fixture
def page(place: Place, browser: Browser) -> Iterator[Page]:
    """A page in which nothing may go wrong."""
    page = browser.new_page(viewport={"width": 1280, "height": 900})
    page.set_default_timeout(15_000)
    expect.set_options(timeout=15_000)
    wrong: list[str] = []
    page.on("pageerror", lambda error: wrong.append(str(error)))
    # A song that is not there is told by a 404, which the browser notes as well.
    page.on(
        "console",
        lambda note: wrong.append(note.text) if note.type == "error" and "404" not in note.text else None,
    )
    elsewhere: list[str] = []
    page.on(
        "request", lambda request: elsewhere.append(request.url) if "127.0.0.1" not in request.url else None
    )
    yield page
    page.close()
    assert (wrong, elsewhere) == ([], [])


def test_a_song_is_found_by_name_with_the_keyboard_alone(place: Place, page: Page) -> None:
    page.goto(place.url)
    page.keyboard.press("/")
    page.keyboard.type("golden")
    expect(page.get_by_role("option")).to_have_count(2)
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Golden River")).to_be_visible()
    rows = page.locator("#ranking li")
    expect(rows).to_have_count(len(COUNTRIES))
    best = place.http.get("/predict/full").json()["countries"][0]
    expect(rows.first).to_contain_text(f"{100 * best['probability']:.1f}%")
    expect(page.locator("#ranking svg.flag")).to_have_count(len(COUNTRIES))
    expect(page.locator("#features")).to_contain_text("−6.5 dB")
    expect(page.locator("#fresh")).to_contain_text("March 1, 2024")
    expect(page.locator("#by")).to_contain_text("version 1 (test), commit aaaaaaa")


def test_a_null_is_shown_as_one(place: Place, page: Page) -> None:
    page.goto(f"{place.url}/?song=holes")
    expect(page.locator("#features")).to_contain_text("null in the store")
    expect(page.locator("#fresh")).to_contain_text("1 missing")


def test_a_new_song_and_a_new_model_appear_in_a_page_that_nobody_touches(place: Place, page: Page) -> None:
    page.goto(f"{place.url}/?song={NEW_SONG}")
    expect(page.get_by_role("heading", name="Not in the feature store yet")).to_be_visible()
    place.features.write(
        spotify_id=[NEW_SONG], energy=[0.3], loudness=[-9.0], key=pd.array([1], dtype="Int64")
    )
    expect(page.get_by_role("heading", name=NEW_SONG)).to_be_visible()
    before = page.locator("#ranking").inner_text()
    version = place.deploy("untouched", refs=REFS[:1], seed=9)
    expect(page.locator("#by")).to_contain_text(f"version {version}")
    expect(page.locator("#features dt")).to_have_count(1)
    assert page.locator("#ranking").inner_text() != before


def test_nothing_is_cut_off_on_a_phone(place: Place, page: Page) -> None:
    page.set_viewport_size({"width": 320, "height": 740})
    page.goto(f"{place.url}/?song=full")
    expect(page.locator("#answer")).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth") <= 320


class Load:
    """People who ask all the time, singly and in batches."""

    def __init__(self, url: str) -> None:
        self._url, self._stopped = url, threading.Event()
        self.answered: dict[str, int] = {}
        self.failed: list[str] = []
        self._threads = [threading.Thread(target=self._ask, args=(batch,)) for batch in (False, True)]

    def __enter__(self) -> Load:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._stopped.set()
        for thread in self._threads:
            thread.join()

    def _ask(self, batch: bool) -> None:
        with httpx.Client(base_url=self._url, trust_env=False, timeout=30) as http:
            while not self._stopped.wait(0.01):
                try:
                    answer = (
                        http.post("/predict", json={"songs": ["full", "holes"]})
                        if batch
                        else http.get("/predict/full")
                    )
                    if answer.status_code != 200:
                        self.failed.append(answer.text)
                    version = answer.json()["model"]["version"]
                    self.answered[version] = self.answered.get(version, 0) + 1
                except Exception as error:
                    self.failed.append(repr(error))


def test_no_prediction_fails_through_all_that_changes_or_goes_away(place: Place) -> None:
    with Load(place.url) as load:
        good = place.deploy("good", seed=3)
        wait_for(lambda: place.answers_with(good))
        bad = place.deploy("bad", self_test={"inputs": {}, "probabilities": {}})
        wait_for(lambda: (place.model()["refused"] or {}).get("version") == bad)
        better = place.deploy("better", seed=4)
        wait_for(lambda: place.answers_with(better))
        wait_for(lambda: load.answered.get(better, 0) > 20)
        place.drop_registry()
        before = sum(load.answered.values())
        wait_for(lambda: sum(load.answered.values()) > before + 20)
    assert load.failed == []
    assert set(load.answered) >= {good, better}
    assert bad not in load.answered

    # Killed, and started again while both registries are away.
    place.kill()
    place.environment["MLFLOW_TRACKING_URI"] = "http://127.0.0.1:9"
    place.start()
    wait_for(lambda: place.status("/health/ready") == 200)
    assert place.http.get("/predict/full").json()["model"]["version"] == better
    wait_for(lambda: set(place.model()["troubles"]) == {"model", "definitions"})
