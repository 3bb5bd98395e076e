"""The three online stores that the reader reads."""

from __future__ import annotations

from tests.integration.feast.engine.conftest import held as held
