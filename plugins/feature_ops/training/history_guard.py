"""Complete the history before a training reads it; an incomplete one keeps the training from starting."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from feature_ops.exceptions import BadInputError
from feature_ops.feast.diff.kinds import FEATURE_SERVICE, VIEWS
from feature_ops.feast.diff.reading import objects_read

if TYPE_CHECKING:
    from feature_ops.datasets.dataset import Dataset
    from feature_ops.feast.diff.definitions import Definitions
    from feature_ops.object_store import ObjectStore

_SHOWN = 3


def complete_history_of(
    service: str, definitions: Definitions, datasets: Iterable[Dataset], store: ObjectStore, folder: Path
) -> bool:
    """
    Restore the files of the datasets that a feature service reads; returns whether a file was restored.

    :param folder: a scratch folder.
    :raises BadInputError: a file is in no place, or its copy in the history has another size.
    """
    from feature_ops.dvc.complete_history import complete_history

    read, restored = _sources_read(definitions, service), False
    for dataset in datasets:
        if dataset.uri.rstrip("/") not in read:
            continue
        done = complete_history(dataset, store, folder / dataset.name, compare_sizes=True)
        if done.missing:
            names = ", ".join(done.missing[:_SHOWN])
            more = f" and {len(done.missing) - _SHOWN:,} more" if len(done.missing) > _SHOWN else ""
            raise BadInputError(
                f"not trained: the history of {dataset.name} lacks {names}{more}. "
                f"{'; '.join(done.problems[:_SHOWN])}"
            )
        restored = restored or bool(done.restored)
    return restored


def _sources_read(definitions: Definitions, service: str) -> set[str]:
    """Return the paths of the sources that a feature service reads."""
    services = definitions.of_kind(FEATURE_SERVICE)
    views = [key for key in objects_read(definitions.objects, services[service]) if key[0] in VIEWS]
    sources = [definitions.of_kind(kind)[name].get("batch_source", {}) for kind, name in views]
    return {str(source.get("file_options", {}).get("uri", "")).rstrip("/") for source in sources}
