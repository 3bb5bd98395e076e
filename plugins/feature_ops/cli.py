"""``feature-ops``: one entry to the commands of the package."""

from __future__ import annotations

import argparse
import importlib
import sys
from collections.abc import Sequence

# Name, the module whose ``main`` runs it, and what it does.
_COMMANDS = {
    "diff": (
        "feature_ops.feast.diff.__main__",
        "classify the change of feature definitions between two commits",
    ),
    "verify-model": ("feature_ops.training.verify_model", "verify the signature of a downloaded model"),
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command that the first argument names; returns its exit code."""
    parser = argparse.ArgumentParser(
        prog="feature-ops",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="\n".join(f"  {name:<14}{text}" for name, (_, text) in _COMMANDS.items()),
    )
    parser.add_argument("command", choices=_COMMANDS, metavar="command", help="one of those below")
    parser.add_argument("arguments", nargs=argparse.REMAINDER, help="of the command; -h lists them")
    options = parser.parse_args(arguments)
    module = importlib.import_module(_COMMANDS[options.command][0])
    code: int = module.main(options.arguments, prog=f"feature-ops {options.command}")
    return code


if __name__ == "__main__":
    sys.exit(main())
