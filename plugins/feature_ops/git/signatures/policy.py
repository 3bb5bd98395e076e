"""
Which commits must be signed, and the refusal of one that is not.

What the check guarantees: the content of the folders is that of the applied (or trusted) commit, or that of a
commit which an allowed signer has signed; and each commit in between that changes the folders is signed, too.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from feature_ops.git.commit_info import commit_info
from feature_ops.git.signatures.allowed_signers import AllowedSigners
from feature_ops.git.signatures.errors import InvalidSignatureError, SignatureSetupError, UnsignedCommitError
from feature_ops.git.signatures.graph import CommitGraph, changed_folders
from feature_ops.git.signatures.signed_commit import MAX_BYTES

TRUSTED_SETTING = "FEATURE_OPS_GIT_SIGNED_SINCE"
_SHOWN = 3
_REMEDY = (
    "Nothing was loaded. Let an allowed signer sign these commits (`git commit --amend --no-edit -S`, or "
    "`git rebase --exec 'git commit --amend --no-edit -S'` for several) and push them; or set "
    f"{TRUSTED_SETTING} to a commit that you have reviewed"
)
_REWRITTEN = "is the newest commit of a branch that was rewritten or moved back"


@dataclass(frozen=True)
class Span:
    """
    The commits that are about to be loaded.

    :param head: the commit whose code is loaded.
    :param applied: the commit that was loaded before; None if none was.
    :param trusted: a commit that is trusted with its ancestors, signed or not; None if there is none.
    :param folders: folders in which each change must be signed; an empty name is the whole repository.
    """

    head: str
    applied: str | None
    trusted: str | None
    folders: tuple[str, ...]


def must_be_signed(
    graph: CommitGraph, span: Span, fetch_trees: Callable[[Iterable[str]], None]
) -> dict[str, str]:
    """
    Return the commits that must be signed, the oldest first, each with the reason.

    :param fetch_trees: makes the files' listings of commits available.
    """
    if span.head in (span.applied, span.trusted):
        return {}
    if span.trusted and not graph.has(span.trusted):
        raise SignatureSetupError(
            f"{TRUSTED_SETTING} is {span.trusted[:10]}, which does not exist in the repository: correct it"
        )
    known = [commit for commit in (span.applied, span.trusted) if commit and graph.has(commit)]
    parents = graph.since(span.head, known)
    involved = {*parents, *(parent for before in parents.values() for parent in before)}
    fetch_trees(involved)
    changed = changed_folders(parents, graph.contents(involved, span.folders), span.folders)
    reasons = {commit: f"changes {_named(folders)}" for commit, folders in changed.items()}
    base = span.applied or span.trusted
    if base and not (base in known and graph.is_ancestor(base, span.head)):
        reasons.setdefault(span.head, _REWRITTEN)
    return reasons


def refuse_unsigned(
    graph: CommitGraph,
    span: Span,
    signers: AllowedSigners,
    fetch_trees: Callable[[Iterable[str]], None] = lambda commits: None,
) -> dict[str, str]:
    """
    Return the signers of the commits that must be signed.

    :raises UnsignedCommitError: one has no valid signature of an allowed signer; names commit and author.
    """
    reasons = must_be_signed(graph, span, fetch_trees)
    signed: dict[str, str] = {}
    refused: list[str] = []
    for commit, reason in reasons.items():
        # One byte too many is enough to know that it is too large.
        content = graph.commit_object(commit, MAX_BYTES + 1)
        try:
            signed[commit] = signers.verify(content)
        except InvalidSignatureError as error:
            info = commit_info(commit, content)
            refused.append(f"commit {commit[:10]} “{info.subject}” by {info.author} {reason}, and {error}")
            if len(refused) == _SHOWN:
                break
    if refused:
        raise UnsignedCommitError(f"{'; '.join(refused)}. {_REMEDY}")
    return signed


def _named(folders: Sequence[str]) -> str:
    return ", ".join(folder or "the repository" for folder in folders)
