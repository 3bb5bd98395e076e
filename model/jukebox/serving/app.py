"""The service over HTTP, and the page at its root."""

from __future__ import annotations

import argparse
import asyncio
import gc
import logging
import os
import tempfile
import threading
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Annotated, Any

from fastapi import FastAPI, Query, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import FileResponse, JSONResponse, Response
from fastapi.staticfiles import StaticFiles
from pydantic import BaseModel, Field
from pydantic_core import to_json
from starlette.convertors import PathConvertor, register_url_convertor

from feature_ops.model_signature import ModelSignatureError
from jukebox.serving.asked import Asked
from jukebox.serving.follower import Follower, Serving
from jukebox.serving.kept import KeptModels
from jukebox.serving.metrics import Metrics
from jukebox.serving.middleware import MAX_BODY_BYTES, BodyLimit, HeadAsGet
from jukebox.serving.model_state import ModelState
from jukebox.serving.predictions import Prediction, predict
from jukebox.serving.problems import UnavailableError
from jukebox.serving.signatures import NoSignatures, RequiredSignatures, Signatures
from jukebox.serving.songs import SongNames
from jukebox.serving.sources import MODEL_NAME, MlflowSource
from jukebox.serving.store_calls import StoreCalls, StoreRead

PAGES = Path(__file__).parent / "pages"
MOST_SONGS = 1000
_STATUS = {"unknown": 404, "invalid": 422, "empty": 422, "incomplete": 422}
_HEADERS = {
    # All that the page shows is its own; flags are drawn in the page's document.
    "Content-Security-Policy": "default-src 'self'; img-src 'self' data:; frame-ancestors 'self'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
}
_log = logging.getLogger(__name__)

Top = Annotated[int, Query(ge=1, le=300, description="how many countries to tell")]

Poll = Annotated[
    bool, Query(description="the client repeats a request by itself: metrics and drift do not count it")
]


class _SongConvertor(PathConvertor):
    """The rest of a path, line breaks included, so that no id is cut off or answered by another route."""

    regex = r"[\s\S]*"


register_url_convertor("song", _SongConvertor())


class Songs(BaseModel):
    """Songs to predict, in one request. Each id is checked and answered by itself."""

    songs: list[str] = Field(min_length=1, max_length=MOST_SONGS)


class Service:
    """
    What the endpoints share.

    :param poll: seconds between two looks at the alias.
    :param links: addresses of other user interfaces by name, shown by the page: ``mlflow``, ``airflow``.
    :param calls: runs requests that read the online store.
    """

    def __init__(
        self,
        follower: Follower,
        names: SongNames,
        metrics: Metrics,
        poll: float,
        calls: StoreCalls | None = None,
        links: Mapping[str, str] | None = None,
    ) -> None:
        self.follower, self.names, self.metrics = follower, names, metrics
        self.asked = Asked()
        self.calls = calls or StoreCalls()
        self.links = dict(links or {})
        metrics.watch(ModelState(lambda: follower.serving, self.asked))
        self._poll = poll
        self._stopped = threading.Event()

    def follow(self) -> None:
        """Look for new models and names until :meth:`stop`."""
        while not self._stopped.is_set():
            before = self.follower.serving
            self.follower.look()
            if self.follower.serving is not before:
                # What was imported and loaded stays: a full collection would visit all of it, and
                # every prediction that is under way would wait for a tenth of a second.
                gc.unfreeze()
                gc.collect()
                gc.freeze()
            try:
                self.names.refresh()
            except UnavailableError as trouble:
                self.follower.troubles["names"] = str(trouble)
            else:
                self.follower.troubles.pop("names", None)
            self._stopped.wait(self._poll)

    def stop(self) -> None:
        """End following after the look that is under way."""
        self._stopped.set()
        self.calls.close()

    def serving(self) -> Serving:
        """
        Return what answers.

        :raises UnavailableError: nothing does yet.
        """
        serving = self.follower.serving
        if serving is None:
            raise UnavailableError(f"No model answers yet: {self.trouble()}.")
        return serving

    def trouble(self) -> str:
        """Return in words what is wrong."""
        refused = self.follower.refused
        troubles = list(self.follower.troubles.copy().values())
        if refused:
            troubles.insert(0, f"version {refused.version} is refused: {refused.reason}")
        return "; ".join(troubles)

    async def respond(
        self, endpoint: str, songs: int, work: Callable[[StoreRead], Response], poll: bool = False
    ) -> Response:
        """Run a request that reads the online store, and count songs for which there is no answer."""
        try:
            return await self.calls.run(work)
        except UnavailableError:
            if not poll:
                self.metrics.predictions.labels(endpoint, "unavailable").inc(songs)
            raise

    def predict(
        self, endpoint: str, songs: Sequence[str], top: int, reading: StoreRead, poll: bool = False
    ) -> tuple[Serving, list[Prediction]]:
        """
        Predict, and count the outcomes.

        :param poll: the request repeats one that is counted already.
        """
        started = time.perf_counter()
        serving = self.serving()
        answers = predict(serving, songs, top, self.metrics, reading)
        if poll:
            return serving, answers
        current = self.follower.serving
        if current and serving.model is current.model:
            # One that is replaced meanwhile would mix its features with those of its successor.
            self.asked.add(serving.model, answers)
        for answer in answers:
            self.metrics.predictions.labels(endpoint, answer.outcome).inc()
        self.metrics.prediction_seconds.labels(endpoint).observe(time.perf_counter() - started)
        return serving, answers

    def about(self, serving: Serving) -> dict[str, Any]:
        """Return which model answered."""
        facts = serving.model.facts
        return {
            "version": serving.version,
            "alias": self.follower.alias,
            "git_commit": facts["git_commit"],
            "dataset_version": facts["dataset_version"],
        }

    def content(self, answer: Prediction) -> dict[str, Any]:
        """Return one song's answer as JSON."""
        said = answer.content or {"outcome": answer.outcome, "detail": answer.detail}
        return {"song": answer.song, **self.names.describe(answer.song), **said}


