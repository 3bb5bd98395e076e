"""The story, act by act, in a real scheduler."""

from __future__ import annotations

import pytest

from demo.acts import ACTS, Act
from demo.scene import Scene


@pytest.mark.parametrize("act", ACTS, ids=lambda act: act.play.__name__)
def test_story(act: Act, scene: Scene) -> None:
    print(act.play(scene))
