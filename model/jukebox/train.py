"""The training, from rankings to a result: each step has a module of its own."""

from __future__ import annotations

import json
import logging
import sys
import tempfile
import time
from dataclasses import dataclass
from functools import cached_property
from importlib import metadata
from pathlib import Path

import numpy as np
import pandas as pd
from sklearn.pipeline import Pipeline

from jukebox import champion, mlflow_model, tracking
from jukebox.comparison import compare
from jukebox.description import DESCRIPTION_FILE, GRAPH_FILE, Description
from jukebox.errors import TrainingError
from jukebox.files import write_text
from jukebox.fit import fit
from jukebox.importance import by_permutation
from jukebox.labels import COUNTRY, DAY, SONG, read_labels
from jukebox.metrics import Scores, worst_country
from jukebox.onnx_export import Graph, check_equal, export
from jukebox.split import held_out
from jukebox.training_set import Feature, Features

log = logging.getLogger("jukebox.train")

# What a model was trained with.
_MADE_WITH = ("scikit-learn", "skl2onnx", "onnx", "onnxruntime", "numpy", "pandas", "feast")
# MLflow's names for Feast's types of inputs.
_COLUMN_TYPES = {
    "Bool": "boolean",
    "Int32": "integer",
    "Int64": "long",
    "Float32": "float",
    "Float64": "double",
}


@dataclass(frozen=True)
class Order:
    """What is to be trained; see ``python -m jukebox train --help``."""

    feature_repo: str
    feature_service: str
    revision: str
    rankings: str
    dataset_version: str
    definition_hash: str
    champion: str | None = None
    seed: int = 42


@dataclass(frozen=True)
class Rows:
    """Labels with their features: ``labels`` and ``values`` have the same rows."""

    labels: pd.DataFrame
    values: np.ndarray

    @property
    def countries(self) -> np.ndarray:
        """The labels alone."""
        return np.asarray(self.labels[COUNTRY], dtype=str)

    def where(self, mask: np.ndarray) -> Rows:
        """Return some of the rows."""
        return Rows(self.labels[mask].reset_index(drop=True), self.values[mask])


@dataclass(frozen=True)
class Trained:
    """A fitted model, its graph, and the rows that it was learned from and measured on."""

    inputs: list[Feature]
    model: Pipeline
    graph: Graph
    train: Rows
    test: Rows

    @property
    def classes(self) -> np.ndarray:
        """The countries in the order of the output."""
        return np.asarray(self.model[-1].classes_)

    @cached_property
    def scores(self) -> Scores:
        """Its answers on the held-out rows."""
        return Scores(self.graph.probabilities(self.test.values), self.classes, self.test.countries)


def train(order: Order, result_uri: str) -> dict[str, object]:
    """
    Train, measure, compare, log, and write the result.

    :param result_uri: where the result goes, as JSON; nothing is written there if the training fails.
    :raises TrainingError: something is wrong with the input; nothing is logged or registered then.
    """
    logging.basicConfig(level=logging.WARNING, format="%(message)s", stream=sys.stdout)
    log.setLevel(logging.INFO)
    began = time.monotonic()
    tracking.check_configured()
    before = champion.load(order.champion) if order.champion else None
    log.info("champion: %s", f"version {before.version}" if before else "no version has the alias")
    features = Features(order.feature_repo)
    trained = _trained(order, features)
    metrics = trained.scores.metrics() | _on_new_songs(trained)
    log.info("held out: %s", ", ".join(f"{name} {value:.4f}" for name, value in metrics.items()))
    rival = None if before is None else _rival_scores(before, features, trained)
    result = _result(order, trained, metrics, before, rival)
    with tempfile.TemporaryDirectory() as folder:
        _write_artifacts(order, trained, rival, Path(folder))
        result["run_id"], result["artifact_uri"] = tracking.log_run(
            f"{order.revision[:10]}, {len(trained.inputs)} features",
            _parameters(order, trained),
            metrics,
            _tags(order, trained),
            Path(folder),
            description=_description(order, trained, metrics, before),
            data=_data(order, trained),
        )
    result["seconds"] = round(time.monotonic() - began, 1)
    write_text(result_uri, json.dumps(result, indent=1))
    log.info("run %s took %s s; its result is in %s", result["run_id"], result["seconds"], result_uri)
    return result