def create_app(service: Service, max_body_bytes: int = MAX_BODY_BYTES) -> FastAPI:
    """Return the application; it follows the alias while it runs."""

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        thread = threading.Thread(target=service.follow, name="follower", daemon=True)
        thread.start()
        watch = asyncio.create_task(service.calls.clock.watch())
        yield
        watch.cancel()
        service.stop()

    # FastAPI's own documentation pages load scripts from elsewhere.
    app = FastAPI(title="Jukebox", lifespan=lifespan, docs_url=None, redoc_url=None)
    app.add_middleware(HeadAsGet)
    app.add_middleware(BodyLimit, max_bytes=max_body_bytes)
    _add_predictions(app, service)
    _add_state(app, service)
    _add_page(app)
    _add_failures(app)
    return app


def _add_predictions(app: FastAPI, service: Service) -> None:
    @app.get("/predict/{song:song}")
    async def predict_one(song: str, top: Top = 10, poll: Poll = False) -> Response:
        """Rank the countries for one song."""

        def work(reading: StoreRead) -> Response:
            serving, (answer,) = service.predict("single", [song], top, reading, poll)
            status = _STATUS.get(answer.outcome, 200)
            return _json({**service.content(answer), "model": service.about(serving)}, status)

        return await service.respond("single", 1, work, poll)

    @app.post("/predict")
    async def predict_many(asked: Songs, top: Top = 10) -> Response:
        """Rank the countries for many songs. An entry that has no prediction says why."""

        def work(reading: StoreRead) -> Response:
            serving, answers = service.predict("batch", asked.songs, top, reading)
            content = [service.content(answer) for answer in answers]
            return _json({"predictions": content, "model": service.about(serving)})

        return await service.respond("batch", len(asked.songs), work)

    @app.get("/songs")
    def songs(q: Annotated[str, Query(max_length=200)] = "") -> Response:
        """Search songs by name, artist or id."""
        return JSONResponse({"songs": service.names.search(q), "searchable": service.names.searchable})

    @app.get("/songs/examples")
    def examples() -> Response:
        """Return some songs that can be found by name."""
        return JSONResponse({"songs": service.names.examples()})


def _json(content: dict[str, Any], status: int = 200) -> Response:
    # Five times as fast as JSONResponse, which a hundred songs are long enough for to matter. An infinite
    # feature, which JSON can't spell, is told as null.
    return Response(to_json(content, inf_nan_mode="null"), status, media_type="application/json")


