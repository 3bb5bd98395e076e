"""
Accept files one after the other, whoever else accepts into the same bucket.

A database's lock reaches the writers that share the database. What all writers of a dataset share
is the bucket: an object there says which file was accepted last, and replacing it on the condition
that nobody did so meanwhile is the one point at which a file becomes part of the dataset. Who comes
too late compares with what the other one accepted, and tries again.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from feature_ops.commit_points import CommitPoint, passing
from feature_ops.datasets.dataset import Dataset
from feature_ops.exceptions import BadInputError
from feature_ops.object_store import ObjectStore, StoredObject

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Generation:
    """
    The dataset after a file was accepted.

    :param number: how many were accepted so before it and with it; it only grows.
    :param file: name of that file; empty if none was.
    :param version: by which object storage knows this state of the object; None if there is none.
    """

    number: int = 0
    file: str = ""
    version: str | None = None

    def next(self, file: str) -> Generation:
        """Return the one that a file would make."""
        return Generation(self.number + 1, file)

    def json(self) -> bytes:
        """Return it as it is stored; no two have the same bytes."""
        return json.dumps({"generation": self.number, "file": self.file}).encode()


class Acceptance:
    """
    The place at which a dataset's writers meet.

    A file waits there as a proposal for one generation. It is accepted once that generation names it,
    and then moved to the accepted files: by its writer, or by the next one if that was killed.
    """

    def __init__(self, dataset: Dataset, store: ObjectStore) -> None:
        self._dataset, self._store = dataset, store
        self._latest_uri = f"{dataset.acceptance_uri}latest.json"

    def latest(self) -> Generation:
        """Return the newest generation, whose file is then where later steps find it."""
        generation = self._read()
        if self._complete(generation):
            log.info("Completed the acceptance of %s, which another writer had begun", generation.file)
        return generation

    def accept(self, path: Path, name: str, metadata: Mapping[str, str], after: Generation) -> str | None:
        """
        Accept a file that was compared with all that is there; returns its URI.

        :param after: the generation that was the newest before the comparison began.
        :returns: None if another file was accepted since; this one is then no part of the dataset.
        """
        generation = after.next(name)
        with passing(CommitPoint.FILE_PROPOSED):
            self._store.put_file_once(str(path), self._proposal_uri(generation), metadata)
        if not self._commit(generation, after):
            return None
        self._complete(generation)
        return f"{self._dataset.accepted_uri}{name}"

    def _read(self) -> Generation:
        found = self._store.get_bytes(self._latest_uri)
        if found is None:
            return Generation()
        content, version = found
        try:
            facts = json.loads(content)
            return Generation(int(facts["generation"]), str(facts["file"]), version)
        except (ValueError, KeyError, TypeError):
            raise BadInputError(
                f"{self._latest_uri} does not say which file was accepted last: restore what it was, or "
                "remove it while no run validates"
            ) from None

    def _commit(self, generation: Generation, after: Generation) -> bool:
        with passing(CommitPoint.FILE_ACCEPTED):
            done = self._store.replace_bytes(generation.json(), self._latest_uri, after.version)
        if done:
            return True
        # A request that was sent again finds what it wrote itself the first time.
        latest = self._read()
        return (latest.number, latest.file) == (generation.number, generation.file)

    def _complete(self, generation: Generation) -> bool:
        """
        Move the generation's file to the accepted ones, and remove proposals that came too late.

        :returns: whether the file had not been moved yet.
        """
        settled = [
            proposal
            for proposal in self._store.list(f"{self._dataset.acceptance_uri}proposed/")
            if _number(proposal) <= generation.number
        ]
        moved = self._proposal_uri(generation) in {proposal.uri for proposal in settled} and self._move(
            generation
        )
        for proposal in settled:
            with passing(CommitPoint.PROPOSAL_REMOVED):
                self._store.delete(proposal.uri)
        return moved

    def _move(self, generation: Generation) -> bool:
        from botocore.exceptions import ClientError

        # A file that moves on is in the second place before it leaves the first.
        places = [f"{prefix}{generation.file}" for prefix in (self._dataset.accepted_uri, self._dataset.uri)]
        if any(self._store.exists(uri) for uri in places):
            return False
        try:
            with passing(CommitPoint.ACCEPTED_FILE_MOVED):
                self._store.copy(self._proposal_uri(generation), places[0])
        except ClientError as error:
            if error.response["ResponseMetadata"]["HTTPStatusCode"] != 404:
                raise
            # Another writer was faster, and has removed the proposal.
            return False
        return True

    def _proposal_uri(self, generation: Generation) -> str:
        return f"{self._dataset.acceptance_uri}proposed/{generation.number}/{generation.file}"


def _number(proposal: StoredObject) -> int:
    """Return the generation that a file was proposed for."""
    return int(proposal.uri.rsplit("/", 2)[-2])
