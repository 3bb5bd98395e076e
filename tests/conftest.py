"""What every test may use."""

from __future__ import annotations

import sys
from pathlib import Path

# Child processes of tests (`python -m demo...`, Feast's repository) find the project as we do.
PROJECT = Path(__file__).resolve().parents[1]
for folder in (PROJECT, PROJECT / "plugins", PROJECT / "dags"):
    if str(folder) not in sys.path:
        sys.path.insert(0, str(folder))
