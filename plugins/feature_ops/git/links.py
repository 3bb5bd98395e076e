"""The extra link from a task to the commit it made."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from feature_ops.ui.links import FactLink


class GitCommitLink(FactLink):
    """Leads to the commit in the git server's web view, if ``FEATURE_OPS_GIT_COMMIT_URL`` is set."""

    name = "Git commit"

    def address(self, facts: Mapping[str, Any]) -> str | None:
        """The task's facts hold it."""
        url = facts.get("commit_url")
        return str(url) if url else None
