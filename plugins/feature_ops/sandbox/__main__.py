"""``python -m feature_ops.sandbox``: print the kernel features that the sandbox misses on this machine."""

from __future__ import annotations

import sys

from feature_ops.sandbox.check import check_machine
from feature_ops.sandbox.features import WITHOUT


def main() -> int:
    """Print one line per missing feature; the exit code is 1 if there is any."""
    missing = check_machine()
    lines = [f"{feature}: {WITHOUT[feature]}" for feature in missing] or ["The machine has every feature."]
    sys.stdout.write("\n".join(lines) + "\n")
    return 1 if missing else 0


if __name__ == "__main__":
    sys.exit(main())
