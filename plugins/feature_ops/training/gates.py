"""Whether a trained model may answer requests: pure decisions over what the training measured."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from feature_ops.settings import Settings
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

    @classmethod
    def of(cls, settings: Settings) -> Gates:
        """Return the gates of the settings."""
        return cls(settings.gate_log_loss_increase, settings.gate_recall_drop, settings.gate_top5_minimum)


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


@dataclass(frozen=True)
class Check:
    """
    One gate applied to one training.

    :param name: for users.
    :param limit: of the settings.
    :param measured: what the training measured.
    :param reason: why the model is refused, for one that does not pass.
    :param compares: whether the gate compares with the champion, so that an accepted regression waives it.
    :param of_class: the class that was measured; empty for all. It was written by untrusted code.
    """

    name: str
    limit: str
    measured: str
    passed: bool
    reason: str
    compares: bool
    of_class: str = ""


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
    failed = [check for check in checks(result, gates) if not check.passed]
    absolute = tuple(check.reason for check in failed if not check.compares)
    worse = tuple(check.reason for check in failed if check.compares)
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


def checks(result: TrainingResult, gates: Gates) -> Iterator[Check]:
    """Apply each gate that the training has measurements for; not-a-number passes none."""
    top5 = result.metrics.get("top5", 0.0)
    yield Check(
        "Minimum top-5 accuracy",
        f"{100 * gates.top5_minimum:g} %",
        f"{100 * top5:.2f} %",
        top5 >= gates.top5_minimum,
        f"top-5 is {top5:.3f}, below {gates.top5_minimum:g}",
        compares=False,
    )
    loss = (result.comparison or {}).get("log_loss")
    if loss is not None:
        yield Check(
            "Maximum increase of log-loss (upper end of the confidence interval)",
            f"{gates.log_loss_increase:g}",
            f"{loss.high:+.4f}".replace("-", "−"),
            loss.high <= gates.log_loss_increase,
            f"log-loss may be {loss.high:.3f} higher than the champion's, "
            f"more than {gates.log_loss_increase:g}",
            compares=True,
        )
    worst = result.countries.get("worst")
    if worst is not None and worst.champion_recall5 is not None:
        before, after = worst.champion_recall5, worst.recall5
        yield Check(
            "Maximum drop of one class's top-5 recall",
            f"{100 * gates.recall_drop:g} pp",
            f"{100 * before:.1f} % → {100 * after:.1f} %",
            before - after <= gates.recall_drop,
            f"recall of {worst.country} fell from {before:.2f} to {after:.2f}, "
            f"by more than {gates.recall_drop:g}",
            compares=True,
            of_class=worst.country,
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
