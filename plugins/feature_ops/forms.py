"""The forms that Airflow shows when a person triggers a DAG: the same fields and rules for every dataset."""

from __future__ import annotations

from airflow.sdk import Param

from feature_ops.datasets.dataset import Dataset
from feature_ops.settings import get_settings
from feature_ops.training.regression import REASON_LENGTH


def etl_form(dataset: Dataset, dataset_url: str | None = None) -> dict[str, Param]:
    """
    Return the fields of a DAG that ingests a dataset.

    :param dataset_url: what a run without a person takes.
    """
    times = " or ".join((dataset.timestamp_field, *dataset.timestamp_aliases))
    return {
        "dataset_url": Param(
            dataset_url,
            type=["null", "string"],
            title="Dataset URL",
            description=(
                "Parquet file to ingest. Rows that are already known are left out. No user name or password; "
                "Airflow keeps a signed URL with the run, for all who may see it."
            ),
            examples=[
                f"https://example.org/{dataset.name}.parquet",
                f"s3://data/inbox/{dataset.name}.parquet",
            ],
            # A user name or password is refused before it is kept with a run.
            pattern=r"^[a-z][a-z0-9]*://[^\s/?#@]*([/?#]\S*)?$",
        ),
        "repo_url": Param(
            None,
            type=["null", "string"],
            title="Repository URL",
            description=(
                f"Git repository that keeps the data's versions. Empty: that of the connection "
                f"{get_settings().git_conn_id}; any other must be on the same host."
            ),
            pattern=r"^(?!https?://[^/]*@)\S+$",
        ),
        "event_timestamp_column": Param(
            None,
            type=["null", "string"],
            title="Event timestamp column",
            description=(
                f"Column that says when a row became true. Empty: {times}; "
                "a file without one is stamped with the run's time."
            ),
            pattern=r"^\S+$",
        ),
        "full_refresh": Param(
            False,
            type="boolean",
            title="Full refresh",
            description="Load the whole history into the online store again, not only what is new.",
        ),
    }


def revision_field() -> dict[str, Param]:
    """Return the field of a DAG that applies a commit."""
    return {
        "revision": Param(
            None,
            type=["null", "string"],
            title="Revision",
            description=(
                f"Branch, tag or commit to apply. Empty: the newest commit of {get_settings().git_branch}. "
                "An older one is the way back."
            ),
            examples=["main", "v1.2", "1a2b3c4d5e"],
            pattern=r"^[^\s~^:?*\[\\]+$",
        )
    }


def accept_regression_field() -> dict[str, Param]:
    """Return the field of a DAG that trains: the reason for which a worse model is accepted."""
    return {
        "accept_regression_reason": Param(
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
