"""Fields of the DAGs' trigger forms; what they refuse is answered by :mod:`feature_ops.form_errors`."""

from __future__ import annotations

from typing import Any

from airflow.sdk import Param

from feature_ops.datasets.dataset import Dataset
from feature_ops.form_errors import MARK
from feature_ops.settings import DATASET_URL, get_settings
from feature_ops.training.regression import REASON_LENGTH


def field(default: Any, **schema: Any) -> Param:
    """Return a field whose refusals have a clear message that does not repeat the value."""
    return Param(default, **MARK, **schema)


def etl_form(dataset: Dataset, dataset_url: str | None = None) -> dict[str, Param]:
    """
    Return the fields of a DAG that ingests a dataset.

    :param dataset_url: the default, which scheduled runs take.
    """
    settings = get_settings()
    times = " or ".join((dataset.timestamp_field, *dataset.timestamp_aliases))
    return {
        "dataset_url": field(
            dataset_url,
            type=["null", "string"],
            title="Dataset URL",
            description=(
                "Parquet file to ingest. Rows that are already known are left out. Without user name and "
                "password; Airflow stores a signed URL with the run, visible to all who may see the run."
            ),
            examples=[
                *([settings.etl_example_url] if settings.etl_example_url else []),
                f"https://example.org/{dataset.name}.parquet",
                f"s3://data/inbox/{dataset.name}.parquet",
            ],
            # A user name or password is refused before Airflow stores it with a run.
            pattern=DATASET_URL,
        ),
        "repo_url": field(
            None,
            type=["null", "string"],
            title="Repository URL",
            description=(
                f"Git repository of the data versions. Default: the repository of the connection "
                f"{settings.git_conn_id}; any other must be on the same server. Without user name and "
                "password."
            ),
            # "git@host:path" and "ssh://git@host/path" have a user name, but no password.
            pattern=r"^(?![Hh][Tt][Tt][Pp][Ss]?:/*[^/]*@)(?!(\w+:/*)?[^/@]*:[^/]*@)\S+$",
        ),
        "event_timestamp_column": field(
            None,
            type=["null", "string"],
            title="Event timestamp column",
            description=f"Event timestamp column of the file. Default: {times}, else the run time.",
            pattern=r"^\S+$",
        ),
        "full_refresh": field(
            False,
            type="boolean",
            title="Full refresh",
            description="Load the whole history into the online store again, not only new data.",
        ),
    }


def revision_field() -> dict[str, Param]:
    """Return the field of a DAG that applies a commit."""
    return {
        "revision": field(
            None,
            type=["null", "string"],
            title="Revision",
            description=(
                f"Branch, tag or commit to apply. Default: the newest commit of {get_settings().git_branch}. "
                "Choose an older one for a rollback."
            ),
            examples=["main", "v1.2", "1a2b3c4d5e"],
            pattern=r"^[^\s~^:?*\[\\]+$",
        )
    }


def accept_regression_field() -> dict[str, Param]:
    """Return the field of a DAG that trains: the reason for which a worse model is accepted."""
    return {
        "accept_regression_reason": field(
            None,
            type=["null", "string"],
            title="Accept regression",
            description=(
                "Reason for which a model may be worse than the champion, such as licence, privacy or cost. "
                "It waives the gates that compare with the champion and is recorded with the model. Empty: "
                "all gates hold."
            ),
            maxLength=REASON_LENGTH,
        )
    }


def force_training_field() -> dict[str, Param]:
    """Return the field of a DAG that trains a model."""
    return {
        "force_training": field(
            False,
            type="boolean",
            title="Force training",
            description="Train even if no feature changed.",
        )
    }


def model_version_field() -> dict[str, Param]:
    """Return the field of a DAG that promotes a model version."""
    return {
        "model_version": field(
            None,
            type=["null", "string"],
            title="Model version",
            description="Number of the version in MLflow. Default: the version that is deployed in test.",
            examples=["3"],
            pattern=r"^\s*[0-9]*\s*$",
        )
    }
