"""What Alertmanager sends: version 4 of its webhook."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, StringConstraints

from feature_ops.alerts.alert import Alert, Fingerprint

MOST_ALERTS = 100
_Text = Annotated[str, StringConstraints(max_length=4096)]


class WebhookAlert(BaseModel):
    """One of the alerts of a notification."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    status: Literal["firing", "resolved"]
    labels: dict[_Text, _Text] = Field(max_length=100)
    starts_at: AwareDatetime = Field(alias="startsAt")
    fingerprint: Fingerprint

    @property
    def name(self) -> str:
        """Name of the rule that it comes from."""
        return self.labels.get("alertname", "").strip()[:200] or "without a name"

    def alert(self) -> Alert:
        """Return what is handed to a run."""
        return Alert(name=self.name, fingerprint=self.fingerprint, starts_at=self.starts_at)


class Notification(BaseModel):
    """All that one request tells; what is not read here is let pass, for newer Alertmanagers."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    version: Literal["4"]
    status: Literal["firing", "resolved"]
    receiver: _Text
    alerts: list[WebhookAlert] = Field(max_length=MOST_ALERTS)
