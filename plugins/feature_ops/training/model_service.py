"""The service that answers with a model: which version it has loaded, and what it refused."""

from __future__ import annotations

import time
from dataclasses import dataclass

from feature_ops.exceptions import FeatureOpsError


@dataclass(frozen=True)
class Loaded:
    """
    What the service says of itself.

    :param version: the version that answers; None if none does yet.
    :param refused: the version that it looked at and did not take, and why.
    """

    version: str | None
    refused: tuple[str, str] | None


class ModelService:
    """
    One instance of the service.

    :param url: its address.
    """

    def __init__(self, url: str) -> None:
        self._url = url.rstrip("/")

    def loaded(self) -> Loaded:
        """Return which version answers; raises a :class:`FeatureOpsError` if the service does not."""
        import requests

        try:
            with requests.Session() as session:
                session.trust_env = False
                answer = session.get(f"{self._url}/model", timeout=10)
            content = answer.json()
        except (requests.RequestException, ValueError) as error:
            raise FeatureOpsError(
                f"the model service at {self._url} does not answer ({type(error).__name__}): start it, or "
                "correct FEATURE_OPS_TEST_SERVICE_URL; then try again"
            ) from None
        refused = content.get("refused")
        return Loaded(
            str(content["version"]) if content.get("version") is not None else None,
            (str(refused["version"]), str(refused["reason"])) if refused else None,
        )

    def wait_for(self, version: str, timeout: float) -> str | None:
        """
        Wait until the service has taken or refused a version; returns the reason of a refusal.

        :raises FeatureOpsError: it did neither in time.
        """
        deadline = time.monotonic() + timeout
        while True:
            now = self.loaded()
            if now.version == version:
                return None
            if now.refused and now.refused[0] == version:
                return now.refused[1]
            if time.monotonic() > deadline:
                raise FeatureOpsError(
                    f"the model service at {self._url} still answers with version {now.version} after "
                    f"{timeout:.0f} s: look at its log; then try again"
                )
            time.sleep(0.5)
