"""What a load did not bring online, while everything else was loaded."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from feature_ops.exceptions import BadInputError, FeatureOpsError

if TYPE_CHECKING:
    from feast import FeatureView

    from feature_ops.datasets.dataset import Dataset

_SHOWN = 3


@dataclass
class LoadFailures:
    """
    Views and files that could not be loaded; loads add to it.

    :param views: the error of each view, by its name.
    :param files: the error of each file of the history that cannot be read, by its name.
    """

    views: dict[str, Exception] = field(default_factory=dict)
    files: dict[str, BadInputError] = field(default_factory=dict)

    @property
    def errors(self) -> list[Exception]:
        """All errors, those of files first."""
        return [*self.files.values(), *self.views.values()]

    def explain(self, error: Exception) -> bool:
        """Whether an error is the one that a load without any success ends with."""
        return bool(self.errors) and str(error) == str(self.error())

    def error(self, loaded: Sequence[str] = ()) -> Exception:
        """
        Return the error that a task ends with.

        :param loaded: names of the views that were loaded.
        """
        return combined(self.errors, loaded, sorted(self.views))

    def facts(self) -> list[dict[str, str]]:
        """Return the views as plain JSON, for the page in Airflow."""
        return [{"view": name, "reason": line_of(error)} for name, error in sorted(self.views.items())]


def combined(errors: Sequence[Exception], loaded: Sequence[str], failed: Sequence[str] = ()) -> Exception:
    """
    Return one error for several; a :class:`BadInputError` if a retry cannot help any of them.

    :param loaded: names of the views that were loaded.
    :param failed: names of those that were not.
    """
    if len(errors) == 1 and not loaded:
        return errors[0]
    lines = list(dict.fromkeys(map(line_of, errors)))
    line = "; ".join(lines[:_SHOWN])
    if len(lines) > _SHOWN:
        line += f"; and {len(lines) - _SHOWN:,} more problems, see the log"
    if failed:
        line += f". Not loaded: {', '.join(failed)}"
    if loaded:
        line += f". Loaded: {', '.join(loaded)}"
    is_bad_input = all(isinstance(error, BadInputError) for error in errors)
    return BadInputError(line) if is_bad_input else FeatureOpsError(line)


def line_of(error: Exception) -> str:
    """Return an error as one line without what only the log may show."""
    if isinstance(error, FeatureOpsError):
        return str(error)
    # Not its text: what a library reports may hold a secret, which only the log masks.
    return f"failed with {type(error).__name__}: see the log"


def explained(error: Exception, view: FeatureView, dataset: Dataset) -> Exception:
    """
    Return the error of a view's load as one that names the view and the remedy, where the cause is known.

    :param dataset: whose history the view reads.
    """
    from feature_ops.feast.engine.checks import UnloadableRowsError
    from feature_ops.feast.loadable import ReadColumns, conversion_problems, is_computed

    if isinstance(error, FeatureOpsError):
        return error
    if isinstance(error, UnloadableRowsError):
        return BadInputError(
            f"{view.name}: {error}. Nothing of the view was written: take the join key out of the view, or "
            "give the feature a type that fits, and push; if no step has written the file, remove it from "
            f"{dataset.uri} and run the DAG again"
        )
    problems = [] if is_computed(view) else list(conversion_problems(ReadColumns.of_view(view), dataset))
    return BadInputError("; ".join(problems)) if problems else error
