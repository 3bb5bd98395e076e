"""The command ``feature-ops`` leads to each command of the package."""

from __future__ import annotations

import pytest

from feature_ops.cli import _COMMANDS, main


@pytest.mark.parametrize("command", _COMMANDS)
def test_each_command_explains_itself(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main([command, "--help"])
    assert ended.value.code == 0
    assert capsys.readouterr().out.startswith(f"usage: feature-ops {command} ")


def test_an_unknown_command_is_refused_with_those_that_exist(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["destroy"])
    assert ended.value.code == 2
    assert all(command in capsys.readouterr().err for command in ["verify-model"])
