"""The diagrams of data flow and change flow show the steps of the DAGs in their order."""

from __future__ import annotations

import re
from itertools import pairwise

import pytest

from tests.conftest import PROJECT
from tests.unit.docs.pages import Block, blocks

PAGE = "docs/architecture.md"
DRAWN = [block for block in blocks(PAGE) if block.language == "mermaid"]


def steps(dag: str) -> list[str]:
    """Return the steps of a DAG in the order of its file."""
    return re.findall(r'task_id="(\w+)"', (PROJECT / "dags" / f"{dag}.py").read_text())


def test_there_is_one_diagram_of_the_data_flow_and_one_of_the_change_flow() -> None:
    assert [block.heading for block in DRAWN] == ["Data flow", "Change flow"]


@pytest.mark.parametrize(
    ("picture", "dag"),
    [(0, "song_properties_etl"), (1, "continuous_training"), (1, "promote_model")],
)
def test_every_step_is_in_the_picture_in_its_order(picture: int, dag: str) -> None:
    wanted = steps(dag)
    assert wanted
    arrows = arrows_of(DRAWN[picture])
    for before, after in pairwise(wanted):
        assert after in reached(before, arrows), f"no arrow leads from {before} to {after}"


def arrows_of(block: Block) -> set[tuple[str, str]]:
    """Return what points to what in a Mermaid flow chart."""
    arrows = set()
    for line in block.text.splitlines():
        plain = re.sub(r"-- [^>]*? -->|-\. .*? \.->", "-->", line)
        nodes = [re.match(r"\s*(\w+)", part) for part in plain.split("-->")]
        names = [node.group(1) for node in nodes if node]
        arrows |= set(pairwise(names))
    return arrows


def reached(start: str, arrows: set[tuple[str, str]], most: int = 3) -> set[str]:
    """Return what is a few arrows from a node: data go from step to step by way of a store."""
    found = {start}
    for _ in range(most):
        found |= {to for origin, to in arrows if origin in found}
    return found
