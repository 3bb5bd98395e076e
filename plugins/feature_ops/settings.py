"""
Every setting of the package: typed, with its default and its environment variable.

A setting ``x`` is read from the environment variable ``FEATURE_OPS_X``; lists are JSON.
Secrets are never settings: they live in Airflow connections.
"""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

from pydantic import ByteSize, Field, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

PROJECT_ROOT = Path(__file__).resolve().parents[2]


class Settings(BaseSettings):
    """What a deployment may change without touching code."""

    model_config = SettingsConfigDict(env_prefix="FEATURE_OPS_", frozen=True, extra="ignore")

    aws_conn_id: str = Field("aws_default", description="Airflow connection of the object store.")
    git_conn_id: str = Field("git_default", description="Airflow connection of the watched repository.")
    feast_conn_id: str = Field(
        "feast_default",
        description="Airflow connection whose extra.environment fills the ${...} of feature_store.yaml.",
    )
    feature_store_pool: str = Field(
        "feature_store", description="Pool with one slot that serializes apply and materialize."
    )

    storage_uri: str = Field("s3://data", description="Where datasets and their staging areas live.")
    dvc_remote_name: str = Field("s3-version", description="Name of the DVC remote in .dvc/config.")
    dvc_remote_uri: str = Field("s3://data-cache", description="Address of the DVC remote.")
    git_branch: str = Field("main", description="Branch that pointers are committed to.")
    git_author_name: str = Field("feature-ops", description="Author of the package's own commits.")
    git_author_email: str = Field("feature-ops@localhost", description="E-mail of that author.")
    git_timeout: float = Field(120.0, gt=0, description="Seconds that one git command may take.")
    git_commit_url: str | None = Field(
        None, description="Web address of a commit, with {commit}; the extra link of a task uses it."
    )
    feature_repo: Path = Field(
        PROJECT_ROOT / "feature_repo", description="Folder that holds feature_store.yaml."
    )

    feature_repo_path: str = Field(
        "feature_repo", description="Folder of the feature definitions in the watched git repository."
    )
    watch_interval: float = Field(
        30.0, gt=0, description="Seconds between two looks at the watched repository."
    )
    apply_feature_changes: bool = Field(
        True, description="Whether a commit that changes features is applied, or only told of."
    )

    mlflow_tracking_uri: str | None = Field(None, description="Address of the MLflow server.")
    training_timeout: float = Field(3600.0, gt=0, description="Seconds that a training may take.")
    gate_log_loss_increase: float = Field(
        0.05, description="Most that a new model's log-loss may be above the champion's, interval included."
    )
    gate_recall_drop: float = Field(
        0.5, description="Most that the recall among the first five of any class may fall."
    )
    gate_top5_minimum: float = Field(
        0.05, description="Least share of held-out rows whose class is among the first five."
    )
    test_service_url: str | None = Field(
        None, description="Address of the model service that follows the alias test."
    )
    deploy_timeout: float = Field(
        120.0, gt=0, description="Seconds that the service may take to load a new version."
    )

    source_schemes: tuple[str, ...] = Field(
        ("https", "s3"), description="Schemes a dataset URL may have: https, http, s3, file."
    )
    source_hosts: tuple[str, ...] = Field(
        ("*",), description="Host names (or *.domain) a dataset URL may name; buckets for s3."
    )
    source_private_addresses: bool = Field(
        False, description="Whether http(s) sources may be at loopback, private or link-local addresses."
    )
    source_folders: tuple[Path, ...] = Field((), description="Folders that file URLs may read from.")
    source_max_size: ByteSize = Field(ByteSize(5 * 1024**3), description="Largest file that is ingested.")
    source_timeout: float = Field(60.0, gt=0, description="Seconds without a byte before a fetch fails.")
    source_deadline: float = Field(3600.0, gt=0, description="Seconds that a whole fetch may take.")

    etl_schedule: str | None = Field(None, description="Cron or @preset of song_properties_etl.")
    etl_dataset_url: str | None = Field(None, description="Dataset URL of scheduled runs.")

    work_dir: Path | None = Field(None, description="Folder for scratch files; the system's if unset.")
    memory_limit: str = Field("384MB", description="Memory that DuckDB may use before it spills to disk.")
    backfill_shard_rows: int = Field(
        50_000, ge=1, description="Rows of a shard when a whole history is written to the online store."
    )
    staging_days: int = Field(7, ge=1, description="Days that staged source files are kept.")
    quarantine_days: int = Field(90, ge=1, description="Days that refused files and reports are kept.")
    verify_sample: int = Field(200, ge=1, description="Keys that verify_online reads back.")
    lock_timeout: float = Field(600.0, gt=0, description="Seconds to wait for the feature store's lock.")

    @field_validator("storage_uri", "dvc_remote_uri")
    @classmethod
    def _no_trailing_slash(cls, value: str) -> str:
        return value.rstrip("/")


@lru_cache(maxsize=1)
def get_settings() -> Settings:
    """Return the process's settings, read from the environment once."""
    return Settings()
