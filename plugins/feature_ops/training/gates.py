"""Whether a trained model may answer requests: pure decisions over what the training measured."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from feature_ops.training.regression import AcceptedRegression
from feature_ops.training.result import TrainingResult


@dataclass(frozen=True)
class Gates:
    """
    How much worse than the champion a challenger may be.

    :param log_loss_increase: most that its log-loss may be higher, at the upper end of the interval.
    :param recall_drop: most that the recall among the first five of any class may be lower.
    :param top5_minimum: least share of held-out rows whose class is among the first five.
    """

    log_loss_increase: float
    recall_drop: float
    top5_minimum: float


@dataclass(frozen=True)
class Judgement:
    """
    Whether a model is accepted, with its numbers.

    :param reasons: why it is refused; empty if it is accepted.
    :param waived: gates that it does not pass and that an accepted regression waives.
    :param only_worse: whether it is refused for being worse than the champion, and for nothing else.
    :param summary: one line for people.
    """

    reasons: tuple[str, ...]
    summary: str
    waived: tuple[str, ...] = ()
    only_worse: bool = False

    @property
    def accepted(self) -> bool:
        """Whether the model may go on."""
        return not self.reasons


def judge(
    result: TrainingResult,
    gates: Gates,
    regression: AcceptedRegression | None = None,
    not_compared: str = "no champion to compare with",
) -> Judgement:
    """
    Compare the challenger with the champion, or with the least that a first model must reach.

    :param regression: waives the gates that compare with the champion; absolute gates always hold.
    :param not_compared: what is reported of a model that was not compared.
    """
    absolute, worse = tuple(_absolute(result, gates)), tuple(_worse(result, gates))
    numbers = _numbers(result, not_compared)
    waived = worse if regression else ()
    refused = (*absolute, *(() if regression else worse))
    if refused:
        summary = f"refused: {'; '.join(refused)} ({numbers})"
        return Judgement(refused, summary, only_worse=not absolute)
    if regression and waived:
        why = f"{regression.text}): {'; '.join(waived)}"
        return Judgement((), f"accepted although worse than the champion ({why} ({numbers})", waived)
    return Judgement((), f"accepted: {numbers}")


def _absolute(result: TrainingResult, gates: Gates) -> Iterator[str]:
    top5 = result.metrics.get("top5", 0.0)
    # Written so that not-a-number passes no gate.
    if not top5 >= gates.top5_minimum:
        yield f"top-5 is {top5:.3f}, below {gates.top5_minimum:g}"


def _worse(result: TrainingResult, gates: Gates) -> Iterator[str]:
    loss = (result.comparison or {}).get("log_loss")
    if loss is not None and not loss.high <= gates.log_loss_increase:
        limit = gates.log_loss_increase
        yield f"log-loss may be {loss.high:.3f} higher than the champion's, more than {limit:g}"
    worst = result.countries.get("worst")
    if worst is not None and worst.champion_recall5 is not None:
        drop = worst.champion_recall5 - worst.recall5
        if not drop <= gates.recall_drop:
            yield (
                f"recall of {worst.country} fell from {worst.champion_recall5:.2f} to {worst.recall5:.2f}, "
                f"by more than {gates.recall_drop:g}"
            )


def _numbers(result: TrainingResult, not_compared: str) -> str:
    metrics = result.metrics
    told = (
        f"top-1 {metrics.get('top1', 0):.3f}, top-5 {metrics.get('top5', 0):.3f}, "
        f"log-loss {metrics.get('log_loss', 0):.3f} on {result.rows.get('test', 0):,} rows"
    )
    if result.champion is None:
        return f"{told}; {not_compared}"
    loss = (result.comparison or {}).get("log_loss")
    if loss is None:
        return told
    return (
        f"{told}; log-loss {loss.difference:+.4f} to champion v{result.champion.version} "
        f"(95 %: {loss.low:+.4f} to {loss.high:+.4f})"
    )
