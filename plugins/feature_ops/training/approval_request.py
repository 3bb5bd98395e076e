"""The approval request: what an approver reads before a model goes to production, as markdown."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from feature_ops.training.comparison import ComparedMetric, Significance, compare, same_rows
from feature_ops.training.gates import Check, Gates, checks
from feature_ops.training.markdown import code, link, table
from feature_ops.training.model_registry import ModelVersion
from feature_ops.training.result import TrainingResult

if TYPE_CHECKING:
    from feature_ops.git.commit_info import CommitInfo
    from feature_ops.training.declaration import Model

_HASH = re.compile(r"[0-9a-f]{7,64}")
_NONE = "–"
_INTERVAL = "95 % confidence interval"
# The difference of two percentages is in percentage points.
_POINTS = " pp"


@dataclass(frozen=True)
class Scored:
    """A version with its metrics on the rows that its training held out."""

    version: ModelVersion
    metrics: Mapping[str, float]


@dataclass(frozen=True)
class Links:
    """
    Web addresses; None where there is none.

    :param commit: with ``{commit}``.
    :param run: of the training in MLflow, which also shows the data version as its dataset.
    :param version: of the candidate in MLflow's model registry.
    :param service: the page of the test service, if the candidate is deployed there.
    """

    commit: str | None = None
    run: str | None = None
    version: str | None = None
    service: str | None = None


@dataclass(frozen=True)
class ApprovalRequest:
    """
    All that the request is made of.

    Texts of the commit and of the training are untrusted: they are shown as code spans.

    :param champion: the version in production; None if there is none.
    :param result: of the candidate's training; None if it is missing.
    :param gates: the limits of today's settings.
    :param commit: author and subject of the candidate's commit; None if they could not be read.
    :param missing_champion: why there is no champion although one existed; None if that is not so.
    """

    model: Model
    candidate: Scored
    champion: Scored | None
    result: TrainingResult | None
    gates: Gates
    links: Links
    commit: CommitInfo | None = None
    missing_champion: str | None = None

    @property
    def subject(self) -> str:
        """The headline, plain text."""
        replaces = f" (replaces v{self.champion.version.version})" if self.champion else ""
        return f"Promote {self._name} to production{replaces}?"

    @property
    def body(self) -> str:
        """The request, as markdown; its first line says whether the candidate is significantly worse."""
        parts = (
            self._summary(),
            self._regression(),
            self._metrics(),
            self._gates(),
            self._features(),
            self._links(),
        )
        return "\n\n".join(part for part in parts if part)

    @property
    def reason_required(self) -> bool:
        """Whether the candidate is approved with a reason only."""
        return bool(self._with(Significance.WORSE) or self.candidate.version.accepted_regression)

    @property
    def _name(self) -> str:
        return f"{self.model.name} v{self.candidate.version.version}"

    @cached_property
    def _compared(self) -> list[ComparedMetric]:
        champion = self.champion
        return compare(
            self.model.metrics,
            self.candidate.metrics,
            champion.metrics if champion else {},
            self.result,
            champion.version.version if champion else None,
        )

    @cached_property
    def _checks(self) -> list[Check]:
        return list(checks(self.result, self.gates)) if self.result else []

    def _with(self, significance: Significance) -> list[ComparedMetric]:
        return [one for one in self._compared if one.significance is significance]

    def _summary(self) -> str:
        failed = [check.name for check in self._checks if not check.passed]
        sentences = [self._significance()]
        if failed:
            sentences.append(f"**Not within the gates: {'; '.join(failed)}.**")
        return " ".join(sentences)

    def _significance(self) -> str:
        if self.missing_champion:
            return f"**{self._name} is compared with no version**: {self.missing_champion}."
        if self.champion is None:
            return f"No version is in production yet, so {self._name} is compared with none."
        than = f"v{self.champion.version.version}"
        if not same_rows(self.result, self.champion.version.version):
            return self._not_compared(than)
        worse, better = self._with(Significance.WORSE), self._with(Significance.BETTER)
        also = f" Significantly better: {_listed(better)}." if better else ""
        if worse:
            return f"**Warning: {self._name} is significantly worse than {than}: {_listed(worse)}.**{also}"
        if better:
            return f"{self._name} is significantly better than {than}: {_listed(better)}."
        different = self._with(Significance.DIFFERENT)
        if different:
            return f"{self._name} differs significantly from {than}: {_listed(different)}."
        if self._with(Significance.SAME):
            return f"No significant difference between {self._name} and {than}."
        return f"The training of {self._name} estimated no confidence interval of its difference to {than}."

    def _not_compared(self, than: str) -> str:
        measured = self.result.champion if self.result else None
        why = (
            f"its training compared it with {code('v' + measured.version)}, the champion of that time"
            if measured
            else "the result of its training has no comparison"
        )
        return (
            f"**{self._name} was not compared with {than}**: {why}. To compare it, trigger the training with "
            "*Force training*."
        )

    def _regression(self) -> str:
        """Return that a reason is required, and for which reason the training's regression was accepted."""
        accepted = self.candidate.version.accepted_regression
        told = f"**Regression accepted**: {code(accepted.text)}. " if accepted else ""
        return f"{told}A reason is required to approve." if self.reason_required else ""

    def _metrics(self) -> str:
        if not self._compared:
            return ""
        candidate = f"v{self.candidate.version.version} (candidate)"
        if self.champion is None:
            rows = [[_title(one), _value(one, one.candidate)] for one in self._compared]
            return f"### Metrics\n\n{table(['Metric', candidate], rows, right=[1])}"
        production = f"v{self.champion.version.version} (production)"
        if not same_rows(self.result, self.champion.version.version):
            rows = [
                [_title(one), _value(one, one.champion), _value(one, one.candidate)] for one in self._compared
            ]
            found = table(["Metric", production, candidate], rows, right=[1, 2])
            return f"### Metrics\n\nEach version on its own held-out rows:\n\n{found}"
        rows = [
            [
                _title(one),
                _value(one, one.champion),
                _value(one, one.candidate),
                _difference(one, one.difference),
                _interval(one),
                _significance_cell(one),
            ]
            for one in self._compared
        ]
        titles = ["Metric", production, candidate, "Difference", _INTERVAL, "Result"]
        found = table(titles, rows, right=[1, 2, 3, 4])
        note = "\n\npp: percentage points." if _POINTS in found else ""
        return f"### Metrics\n\nOn the same held-out rows:\n\n{found}{note}"

    def _gates(self) -> str:
        if not self._checks:
            return ""
        rows = [
            [check.name, check.limit, _measured(check), "passed" if check.passed else "**not met**"]
            for check in self._checks
        ]
        return f"### Gates\n\n{table(['Gate', 'Limit', 'Measured', 'Result'], rows, right=[1])}"

    def _features(self) -> str:
        new = self.candidate.version.features
        if self.champion is None:
            return f"### Features\n\n{_features(len(new))}."
        old = self.champion.version.features
        changed = feature_changes(new, old)
        if not changed:
            return f"### Feature changes\n\nNone: both versions read the same {_features(len(new))}."
        lines = [f"- {word}: {code(ref)}" for word, ref in changed]
        return "\n".join(
            ["### Feature changes", "", f"{_features(len(new))} instead of {len(old)}:", "", *lines]
        )

    def _links(self) -> str:
        version, links = self.candidate.version, self.links
        lines = [
            f"- Commit: {self._commit()}",
            f"- Data version: {_linked(version.dataset_version, links.run)}",
        ]
        if links.run:
            lines.append(f"- MLflow run: {link('metrics and plots', links.run)}")
        if links.version:
            lines.append(f"- MLflow model version: {link(self._name, links.version)}")
        if links.service:
            lines.append(f"- Test service: {link('try the candidate', links.service)}")
        return "\n".join(["### Links", "", *lines])

    def _commit(self) -> str:
        sha, url = self.candidate.version.git_commit, self.links.commit
        shown = _linked(sha, url.replace("{commit}", sha) if url else None)
        if self.commit is None:
            return shown
        return f"{shown} {code(self.commit.subject)} by {code(self.commit.author)}"


