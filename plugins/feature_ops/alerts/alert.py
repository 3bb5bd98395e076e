"""An alert, as it is handed to the run that it starts."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC
from typing import Annotated, Any

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from feature_ops.exceptions import BadInputError

# It becomes part of a run's name.
Fingerprint = Annotated[str, StringConstraints(pattern=r"^[0-9A-Za-z]{1,64}$")]


class Alert(BaseModel):
    """
    One alert that fires.

    :param name: of the rule.
    :param fingerprint: Alertmanager's hash of its labels: the same alert always has the same.
    :param starts_at: when it began to fire.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(min_length=1, max_length=200)
    fingerprint: Fingerprint
    starts_at: AwareDatetime

    @property
    def run_id(self) -> str:
        """Name of the run that it starts: a repeat has the same, and so starts nothing."""
        return f"alert__{self.fingerprint}__{self.starts_at.astimezone(UTC):%Y-%m-%dT%H:%M:%S.%fZ}"

    @property
    def reason(self) -> str:
        """Why a model is trained, in words."""
        return f"alert {self.name} ({self.fingerprint})"

    @property
    def conf(self) -> dict[str, Any]:
        """The configuration of that run."""
        return {"alert": self.model_dump(mode="json")}

    @classmethod
    def of_run(cls, conf: Mapping[str, Any] | None) -> Alert | None:
        """
        Return the alert that started a run, None for a run that was started otherwise.

        :param conf: the run's configuration.
        :raises BadInputError: what it has under ``alert`` is none.
        """
        found = (conf or {}).get("alert")
        if found is None:
            return None
        try:
            return cls.model_validate(found)
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(str(part) for part in first["loc"])
            raise BadInputError(
                f"the run's configuration names no alert ({where or 'alert'}: {first['msg']}): leave out "
                "“alert”, or trigger with force_training"
            ) from None
