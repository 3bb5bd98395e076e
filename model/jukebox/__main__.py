"""``python -m jukebox train …`` makes a model, ``python -m jukebox serve …`` answers with it."""

from __future__ import annotations

import argparse
import os
import sys
import traceback
from collections.abc import Sequence

# EX_DATAERR of sysexits.h: the input is wrong, and trying again would not mend it.
DATA_ERROR = 65


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; returns its exit code: 0, or 1 or 65 with what is wrong as the last line."""
    # MLflow would otherwise report to its makers.
    os.environ.update(MLFLOW_DISABLE_TELEMETRY="true", DO_NOT_TRACK="true")
    parsed = _parser().parse_args(arguments)
    return _train(parsed) if parsed.command == "train" else _serve(parsed)


def _train(arguments: argparse.Namespace) -> int:
    from jukebox.errors import ServerError, TrainingError
    from jukebox.train import Order, train

    order = Order(
        **{name: value for name, value in vars(arguments).items() if name not in ("command", "result")}
    )
    try:
        train(order, arguments.result)
    except ServerError as error:
        return _failed(str(error))
    except TrainingError as error:
        return _failed(str(error), DATA_ERROR)
    except Exception as error:
        traceback.print_exc()
        # Whoever shows only the last line shows the most telling one.
        return _failed(f"{type(error).__name__}: {error}")
    return 0


def _failed(message: str, code: int = 1) -> int:
    print(f"error: {' '.join(message.split())[:1000]}", file=sys.stderr)
    return code


def _serve(arguments: argparse.Namespace) -> int:
    from jukebox.serving.app import run

    return int(run(arguments) or 0)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="jukebox", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    train = commands.add_parser("train", help="train a model and log it to MLflow; registers nothing")
    train.add_argument(
        "--feature-repo", required=True, help="folder with feature_store.yaml, or s3://…/feature_store.yaml"
    )
    train.add_argument("--feature-service", required=True, help="whose features are the model's input")
    train.add_argument("--revision", required=True, help="the commit that is trained")
    train.add_argument("--rankings", required=True, help="parquet of labels: s3://… or a path")
    train.add_argument("--dataset-version", required=True, help="which data the features come from")
    train.add_argument("--definition-hash", required=True, help="of the feature service")
    train.add_argument(
        "--champion", help="models:/NAME@ALIAS to compare with; skipped if nobody has the alias"
    )
    train.add_argument("--result", required=True, help="where the result goes, as JSON: s3://… or a path")
    train.add_argument("--seed", type=int, default=42, help="of all that is drawn (default: 42)")
    serve = commands.add_parser("serve", help="answer predictions with the model that has an alias")
    serve.add_argument("--alias", required=True, help="which model version to follow: test or champion")
    serve.add_argument("--feature-repo", required=True, help="folder with feature_store.yaml")
    serve.add_argument("--host", default="127.0.0.1", help="address to listen on (default: 127.0.0.1)")
    serve.add_argument("--port", type=int, required=True, help="port to listen on")
    serve.add_argument(
        "--poll", type=float, default=2.0, help="seconds between looks at the alias (default: 2)"
    )
    serve.add_argument(
        "--signing-key",
        default=os.environ.get("JUKEBOX_SIGNING_KEY") or None,
        help="PEM file with the public key that models must be signed for (default: $JUKEBOX_SIGNING_KEY; "
        "without it signatures are not checked)",
    )
    serve.add_argument("--state", help="folder that keeps the last good version over restarts")
    serve.add_argument("--songs", help="parquet of songs' names to search by: s3://… or a path")
    for name in ("MLflow", "Airflow"):
        serve.add_argument(
            f"--{name.lower()}-url", help=f"address of {name} in a browser, for the page's links"
        )
    serve.add_argument(
        "--store-timeout",
        type=float,
        default=0.7,
        help="seconds without a response of the online store until status 503 (default: 0.7)",
    )
    serve.add_argument(
        "--max-body-bytes",
        type=int,
        default=1024 * 1024,
        help="maximum length of a request body (default: 1 MiB); a longer one gets status 413",
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())
