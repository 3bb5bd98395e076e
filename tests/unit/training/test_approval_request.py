"""An approver reads what changes, what was measured and where to look; untrusted text is never markup."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from markdown_it.token import Token

from feature_ops.git.commit_info import CommitInfo
from feature_ops.training.approval_request import ApprovalRequest, Links, Scored, feature_changes
from feature_ops.training.declaration import Metric, Model
from feature_ops.training.gates import Gates
from feature_ops.training.markdown import code
from feature_ops.training.model_registry import ModelVersion
from feature_ops.training.recipe import Recipe
from feature_ops.training.regression import AcceptedRegression
from feature_ops.training.result import TrainingResult

MODEL = Model(
    name="jukebox",
    feature_service="serving_fs",
    command=("-m", "jukebox"),
    metrics={
        "log_loss": Metric(title="Log-loss", better="lower"),
        "top5": Metric(title="Top-5 accuracy", better="higher", percent=True),
    },
)
GATES = Gates(log_loss_increase=0.05, recall_drop=0.3, top5_minimum=0.1)
SHA = "1a2b3c4d5e6f7081"


def scored(version: str, features: tuple[str, ...], **metrics: float) -> Scored:
    found = ModelVersion(version, SHA, "9f8e7d6c5b4a3f2e", Recipe("d", "c"), features, "run", "")
    return Scored(found, metrics)


CANDIDATE = scored("3", ("songs:energy",), top5=0.5, log_loss=3.0, odd_metric=7.0)
CHAMPION = scored("1", ("songs:energy", "songs:loudness"), top5=0.1, log_loss=9.9)


def result(comparison: dict[str, tuple[float, float, float]] | None = None, **changed: Any) -> TrainingResult:
    """The result of the candidate's training; the comparison is difference, low and high by metric."""
    keys = ("difference", "low", "high")
    content: dict[str, Any] = {
        "run_id": "r",
        "artifact_uri": "a",
        "rows": {},
        "features": [],
        "metrics": {"top5": 0.5},
        "champion": {"version": "1", "metrics": {"log_loss": 3.1, "top5": 0.4}},
        "comparison": {n: dict(zip(keys, v, strict=True)) for n, v in (comparison or {}).items()},
        "git_commit": "c",
        "dataset_version": "d",
        "definition_hash": "h",
        "seconds": 1,
    }
    return TrainingResult.read(json.dumps(content | changed), "s3://x")


def request(**changed: Any) -> ApprovalRequest:
    parts: dict[str, Any] = {
        "model": MODEL,
        "candidate": CANDIDATE,
        "champion": CHAMPION,
        "result": result({"log_loss": (-0.1, -0.2, -0.05)}),
        "gates": GATES,
        "links": Links(),
    }
    return ApprovalRequest(**(parts | changed))


def first_line(**changed: Any) -> str:
    return request(**changed).body.splitlines()[0]


def test_the_subject_names_model_and_versions() -> None:
    assert request().subject == "Promote jukebox v3 to production (replaces v1)?"
    assert request(champion=None).subject == "Promote jukebox v3 to production?"


@pytest.mark.parametrize(
    ("comparison", "line"),
    [
        (
            {"log_loss": (0.1, 0.02, 0.04)},
            "**Warning: jukebox v3 is significantly worse than v1: "
            "Log-loss +0.1000 ([CI] +0.0200 to +0.0400).**",
        ),
        (
            {"top5": (-0.02, -0.03, -0.01)},
            "**Warning: jukebox v3 is significantly worse than v1: "
            "Top-5 accuracy −2.00 pp ([CI] −3.00 to −1.00 pp).**",
        ),
        (
            {"top5": (-0.02, -0.03, -0.01), "log_loss": (-0.1, -0.2, -0.05)},
            "**Warning: jukebox v3 is significantly worse than v1: "
            "Top-5 accuracy −2.00 pp ([CI] −3.00 to −1.00 pp).** "
            "Significantly better: Log-loss −0.1000 ([CI] −0.2000 to −0.0500).",
        ),
        (
            {"log_loss": (-0.1, -0.2, -0.05)},
            "jukebox v3 is significantly better than v1: Log-loss −0.1000 ([CI] −0.2000 to −0.0500).",
        ),
        (
            {"log_loss": (-0.1, -0.2, 0.0), "top5": (0.0, -0.1, 0.1)},
            "No significant difference between jukebox v3 and v1.",
        ),
        # Nobody declared which direction is better.
        (
            {"odd_metric": (1, 0.5, 2)},
            "jukebox v3 differs significantly from v1: `odd_metric` +1.0000 ([CI] +0.5000 to +2.0000).",
        ),
        ({}, "The training of jukebox v3 estimated no confidence interval of its difference to v1."),
    ],
)
def test_the_first_line_says_whether_the_candidate_is_significantly_worse(
    comparison: dict[str, tuple[float, float, float]], line: str
) -> None:
    assert first_line(result=result(comparison)) == line.replace("[CI]", "95 % confidence interval")


