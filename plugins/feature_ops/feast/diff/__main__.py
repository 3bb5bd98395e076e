"""
``python -m feature_ops.feast.diff OLD NEW``: what a change of feature definitions means.

Exit codes: 0, the diff was made; 1, a definition does not load or the input is wrong; 2, the command
line is wrong. With ``--exit-code`` also 10 (metadata), 11 (additive) and 12 (breaking).
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from feature_ops.exceptions import FeatureOpsError
from feature_ops.feast.diff.exporting import LocalRepository
from feature_ops.feast.diff.render import FORMATS
from feature_ops.feast.diff.verdict import Diff, Verdict

_EXIT_CODES = {Verdict.NONE: 0, Verdict.METADATA: 10, Verdict.ADDITIVE: 11, Verdict.BREAKING: 12}


def main(arguments: Sequence[str] | None = None, prog: str = "python -m feature_ops.feast.diff") -> int:
    """Print the diff of two commits; returns the exit code."""
    options = _parser(prog).parse_args(arguments)
    try:
        diff = diff_commits(options.repo, options.old, options.new, options.path, options.allowed_signers)
    except FeatureOpsError as error:
        print(error, file=sys.stderr)  # noqa: T201
        return 1
    print(FORMATS[options.format](diff))  # noqa: T201
    return _EXIT_CODES[diff.verdict] if options.exit_code else 0


def diff_commits(
    repo: Path, old: str, new: str, path: str = "feature_repo", allowed_signers: Sequence[Path] = ()
) -> Diff:
    """
    Return how the definitions of two commits of a local repository differ.

    :param repo: any folder of it, or a bare repository.
    :param path: where in it the feature repository is.
    :param allowed_signers: files that name who may sign commits; without any, signatures are not checked.
    :raises BadInputError: if a commit or the folder is not there, or if a definition does not load.
    """
    repository = LocalRepository(repo)
    before, after = commits = [repository.resolve(revision) for revision in (old, new)]
    with tempfile.TemporaryDirectory(prefix="feature-diff-") as place:
        if allowed_signers:
            repository.require_signatures(before, after, path, allowed_signers, Path(place) / "signers")
        folders = {}
        for side, revision, commit in zip(("old", "new"), (old, new), commits, strict=True):
            folder = Path(place).resolve() / side
            repository.export(commit, path, folder)
            folders[f"{side} commit {revision}"] = folder
        return diff_folders(folders)


def diff_folders(folders: dict[str, Path]) -> Diff:
    """Return how the definitions of two folders differ; the keys name them in errors."""
    from feature_ops.feast.diff.inputs import same_inputs

    (old, before), (new, after) = folders.items()
    if same_inputs(before, after):
        return Diff()
    from feature_ops.feast.diff.compare import compare
    from feature_ops.feast.diff.loading import load

    definitions = load({old: before, new: after})
    return compare(definitions[old], definitions[new])


def _parser(prog: str) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=prog,
        description="Says what a change of feature definitions means to those who read the features.",
        epilog="Exit codes: 0 done, 1 definitions do not load or input is wrong, 2 wrong command line; "
        "with --exit-code 0 none, 10 metadata, 11 additive, 12 breaking.",
    )
    parser.add_argument("old", metavar="OLD", help="the commit before")
    parser.add_argument("new", metavar="NEW", help="the commit after")
    parser.add_argument("--repo", type=Path, default=Path(), help="repository; this folder if not given")
    parser.add_argument("--path", default="feature_repo", help="the feature repository's folder in it")
    parser.add_argument(
        "--allowed-signers",
        type=Path,
        action="append",
        default=[],
        metavar="FILE",
        help="SSH allowed-signers file or GPG key ring: refuse a commit whose changes of the folder are not "
        "signed by these; may be repeated",
    )
    parser.add_argument("--format", choices=sorted(FORMATS), default="text")
    parser.add_argument("--exit-code", action="store_true", help="let the exit code tell the verdict")
    return parser


if __name__ == "__main__":
    sys.exit(main())