def _add_state(app: FastAPI, service: Service) -> None:
    @app.get("/model")
    def model() -> Response:
        """Tell which model answers, with which features, and what is wrong."""
        follower, serving = service.follower, service.follower.serving
        refused = follower.refused
        content: dict[str, Any] = {
            "version": None,
            "alias": follower.alias,
            "alias_missing": follower.alias_missing,
            "git_commit": None,
            "features": [],
            "loaded_at": None,
            "refused": {"version": refused.version, "reason": refused.reason} if refused else None,
            "signature_required": follower.signatures.required,
            "troubles": follower.troubles.copy(),
            "links": service.links,
        }
        if serving:
            content |= {
                **service.about(serving),
                **serving.model.facts,
                "features": [
                    {"ref": item.ref, "name": item.name, "type": item.type} for item in serving.model.features
                ],
                "countries": len(serving.model.classes),
                "drift": None
                if serving.model.bins
                else "not told: the model was trained before training told how its features are distributed",
                "loaded_at": serving.loaded_at.isoformat(),
                "definitions_at": serving.definitions_at.isoformat(),
                "freshness": {
                    view: moment and moment.isoformat() for view, moment in serving.reader.freshness().items()
                },
            }
        return JSONResponse(content)

    @app.get("/health/live")
    async def live() -> Response:
        """Report that the process runs; needs no thread, and nothing that the service depends on."""
        return JSONResponse({"alive": True})

    @app.get("/health/ready")
    async def ready() -> Response:
        """Report whether a model answers."""
        serving = service.serving()
        return JSONResponse({"ready": True, "version": serving.version})

    @app.get("/metrics")
    def metrics() -> Response:
        """Tell Prometheus."""
        return Response(service.metrics.exposition(), media_type="text/plain; version=0.0.4; charset=utf-8")


def _add_page(app: FastAPI) -> None:
    @app.get("/", include_in_schema=False)
    def page() -> Response:
        return FileResponse(PAGES / "index.html", headers={**_HEADERS, "Cache-Control": "no-cache"})

    app.mount("/static", StaticFiles(directory=PAGES), name="static")


def _add_failures(app: FastAPI) -> None:
    @app.exception_handler(UnavailableError)
    async def unavailable(request: Request, error: Exception) -> Response:
        return JSONResponse({"detail": str(error)}, 503, headers={"Retry-After": "1"})

    @app.exception_handler(RequestValidationError)
    async def invalid(request: Request, error: Exception) -> Response:
        assert isinstance(error, RequestValidationError)
        # What was sent is not echoed: it may be large, or no text that could be sent back.
        said = [f"{'.'.join(str(part) for part in item['loc'])}: {item['msg']}" for item in error.errors()]
        return JSONResponse({"detail": "; ".join(said[:5])}, 422)

    @app.exception_handler(Exception)
    async def failed(request: Request, error: Exception) -> Response:
        return JSONResponse({"detail": "The service failed; its log says why."}, 500)


def run(arguments: argparse.Namespace) -> int:
    """
    Serve until the process is told to stop; returns its exit code.

    :param arguments: ``alias``, ``feature_repo``, ``host``, ``port``, ``poll``, ``state``, ``songs``,
        ``max_body_bytes``, ``store_timeout``, ``mlflow_url``, ``airflow_url``, ``signing_key``.
    """
    import uvicorn

    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    # An MLflow that is away is asked again at the next look, not for minutes in this one.
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1")
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "10")
    kept = KeptModels(Path(arguments.state or tempfile.mkdtemp(prefix="jukebox-")))
    try:
        kept.claim()
    except OSError as error:
        _log.error("%s", error)
        return 1
    metrics = Metrics()
    try:
        signatures = _signatures(arguments.signing_key)
    except ModelSignatureError as error:
        _log.error("--signing-key: %s", error)
        return 1
    repo = Path(arguments.feature_repo)
    follower = Follower(arguments.alias, MlflowSource(), repo, kept, metrics, signatures=signatures)
    calls = StoreCalls(arguments.store_timeout)
    urls = {"mlflow": arguments.mlflow_url, "airflow": arguments.airflow_url}
    links = {name: url.rstrip("/") for name, url in urls.items() if url}
    service = Service(follower, SongNames(arguments.songs), metrics, float(arguments.poll), calls, links)
    uvicorn.run(
        create_app(service, arguments.max_body_bytes),
        host=arguments.host,
        port=arguments.port,
        log_level="warning",
        access_log=False,
        timeout_graceful_shutdown=5,
    )
    return 0


def _signatures(public_key: str | None) -> Signatures:
    return RequiredSignatures(Path(public_key), MODEL_NAME) if public_key else NoSignatures()