def test_a_measurement_that_is_no_number_is_no_good_news() -> None:
    broken = result({"log_loss": (float("nan"), float("nan"), float("nan"))})
    body = request(result=broken).body
    assert body.startswith("The training of jukebox v3 estimated no confidence interval")
    assert "not a number | not a number to not a number | significance unknown |" in body
    assert "**not met**" in body


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"champion": None}, "No version is in production yet, so jukebox v3 is compared with none."),
        (
            {"champion": scored("2", (), log_loss=3.2)},
            "**jukebox v3 was not compared with v2**: its training compared it with `v1`",
        ),
        (
            {"result": None},
            "**jukebox v3 was not compared with v1**: the result of its training has no comparison",
        ),
    ],
)
def test_the_first_line_says_that_there_is_no_fair_comparison(changed: dict[str, Any], words: str) -> None:
    body = request(**changed).body
    assert body.startswith(words)
    assert "Difference" not in body


WORSE = {"log_loss": (0.1, 0.05, 0.2)}
SAME = {"log_loss": (0.0, -0.1, 0.1)}
PRIVACY = AcceptedRegression("privacy [x](http://evil)", "ada")


@pytest.mark.parametrize(
    ("comparison", "accepted", "required"),
    [(SAME, None, False), (WORSE, None, True), (SAME, PRIVACY, True), (WORSE, PRIVACY, True)],
)
def test_a_reason_is_required_for_a_worse_candidate_and_an_accepted_regression(
    comparison: dict[str, tuple[float, float, float]], accepted: AcceptedRegression | None, required: bool
) -> None:
    candidate = replace(CANDIDATE, version=replace(CANDIDATE.version, accepted_regression=accepted))
    found = request(candidate=candidate, result=result(comparison))
    assert found.reason_required is required
    assert ("A reason is required to approve." in found.body) is required
    told = "**Regression accepted**: `“privacy [x](http://evil)”, ada`."
    assert (told in found.body) is (accepted is not None)


def test_a_champion_that_is_missing_is_not_taken_for_a_first_model() -> None:
    missing = "the alias champion is missing in MLflow (version 1 had it last)"
    body = request(champion=None, missing_champion=missing).body
    assert body.startswith(f"**jukebox v3 is compared with no version**: {missing}.")


def test_metrics_stand_in_a_table_with_values_difference_interval_and_meaning() -> None:
    found = request(result=result({"log_loss": (-0.1, -0.2, -0.05), "top5": (0.1, -0.1, 0.3)})).body
    assert (
        "| Metric | v1 (production) | v3 (candidate) | Difference | 95 % confidence interval | Result |\n"
        "| --- | ---: | ---: | ---: | ---: | --- |\n"
        "| Log-loss (lower is better) | 3.1000 | 3.0000 | −0.1000 | −0.2000 to −0.0500 | better |\n"
        "| Top-5 accuracy (higher is better) | 40.00 % | 50.00 % | +10.00 pp | −10.00 to +30.00 pp "
        "| no significant difference |\n"
        "| `odd_metric` | – | 7.0000 | – | – | significance unknown |\n\n"
        "pp: percentage points."
    ) in found


def test_metrics_that_were_not_compared_stand_beside_each_other_without_a_difference() -> None:
    assert (
        "Each version on its own held-out rows:\n\n"
        "| Metric | v1 (production) | v3 (candidate) |\n"
        "| --- | ---: | ---: |\n"
        "| Log-loss (lower is better) | 9.9000 | 3.0000 |"
    ) in request(result=None).body
    assert "| Metric | v3 (candidate) |" in request(champion=None, result=None).body


def test_gates_stand_with_their_limits_and_one_that_is_not_met_is_in_the_first_line() -> None:
    failing = result(
        {"log_loss": (0.0, -0.1, 0.2)},
        countries={"worst": {"country": "I|S", "recall5": 0.1, "champion_recall5": 0.5}},
    )
    body = request(result=failing).body
    assert "| Minimum top-5 accuracy | 10 % | 50.00 % | passed |" in body
    assert "(upper end of the confidence interval) | 0.05 | +0.2000 | **not met** |" in body
    assert (
        "| Maximum drop of one class's top-5 recall | 30 pp | `I¦S`: 50.0 % → 10.0 % | **not met** |" in body
    )
    assert "**Not within the gates: Maximum increase of log-loss" in body.splitlines()[0]