def _trained(order: Order, features: Features) -> Trained:
    inputs = features.of_service(order.feature_service)
    labels = read_labels(order.rankings)
    log.info("%s rankings; asking Feast for %d features of their days", f"{len(labels):,}", len(inputs))
    values = features.as_of(labels, order.feature_service, [one.ref for one in inputs])
    rows = _with_features(Rows(labels, values), order)
    mask = held_out(rows.labels)
    learned, test = rows.where(~mask), rows.where(mask)
    log.info(
        "learning from %s rows before %s; %s are held out",
        f"{len(learned.labels):,}",
        f"{test.labels[DAY].min():%Y-%m-%d}",
        f"{len(test.labels):,}",
    )
    model = fit(learned.values, learned.countries)
    graph = export(model, len(inputs))
    log.info("ONNX differs by %.1g at most", check_equal(graph, model, test.values))
    return Trained(inputs, model, graph, learned, test)


def _with_features(rows: Rows, order: Order) -> Rows:
    """Leave out the labels of songs of which nothing was known on their day."""
    known = ~np.isnan(rows.values).all(axis=1)
    if not known.any():
        raise TrainingError(
            f"no song of {order.rankings} has features of {order.feature_service} on or before the day of "
            "its ranking: look at the event times of the features' history"
        )
    if not known.all():
        log.info("%s rankings of songs that were not known on their day are left out", f"{(~known).sum():,}")
    return rows.where(known)


def _on_new_songs(trained: Trained) -> dict[str, float]:
    """Return the share of right answers among the first five for songs that were not learned from."""
    new = ~trained.test.labels[SONG].isin(trained.train.labels[SONG].unique()).to_numpy()
    return {"top5_new_songs": float(trained.scores.within(5)[new].mean())} if new.any() else {}


def _rival_scores(before: champion.Champion, features: Features, trained: Trained) -> Scores:
    """Have the champion answer on the held-out rows, from its own features."""
    columns = {one.ref: trained.test.values[:, at] for at, one in enumerate(trained.inputs)}
    lacking = [one.ref for one in before.features if one.ref not in columns]
    there = features.known(lacking)
    if there:
        columns |= dict(zip(there, features.as_of(trained.test.labels, there, there).T, strict=True))
    if len(there) < len(lacking):
        # As in production: what the store does not have is missing in the request.
        log.warning("the champion lacks %s, which no view has any more", sorted(set(lacking) - set(there)))
    missing = np.full(len(trained.test.values), np.nan)
    values = np.column_stack([columns.get(one.ref, missing) for one in before.features])
    return Scores(before.graph.probabilities(values), np.array(before.classes), trained.test.countries)


def _result(
    order: Order,
    trained: Trained,
    metrics: dict[str, float],
    before: champion.Champion | None,
    rival: Scores | None,
) -> dict[str, object]:
    result: dict[str, object] = {
        "format": 1,
        "run_id": None,
        "artifact_uri": None,
        "rows": {"train": len(trained.train.labels), "test": len(trained.test.labels)},
        "features": [one.ref for one in trained.inputs],
        "classes": len(trained.classes),
        "metrics": metrics,
        "champion": None,
        "comparison": None,
        "countries": {
            "worst": worst_country(trained.scores.by_country(), None if rival is None else rival.by_country())
        },
        "git_commit": order.revision,
        "dataset_version": order.dataset_version,
        "definition_hash": order.definition_hash,
    }
    if before is not None and rival is not None:
        songs = trained.test.labels[SONG].to_numpy(dtype=str)
        result["champion"] = {"version": before.version, "metrics": rival.metrics()}
        result["comparison"] = compared = compare(trained.scores, rival, songs, order.seed)
        told = (
            f"{name} {d['difference']:+.4f} ({d['low']:+.4f} to {d['high']:+.4f})"
            for name, d in compared.items()
        )
        log.info("against version %s, with 95 %% limits: %s", before.version, ", ".join(told))
    return result


