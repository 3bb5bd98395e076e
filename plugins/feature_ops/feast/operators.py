"""The last two steps of a dataset's DAG: load what is new into the online store, and read it back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from airflow.sdk import Asset, Context

from feature_ops.commit_points import CommitPoint, passing
from feature_ops.datasets.dataset import Dataset
from feature_ops.exceptions import NothingPendingError
from feature_ops.feast.load_failures import LoadFailures, combined
from feature_ops.operator import Outcome, ReconcilingOperator
from feature_ops.settings import get_settings
from feature_ops.upstream import Needs

if TYPE_CHECKING:
    from feast import FeatureStore

    from feature_ops.feast.ledger import Ledger
    from feature_ops.feast.materialize import Materialization

# Airflow lists the keys by name: the summary comes first.
_DONE = "written"
# Features that are named in a summary.
_SHOWN = 3


class MaterializeIncrementalOperator(ReconcilingOperator):
    """
    Load the files that are not online yet into every feature view that reads the dataset.

    A view that cannot be loaded does not keep the others from being loaded; the step fails at its end.
    Its asset outlets get an event that says what was loaded; there is none when nothing was.

    :param dataset: whose history is loaded.
    :param versioned: facts of the step that versioned the dataset; its commit is passed on. (templated)
    :param uploaded: result of the :class:`~feature_ops.dvc.operators.UploadToS3Operator`. (templated)
    :param full_refresh: load the newest row of every key again. (templated)
    """

    template_fields: Sequence[str] = ("versioned", "uploaded", "full_refresh")
    needs: ClassVar[Mapping[str, Needs]] = {
        "versioned": Needs(nullable=("commit",), optional=True),
        "uploaded": Needs(optional=True),
    }

    def __init__(
        self,
        *,
        dataset: Dataset,
        versioned: Any = None,
        uploaded: Any = None,
        full_refresh: bool | str = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.dataset = dataset
        self.versioned: Mapping[str, Any] | None = versioned
        self.uploaded: Mapping[str, Any] | None = uploaded
        self.full_refresh = full_refresh
        self._opened: tuple[FeatureStore, Ledger] | None = None
        self._failures = LoadFailures()

    def reconcile(self, context: Context) -> Outcome:
        """Load what is missing under the lock, and note it in the ledger."""
        from feature_ops.feast.backfill_progress import BackfillProgress
        from feature_ops.feast.history import History
        from feature_ops.feast.hook import FeastHook
        from feature_ops.feast.ledger import Ledger
        from feature_ops.feast.materialize import Materializer, summary

        hook = FeastHook()
        ledger = Ledger(hook.registry_url())
        # Feast is imported before the lock is taken, as that takes seconds.
        store = hook.store()
        self._opened = store, ledger
        run_id = context["dag_run"].run_id
        with hook.lock():
            history = History.from_store(self.dataset, hook.object_store)
            progress = BackfillProgress(hook.registry_url())
            materializer = Materializer(
                store, ledger, progress, history, self.dataset.uri, run_id, self._failures
            )
            try:
                done = materializer.load(full_refresh=_is_true(self.full_refresh))
            except NothingPendingError:
                earlier = self._earlier_try(context, ledger, hook.project(), run_id)
                if earlier is None:
                    raise
                self._announce(context, earlier.facts)
                return earlier
            if self._failures.errors:
                materializer.record(done)
                raise self._failures.error(done.views)
            outcome = Outcome(summary(done), self._facts(done))
            # Kept before the ledger: a try that dies in between is repeated, one that dies after it
            # has this to tell.
            with passing(CommitPoint.RESULT_KEPT):
                context["task_state_store"].set(_DONE, {"summary": outcome.summary, "facts": outcome.facts})
            materializer.record(done)
        self._announce(context, outcome.facts)
        return outcome

    def status(self, outcome: Outcome | None) -> Mapping[str, Any]:
        """What was loaded, and the dataset's views as they are now."""
        from feature_ops.ui.views import load_point

        told = _views_status(outcome, self._opened, [self.dataset], self._failures)
        return {**told, "point": load_point(self.dataset.name, told)}

    def _facts(self, done: Materialization) -> dict[str, Any]:
        return {
            "files": done.file_names,
            "views": done.views,
            "rows": done.rows,
            "window": [done.start.isoformat(), done.end.isoformat()],
            "seconds": done.seconds,
            "commit": (self.versioned or {}).get("commit"),
        }

    def _earlier_try(self, context: Context, ledger: Ledger, project: str, run_id: str) -> Outcome | None:
        """Return what an earlier try of this run did if it died after its work was complete."""
        kept: Any = context["task_state_store"].get(_DONE)
        if not kept:
            return None
        facts = kept["facts"]
        online = [ledger.online(project, view) for view in facts["views"]]
        ours = {file.name for files in online for file in files.values() if file.run_id == run_id}
        if not ours.issuperset(facts["files"]):
            return None
        self.log.info("An earlier try of this run loaded it: repeating its result")
        return Outcome(kept["summary"], facts)

    def _announce(self, context: Context, facts: Mapping[str, Any]) -> None:
        for asset in self.outlets:
            if isinstance(asset, Asset):
                with passing(CommitPoint.EVENT_ANNOUNCED):
                    context["outlet_events"][asset].extra = {
                        "version": facts["commit"] or facts["files"][-1],
                        **{name: facts[name] for name in ("rows", "window", "seconds", "commit", "views")},
                    }