def feature_changes(candidate: Sequence[str], champion: Sequence[str]) -> list[tuple[str, str]]:
    """Return the features that only one of two versions reads, each with ``removed`` or ``added``."""
    removed = [("removed", ref) for ref in champion if ref not in candidate]
    return removed + [("added", ref) for ref in candidate if ref not in champion]


def _linked(found_hash: str, url: str | None) -> str:
    """Return the first digits of a hash as a link; what is no hash is untrusted text, and no link."""
    short = found_hash[:10]
    return link(short, url) if url and _HASH.fullmatch(found_hash) else code(short)


def _listed(metrics: Sequence[ComparedMetric]) -> str:
    return "; ".join(
        f"{_name(one)} {_difference(one, one.difference)} ({_INTERVAL} {_interval(one)})" for one in metrics
    )


def _features(count: int) -> str:
    return f"{count} feature{'' if count == 1 else 's'}"


def _measured(check: Check) -> str:
    return f"{code(check.of_class)}: {check.measured}" if check.of_class else check.measured


def _name(one: ComparedMetric) -> str:
    return one.metric.title if one.metric else code(one.key)


def _title(one: ComparedMetric) -> str:
    return f"{_name(one)} ({one.metric.better} is better)" if one.metric else _name(one)


def _value(one: ComparedMetric, value: float | None) -> str:
    percent = one.metric is not None and one.metric.percent
    return _number(value, lambda x: f"{100 * x:.2f} %" if percent else f"{x:.4f}")


def _difference(one: ComparedMetric, value: float | None) -> str:
    percent = one.metric is not None and one.metric.percent
    return _number(value, lambda x: f"{100 * x:+.2f}{_POINTS}" if percent else f"{x:+.4f}")


def _number(value: float | None, shown: Callable[[float], str]) -> str:
    if value is None:
        return _NONE
    return shown(value).replace("-", "−") if math.isfinite(value) else "not a number"


def _interval(one: ComparedMetric) -> str:
    if one.interval is None:
        return _NONE
    low, high = _difference(one, one.interval.low), _difference(one, one.interval.high)
    return f"{low.removesuffix(_POINTS)} to {high}"


def _significance_cell(one: ComparedMetric) -> str:
    return f"**{one.significance}**" if one.significance is Significance.WORSE else str(one.significance)