def _write_artifacts(order: Order, trained: Trained, rival: Scores | None, folder: Path) -> None:
    from jukebox import plots

    model = folder / tracking.MODEL_FOLDER
    model.mkdir()
    (model / GRAPH_FILE).write_bytes(trained.graph.body)
    medians = trained.model["medians"].statistics_
    example = np.where(np.isnan(trained.test.values[0]), medians, trained.test.values[0]).astype("float32")
    (model / DESCRIPTION_FILE).write_text(
        Description(trained.inputs, trained.classes.tolist(), _origin(order)).text(
            example, trained.graph.probabilities(example[None])[0], medians, trained.train.values
        ),
        encoding="utf-8",
    )
    made_with = [f"{name}=={metadata.version(name)}\n" for name in _MADE_WITH]
    (model / "training_requirements.txt").write_text("".join(made_with), encoding="utf-8")
    mlflow_model.write(model, trained.inputs, trained.classes.tolist(), example)
    _countries(trained, rival).to_csv(folder / "countries.csv", float_format="%.4f")
    (folder / "plots").mkdir()
    plots.confusion(trained.scores, folder / "plots" / "confusion.png")
    plots.reliability(trained.scores, folder / "plots" / "reliability.png")
    increases = by_permutation(
        trained.graph, trained.classes, trained.test.values, trained.test.countries, order.seed
    )
    names = [one.name for one in trained.inputs]
    plots.importance(names, increases, folder / "plots" / "feature_importance.png")


def _countries(trained: Trained, rival: Scores | None) -> pd.DataFrame:
    """Return the table by country, with the champion's recall beside it."""
    table: pd.DataFrame = trained.scores.by_country()
    learned = trained.train.labels[COUNTRY].value_counts()
    table.insert(0, "rows_learned", learned.reindex(table.index, fill_value=0))
    if rival is not None:
        table["champion_recall5"] = rival.by_country()["recall5"]
    return table


def _origin(order: Order) -> dict[str, str]:
    return {
        "service": order.feature_service,
        "definition_hash": order.definition_hash,
        "git_commit": order.revision,
        "dataset_version": order.dataset_version,
    }


def _parameters(order: Order, trained: Trained) -> dict[str, object]:
    return {
        "seed": order.seed,
        "features": len(trained.inputs),
        "classes": len(trained.classes),
        "rows_train": len(trained.train.labels),
        "rows_test": len(trained.test.labels),
        "held_out_from": f"{trained.test.labels[DAY].min():%Y-%m-%d}",
        "rounds": int(trained.model[-1].n_iter_[0]),
    }


def _description(
    order: Order, trained: Trained, metrics: dict[str, float], before: champion.Champion | None
) -> str:
    """Return what MLflow shows at the top of the run, as markdown."""
    compared = f"compared with version {before.version}" if before else "the first model"
    return (
        f"Commit `{order.revision[:10]}`, data version `{order.dataset_version}`, {compared}. Trained on "
        f"{len(trained.train.labels):,} rows of {len(trained.inputs)} features of `{order.feature_service}`; "
        f"held out: {len(trained.test.labels):,} rows, log-loss {metrics['log_loss']:.4f}, "
        f"top-5 accuracy {100 * metrics['top5']:.2f} %."
    )


def _data(order: Order, trained: Trained) -> tracking.DataVersion:
    return tracking.DataVersion(
        name=f"features of {order.feature_service}",
        version=order.dataset_version,
        source={"feature_service": order.feature_service, "git_commit": order.revision},
        columns=[(one.name, _COLUMN_TYPES[one.type]) for one in trained.inputs],
        rows=len(trained.train.labels) + len(trained.test.labels),
    )


def _tags(order: Order, trained: Trained) -> dict[str, str]:
    return {
        "git_commit": order.revision,
        "dataset_version": order.dataset_version,
        "feature_service": order.feature_service,
        "definition_hash": order.definition_hash,
        "features": json.dumps([one.ref for one in trained.inputs]),
    }
