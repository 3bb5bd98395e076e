"""
Every setting of the package: typed, with its default and its environment variable.

A setting ``x`` is read from the environment variable ``FEATURE_OPS_X``; lists are JSON.
Secrets are never settings: they live in Airflow connections.
"""

from __future__ import annotations

import json
import re
import sys
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import ByteSize, Field, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from feature_ops.sandbox.features import Feature

PROJECT_ROOT = Path(__file__).resolve().parents[2]
# A URL with a scheme and a host, without user name, password and spaces.
DATASET_URL = r"^[a-z][a-z0-9]*://[^\s/?#@]*([/?#]\S*)?$"


class Settings(BaseSettings):
    """What a deployment may change without touching code."""

    model_config = SettingsConfigDict(
        env_prefix="FEATURE_OPS_", frozen=True, extra="ignore", hide_input_in_errors=True
    )

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
    git_allowed_signers: Annotated[tuple[Path, ...], NoDecode] = Field(
        (),
        description="Allowed-signers file of SSH keys or GPG key ring, or a JSON list of such paths. If set, "
        "commits must be signed.",
    )
    git_signed_since: str | None = Field(
        None,
        pattern=r"^[0-9a-f]{40}$",
        description="Full hash of a commit that is trusted with its ancestors, signed or not.",
    )
    git_signing_key: Path | None = Field(
        None, description="SSH private key without a passphrase that signs the package's own commits."
    )
    git_timeout: float = Field(120.0, gt=0, description="Seconds that one git command may take.")
    git_commit_url: str | None = Field(
        None, description="Web address of a commit, with {commit}; the extra link of a task uses it."
    )
    git_file_url: str | None = Field(
        None, description="Web address of a file, with {commit} and {path}; links to DVC versions use it."
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

    retrain_on_new_data: bool = Field(
        False, description="Whether new data, too, make a new model; without it a training takes the newest."
    )
    alert_trigger: bool = Field(False, description="Whether alerts of Alertmanager may start trainings.")
    alert_dag: str = Field("continuous_training", description="DAG that an alert starts a run of.")
    alert_conn_id: str = Field(
        "alert_default", description="Airflow connection whose password is the token that alerts come with."
    )

    mlflow_tracking_uri: str | None = Field(None, description="Address of the MLflow server.")
    mlflow_url: str | None = Field(
        None, description="Web address of MLflow for people; the server's address if unset."
    )
    training_timeout: float = Field(3600.0, gt=0, description="Seconds that a training may take.")
    training_place: Literal["process", "pod"] = Field(
        "process", description="Where trainings run: a process on the worker, or a pod on Kubernetes."
    )
    training_python: str = Field(
        sys.executable, description="Interpreter of trainings that are processes, with the model's packages."
    )
    training_aws_conn_id: str | None = Field(
        None,
        description="Airflow connection of the object store for trainings that are processes: reads history "
        "and labels, writes results; aws_conn_id if unset.",
    )
    training_feast_conn_id: str | None = Field(
        None,
        description="Airflow connection of the feature store for trainings that are processes: reads only; "
        "feast_conn_id if unset.",
    )
    training_ports: tuple[int, ...] = Field(
        (), description="TCP ports that a training process may connect to in addition to those of the stores."
    )
    training_readable: tuple[Path, ...] = Field(
        (),
        description="Files and folders that a training process may read in addition, such as /dev/nvidia0.",
    )
    gate_log_loss_increase: float = Field(
        0.05, description="Most that a new model's log-loss may be above the champion's, interval included."
    )
    gate_recall_drop: float = Field(
        0.5, description="Most that the recall among the first five of any class may fall."
    )
    gate_top5_minimum: float = Field(
        0.05, description="Least share of held-out rows whose class is among the first five."
    )
    model_signing_key: Path | None = Field(
        None,
        description="Private key (PEM, elliptic curve, no passphrase) that signs registered model versions.",
    )
    test_service_url: str | None = Field(
        None, description="Address of the model service that follows the alias test."
    )
    production_service_url: str | None = Field(
        None, description="Address of the model service that follows the alias champion."
    )
    auto_approve: bool = Field(False, description="Whether a candidate goes to production without a person.")
    approval_timeout: float = Field(
        7 * 86400.0, gt=0, description="Seconds that a candidate waits for a person; then it is rejected."
    )
    approval_interval: float = Field(
        15.0, gt=0, description="Seconds between two looks whether a newer candidate takes over."
    )
    deploy_timeout: float = Field(
        120.0, gt=0, description="Seconds that the service may take to load a new version."
    )

    kubernetes_conn_id: str = Field(
        "kubernetes_default", description="Airflow connection of the cluster that trainings run on."
    )
    training_image: str | None = Field(
        None, description="Image of the model's code; {commit} in it becomes the commit that is trained."
    )
    training_namespace: str | None = Field(
        None, description="Namespace of the pods; the connection's, or Airflow's own, if unset."
    )
    training_service_account: str | None = Field(None, description="Service account of the pods.")
    training_secrets: tuple[str, ...] = Field(
        (), description="Kubernetes secrets whose entries become the training's environment."
    )
    training_environment: dict[str, str] = Field(
        {}, description="Further variables of the training's environment; no secrets."
    )
    training_pull_policy: Literal["Always", "IfNotPresent", "Never"] = Field(
        "IfNotPresent", description="When the image is pulled."
    )
    training_pull_secrets: tuple[str, ...] = Field(
        (), description="Kubernetes secrets that the image is pulled with."
    )
    training_cpu: str = Field(
        "1", pattern=r"^\d+(\.\d+)?m?$", description="CPUs that a pod asks for, such as 2 or 500m."
    )
    training_memory: ByteSize = Field(ByteSize(2 * 1024**3), description="Memory that a pod gets.")
    training_memory_max: ByteSize = Field(
        ByteSize(8 * 1024**3), description="Most that a pod gets after one that ran out of memory."
    )
    training_devices: dict[str, str] = Field(
        {}, description='Further resources of a pod, such as {"nvidia.com/gpu": "1"}.'
    )
    training_node_selector: dict[str, str] = Field({}, description="Labels that a pod's node must have.")
    training_tolerations: tuple[dict[str, Any], ...] = Field(
        (), description="Taints of nodes that a pod may run on, as in a manifest."
    )
    training_labels: dict[str, str] = Field({}, description="Further labels of the pods.")
    training_annotations: dict[str, str] = Field({}, description="Annotations of the pods.")
    training_start_timeout: int = Field(
        900, gt=0, description="Seconds that a pod may wait for a node, and then for its image."
    )
    training_log_interval: int = Field(
        15, gt=0, description="Seconds between two looks at what a pod has logged."
    )
    training_poll_interval: float = Field(5.0, gt=0, description="Seconds between two looks at a pod.")

    sandbox_required: tuple[Feature, ...] = Field(
        (),
        description="Protections of the sandbox without which nothing runs in it, such as "
        '["seccomp", "landlock"]; others that a machine lacks are logged.',
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

    parse_memory: ByteSize = Field(
        ByteSize(1024**3), description="Memory of the process that reads a source file."
    )
    parse_timeout: float = Field(1800.0, gt=0, description="Seconds that reading a source file may take.")

    etl_schedule: str | None = Field(None, description="Cron or @preset of a dataset's DAG.")
    etl_dataset_url: str | None = Field(None, description="Dataset URL of scheduled runs.")
    etl_example_url: str | None = Field(
        None, description="Dataset URL that the trigger form offers as its first example."
    )
    check_schedule: str | None = Field(
        "@daily", description="Cron or @preset of the DAG that compares a dataset's copies."
    )

    drift_schedule: str | None = Field(
        "@hourly", description="Cron or @preset of the DAG that records drift; None to run it manually."
    )

    data_old_after: float = Field(
        86400.0, gt=0, description="Seconds without a load after which the page calls a view's data old."
    )

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

    @field_validator("git_allowed_signers", mode="before")
    @classmethod
    def _paths(cls, value: Any) -> Any:
        """Read a single path, or a JSON list."""
        if isinstance(value, str):
            return json.loads(value) if value.lstrip().startswith("[") else [value] if value else []
        return value

    @field_validator("git_signed_since", "git_signing_key", "model_signing_key", mode="before")
    @classmethod
    def _empty_is_unset(cls, value: Any) -> Any:
        return value or None

    @field_validator("etl_dataset_url", "etl_example_url")
    @classmethod
    def _dataset_url(cls, value: str | None) -> str | None:
        # Names of files may have spaces, which a form does not take.
        if value and not re.search(DATASET_URL, value.replace(" ", "%20")):
            raise ValueError(
                "it must look like https://host/file.parquet or s3://bucket/file.parquet, without user name "
                "and password"
            )
        return value or None

    @property
    def mlflow_page(self) -> str | None:
        """Web address of MLflow for people, without a slash at its end; None if there is none."""
        address = self.mlflow_url or self.mlflow_tracking_uri or ""
        return address.rstrip("/") if address.startswith("http") else None


@lru_cache(maxsize=1)
def get_settings() -> Settings:
    """Return the process's settings, read from the environment once."""
    return Settings()
