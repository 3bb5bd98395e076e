"""The signature check of a deployment: its settings, applied to a repository on a server."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from feature_ops.git.commits import Commits
from feature_ops.git.signatures.allowed_signers import AllowedSigners
from feature_ops.git.signatures.policy import Span, refuse_unsigned
from feature_ops.settings import get_settings

log = logging.getLogger(__name__)


def require_signatures(
    commits: Commits, head: str, applied: str | None, folders: Sequence[str], scratch: Path
) -> None:
    """
    Refuse a commit unless allowed signers have signed it, if ``FEATURE_OPS_GIT_ALLOWED_SIGNERS`` is set.

    To be called before any code of the commit is loaded.

    :param applied: the commit that is applied; None if none is.
    :param folders: folders of the repository in which each change must be signed.
    :param scratch: a folder that does not exist yet.
    :raises UnsignedCommitError: names the commits, their authors and the remedy.
    """
    settings = get_settings()
    if not settings.git_allowed_signers or head == applied:
        return
    signers = AllowedSigners.read(settings.git_allowed_signers, scratch)
    trusted = settings.git_signed_since
    graph = commits.history(head, applied, trusted)
    span = Span(head, applied, trusted, tuple(dict.fromkeys(folders)))
    signed = refuse_unsigned(graph, span, signers, partial(commits.fetch_trees, graph))
    for commit, signer in signed.items():
        log.info("Commit %s is signed by %s", commit[:10], signer)
    if not signed:
        log.info(
            "No commit since %s changes %s", (applied or trusted or "the first")[:10], ", ".join(folders)
        )
