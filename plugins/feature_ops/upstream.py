"""
Results of upstream tasks: checked before a task starts.

An upstream task may have no result although Airflow runs the task after it: users marked it as successful,
failed or skipped, or its result was deleted. Airflow then renders the argument as None.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from airflow.sdk import Context, XComArg

from feature_ops.exceptions import MissingResultError

_SKIPPED = "skipped"


@dataclass(frozen=True)
class Needs:
    """
    What a task reads from the result of an upstream task.

    :param fields: fields that must have a value.
    :param nullable: fields that must exist and may be null or empty.
    :param optional: the DAG file may leave the argument out.
    :param skippable: the result may be that the upstream task found nothing to do.
    """

    fields: tuple[str, ...] = ()
    nullable: tuple[str, ...] = ()
    optional: bool = False
    skippable: bool = False

    def problem(self, result: Any) -> str | None:
        """Return what is wrong with a result, None if it is complete."""
        if isinstance(result, Sequence) and not isinstance(result, str) and len(result):
            # The results of a mapped task.
            return next((problem for one in result if (problem := self.problem(one))), None)
        if not isinstance(result, Mapping) or not result:
            return "has none"
        if was_skipped(result):
            return None if self.skippable else f"was skipped ({result[_SKIPPED]})"
        empty = [name for name in self.fields if result.get(name) in (None, "")]
        lacking = [*empty, *(name for name in self.nullable if name not in result)]
        return f"lacks {', '.join(lacking)}" if lacking else None


class ReadsResults:
    """
    Mixin of operators that read the results of upstream tasks.

    A subclass declares in :attr:`needs` which of its arguments are such results. Each belongs to
    ``template_fields`` as well, or Airflow does not fill it in.
    """

    needs: ClassVar[Mapping[str, Needs]] = {}

    def __setattr__(self, name: str, value: Any) -> None:
        """Remember which tasks an argument comes from; rendering replaces it by their results."""
        super().__setattr__(name, value)
        if name in type(self).needs:
            tasks = tuple(task.task_id for task, _ in XComArg.iter_xcom_references(value))
            if tasks:
                self.__dict__.setdefault("_producers", {})[name] = tasks

    def producers(self, name: str) -> tuple[str, ...]:
        """Return the ids of the tasks whose result an argument is, as the DAG file declares it."""
        found: tuple[str, ...] = self.__dict__.get("_producers", {}).get(name, ())
        return found

    def named(self, name: str) -> str:
        """Return the tasks whose result an argument is, for a message."""
        tasks = " and ".join(f"`{task}`" for task in self.producers(name))
        return tasks or f"the task that makes {name!r}"

    def needed(self) -> Mapping[str, Needs]:
        """Return what this run of the task needs: all that is declared, unless a subclass knows better."""
        return self.needs

    def missing_result(self) -> str | None:
        """Return what is wrong with the first result that is missing or incomplete, None if all are there."""
        lines = (self._missing(name, needs) for name, needs in self.needed().items())
        return next((line for line in lines if line), None)

    def require_results(self) -> None:
        """
        Check that every result exists that the task needs.

        :raises MissingResultError: names the task to clear, which clears what follows it as well.
        """
        missing = self.missing_result()
        if missing:
            raise MissingResultError(missing)

    def first_task(self) -> str:
        """Return the task in which the chain of results begins: the one to clear for a new comparison."""
        task: Any = self
        while producers := _producers_of(task):
            dag = task.get_dag()
            if dag is None:
                return f"`{producers[0]}`"
            task = dag.get_task(producers[0])
        return "the first task" if task is self else f"`{task.task_id}`"

    def _missing(self, name: str, needs: Needs) -> str | None:
        result = getattr(self, name)
        if needs.optional and result is None and not self.producers(name):
            return None
        problem = needs.problem(result)
        if problem is None:
            return None
        me, tasks = f"`{getattr(self, 'task_id', '')}`", self.named(name)
        return (
            f"{me} needs the result of {tasks}, which {problem}: clear {tasks} and the tasks after it. "
            "Nothing was changed"
        )


def was_skipped(result: Any) -> bool:
    """Return whether a result says that its task found nothing to do."""
    return isinstance(result, Mapping) and _SKIPPED in result


def leave_skipped(context: Context, reason: str) -> None:
    """Leave the reason as the result of a task that skips itself: one that never ran leaves none."""
    task_instance: Any = context.get("ti")
    if task_instance is not None:
        task_instance.xcom_push(key="return_value", value={_SKIPPED: reason})


def _producers_of(task: Any) -> tuple[str, ...]:
    if not isinstance(task, ReadsResults):
        return ()
    return next((tasks for name in task.needs if (tasks := task.producers(name))), ())
