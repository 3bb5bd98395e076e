"""Restore the files that git points to and a history lacks, before a step reads the whole history."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path

from airflow.sdk.exceptions import AirflowNotFoundException

from feature_ops.datasets.dataset import Dataset
from feature_ops.dvc.copies import data_files, read_copies
from feature_ops.dvc.pointers import pointed_files
from feature_ops.dvc.repair import Repair
from feature_ops.git.hook import GitRepositoryHook
from feature_ops.object_store import ObjectStore
from feature_ops.settings import get_settings

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Completion:
    """
    What became of the files that a history lacked.

    :param restored: files that were put back.
    :param missing: files that git points to and the history still lacks.
    :param problems: why, and the remedy, one line per file.
    """

    restored: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()
    problems: tuple[str, ...] = ()


def complete_history(
    dataset: Dataset, store: ObjectStore, folder: Path, repo_url: str = "", *, compare_sizes: bool = False
) -> Completion:
    """
    Restore the files that git points to and the history lacks.

    Rows of a file that the history lacks would count as new, and be there twice once it is restored.

    :param folder: a scratch folder.
    :param repo_url: another repository than the git connection's, on the same server.
    :param compare_sizes: read the pointers, too, and count a file of another size as missing.
    """
    settings = get_settings()
    try:
        hook = GitRepositoryHook(settings.git_conn_id, repo_url)
    except AirflowNotFoundException:
        log.info("There is no connection %s: the history is not compared with git", settings.git_conn_id)
        return Completion()
    with hook.repository(folder / "git") as repository:
        repository.fetch()
        names, _ = pointed_files(repository.names(dataset.pointer_folder))
        if not names:
            return Completion()
        # Accepted files are read with the history.
        there = data_files(store, dataset.accepted_uri).keys() | data_files(store, dataset.uri).keys()
        if names <= there and not compare_sizes:
            return Completion()
        copies = read_copies(dataset, repository, store, settings.dvc_remote_uri)
        repair = Repair(store, dataset, folder)
        restored = repair.restore_history(copies)
        repair.report(copies, repository)
    missing = tuple(name for name in copies.missing_in_history if name not in repair.in_history)
    return Completion(tuple(restored), missing, tuple(repair.problems))