class BackfillOperator(ReconcilingOperator):
    """
    Write the whole history of every view whose definition has something that its rows online lack.

    A new feature, another type or another join key; a mere removal backfills nothing. What is online stays
    served until its replacement is there, and a killed backfill goes on where it was. A view or a dataset
    that cannot be loaded does not keep the others from being loaded; the step fails at its end.

    :param datasets: whose views are looked at.
    :param applied: result of the :class:`~feature_ops.feast.definition_operators.ApplyOperator`. (templated)
    """

    template_fields: Sequence[str] = ("applied",)
    needs: ClassVar[Mapping[str, Needs]] = {"applied": Needs(("commit",), optional=True)}

    def __init__(self, *, datasets: Sequence[Dataset], applied: Any = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.datasets = datasets
        self.applied: Mapping[str, Any] | None = applied
        self._opened: tuple[FeatureStore, Ledger] | None = None
        self._failures = LoadFailures()

    def reconcile(self, context: Context) -> Outcome:
        """Write under the lock, dataset by dataset, and note each in the ledger when it is done."""
        from feature_ops.feast.backfill_progress import BackfillProgress
        from feature_ops.feast.history import History
        from feature_ops.feast.hook import FeastHook
        from feature_ops.feast.ledger import Ledger
        from feature_ops.feast.materialize import Materializer, summary

        hook = FeastHook()
        ledger, progress = Ledger(hook.registry_url()), BackfillProgress(hook.registry_url())
        store = hook.store()
        self._opened = store, ledger
        run_id = context["dag_run"].run_id
        finished, idle = [], []
        errors: list[Exception] = []
        for dataset in self.datasets:
            with hook.lock():
                history = History.from_store(dataset, hook.object_store)
                materializer = Materializer(
                    *(store, ledger, progress, history, dataset.uri, run_id), failures=LoadFailures()
                )
                try:
                    done = materializer.backfill()
                except NothingPendingError as nothing:
                    idle.append(str(nothing))
                except Exception as error:
                    # The other datasets are loaded all the same.
                    errors += [] if materializer.failures.explain(error) else [error]
                else:
                    materializer.record(done)
                    finished.append(done)
            errors += materializer.failures.errors
            self._failures.views.update(materializer.failures.views)
        if errors:
            loaded = [view for done in finished for view in done.views]
            raise combined(errors, loaded, sorted(self._failures.views))
        if not finished:
            raise NothingPendingError("; ".join(idle))
        return Outcome(
            "; ".join(summary(done) for done in finished),
            {
                "views": [view for done in finished for view in done.views],
                "rows": sum(done.rows for done in finished),
                "seconds": round(sum(done.seconds for done in finished), 3),
            },
        )

    def status(self, outcome: Outcome | None) -> Mapping[str, Any]:
        """What was written, and the datasets' views as they are now."""
        return _views_status(outcome, self._opened, self.datasets, self._failures)


class VerifyOnlineOperator(ReconcilingOperator):
    """
    Read a sample of what was loaded back through the feature service and compare it with the history.

    :param dataset: whose features are read.
    :param materialized: facts of the :class:`MaterializeIncrementalOperator`. (templated)
    """

    template_fields: Sequence[str] = ("materialized",)
    needs: ClassVar[Mapping[str, Needs]] = {"materialized": Needs(("files",))}

    def __init__(self, *, dataset: Dataset, materialized: Any, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.dataset = dataset
        self.materialized: Mapping[str, Any] = materialized

    def reconcile(self, context: Context) -> Outcome:
        """Compare under the lock, so that no other task writes meanwhile."""
        from feature_ops.feast.history import History
        from feature_ops.feast.hook import FeastHook
        from feature_ops.feast.ledger import Ledger
        from feature_ops.feast.verify import Verifier

        hook = FeastHook()
        store = hook.store()
        with hook.lock():
            history = History.from_store(self.dataset, hook.object_store)
            verifier = Verifier(store, Ledger(hook.registry_url()), history, self.dataset.uri)
            with history.reading():
                keys, features = verifier.verify(self.materialized["files"], get_settings().verify_sample)
            unchecked = verifier.unchecked()
        for feature in unchecked:
            self.log.warning("Not compared: %s", feature)
        return Outcome(
            f"{keys:,} key{'' if keys == 1 else 's'} with {features} features read back: as in the history"
            f"{_not_compared(unchecked)}",
            {"keys": keys, "features": features, "unchecked": unchecked},
        )

    def status(self, outcome: Outcome | None) -> Mapping[str, Any]:
        """What was compared, and which features were not (``unchecked``)."""
        return {"verified": self.dataset.name, **(outcome.facts if outcome else {})}


def _not_compared(features: Sequence[str]) -> str:
    if not features:
        return ""
    more = f" and {len(features) - _SHOWN} more" if len(features) > _SHOWN else ""
    return f"; not compared: {', '.join(features[:_SHOWN])}{more}"


def _views_status(
    outcome: Outcome | None,
    opened: tuple[FeatureStore, Ledger] | None,
    datasets: Sequence[Dataset],
    failures: LoadFailures,
) -> Mapping[str, Any]:
    """Return what the page in Airflow shows, also where nothing was to be loaded: definitions may be new."""
    from feature_ops.ui.views import store_now

    told: dict[str, Any] = {
        "datasets": [dataset.name for dataset in datasets],
        "failed_views": failures.facts(),
    }
    if outcome:
        shown = ("rows", "seconds", "window", "views", "failed_views")
        told |= {name: outcome.facts[name] for name in shown if name in outcome.facts}
    if opened:
        try:
            told |= store_now(*opened, datasets)
        except Exception:
            # What has failed a step may fail this, too; that it failed is to be told all the same.
            if outcome:
                raise
    return told


def _is_true(value: bool | str) -> bool:
    """Return what a form's field says: a template makes its boolean a text."""
    return value if isinstance(value, bool) else value.strip().lower() in ("true", "1", "yes", "on")