def test_feature_changes_are_listed() -> None:
    assert feature_changes(["a:x", "a:new"], ["a:x", "a:old"]) == [("removed", "a:old"), ("added", "a:new")]
    assert "1 feature instead of 2:\n\n- removed: `songs:loudness`" in request().body
    assert (
        "None: both versions read the same 1 feature."
        in request(champion=scored("1", ("songs:energy",))).body
    )


def test_each_link_has_a_line_of_its_own() -> None:
    links = Links("https://git/c/{commit}", "https://mlflow/#/runs/run", "https://mlflow/v", "https://test")
    commit = CommitInfo(SHA, "Ada", "Drop loudness", "2026-01-01T00:00:00+00:00")
    assert request(links=links, commit=commit).body.endswith(
        "### Links\n\n"
        f"- Commit: [1a2b3c4d5e](<https://git/c/{SHA}>) `Drop loudness` by `Ada`\n"
        "- Data version: [9f8e7d6c5b](<https://mlflow/#/runs/run>)\n"
        "- MLflow run: [metrics and plots](<https://mlflow/#/runs/run>)\n"
        "- MLflow model version: [jukebox v3](<https://mlflow/v>)\n"
        "- Test service: [try the candidate](<https://test>)"
    )
    assert request().body.endswith("### Links\n\n- Commit: `1a2b3c4d5e`\n- Data version: `9f8e7d6c5b`")


# GitHub-flavored, as Airflow's UI renders it: with tables, and with links out of plain addresses.
RENDERER = MarkdownIt("gfm-like")
HOSTILE = [
    "[click me](https://evil.example)",
    "![](https://evil.example/pixel.png)",
    "<img src=x onerror=alert(1)>",
    "<https://evil.example>",
    "see https://evil.example and www.evil.example, or mail@evil.example",
    "x\n\n# Approved by security",
    "x\r\n- [x] reviewed",
    "a | b | c",
    "a \\| b",
    "` [x](https://evil.example) `",
    "``` \n``` [x](https://evil.example)",
    "``",
    "`",
    "\\",
    "ends with \\",
    "&lt;b&gt; &#x5b;x](https://evil.example)",
    "\u202e reversed \u2066",
    "\x1b[31m red \x00 nul",
    "​",
    "",
    "x" * 5000,
    "<!-- comment",
    "~~~\ncode",
    "$$ math $$",
]


def tokens(text: str) -> Iterator[Token]:
    for token in RENDERER.parse(text):
        yield token
        yield from token.children or ()


def shape(text: str) -> list[str]:
    """Return the structure of a document without the texts in it."""
    return [token.type for token in tokens(text) if token.type != "text"]


def with_text(text: str) -> str:
    """Return a request in which every text that a commit or a training writes is this one."""
    version = ModelVersion("3", text, text, Recipe("d", "c"), (text,), "run", "")
    written = result(
        {text: (1, 0.5, 2)},
        champion={"version": "1", "metrics": {text: 1.0}},
        countries={"worst": {"country": text, "recall5": 0.1, "champion_recall5": 0.2}},
    )
    return request(
        candidate=Scored(version, {text: 1.0}),
        result=written,
        links=Links("https://git/c/{commit}", "https://mlflow/r", "https://mlflow/v", "https://test"),
        commit=CommitInfo(SHA, text, text, ""),
    ).body


HARMLESS = shape(with_text("harmless"))


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_text_is_never_a_link_a_heading_or_a_cell(text: str) -> None:
    body = with_text(text)
    if text.strip("\u200b"):
        assert shape(body) == HARMLESS
    links = [token.attrs["href"] for token in tokens(body) if token.type == "link_open"]
    assert links == ["https://mlflow/r", "https://mlflow/v", "https://test"]
    # Airflow's UI makes links of addresses in plain text, even of escaped ones.
    plain = " ".join(token.content for token in tokens(body) if token.type == "text")
    assert "evil.example" not in plain


@given(st.text())
@settings(max_examples=200, deadline=None)
def test_any_text_in_a_code_span_is_one_code_span(text: str) -> None:
    found = code(text)
    (paragraph,) = [token for token in RENDERER.parse(f"{found} x") if token.type == "inline"]
    assert paragraph.children
    kinds = [child.type for child in paragraph.children]
    assert kinds in (["code_inline", "text"], ["text"])
    if kinds == ["text"]:
        assert found == "(empty)"
    assert "|" not in found
    assert "\n" not in found


def test_the_jukebox_declares_readable_names_for_all_its_metrics() -> None:
    from jukebox_model import JUKEBOX

    assert list(JUKEBOX.metrics) == ["log_loss", "top1", "top5", "top5_new_songs", "calibration_error"]
