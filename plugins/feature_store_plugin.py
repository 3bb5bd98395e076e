"""The feature store in Airflow's UI: its page, its alert endpoint and the extra links of tasks."""

from __future__ import annotations

from urllib.parse import urlsplit

from airflow.configuration import conf
from airflow.plugins_manager import AirflowPlugin

from feature_ops.alerts.mount import alert_apps
from feature_ops.form_errors import FormErrors
from feature_ops.git.links import GitCommitLink
from feature_ops.ui.app import feature_store_page
from feature_ops.ui.links import DvcVersionLink, MlflowRunLink, ModelPageLink

_PREFIX = "/feature-store"
# Airflow may itself live below a path.
_BASE = urlsplit(conf.get("api", "base_url", fallback="")).path.rstrip("/")


class FeatureStorePlugin(AirflowPlugin):
    """Register the *Feature store* page and the links from tasks to what they made."""

    name = "feature_store"
    operator_extra_links = (GitCommitLink(), DvcVersionLink(), MlflowRunLink(), ModelPageLink())
    fastapi_apps = (
        {"app": feature_store_page(), "url_prefix": _PREFIX, "name": "Feature store"},
        *alert_apps(),
    )
    fastapi_root_middlewares = (
        {"name": "Messages of refused form values", "middleware": FormErrors, "args": [], "kwargs": {}},
    )
    external_views = (
        {
            # Airflow's navigation has room for about ten letters.
            "name": "Features",
            "href": f"{_BASE}{_PREFIX}/",
            "icon": f"{_BASE}{_PREFIX}/icon.svg",
            "icon_dark_mode": f"{_BASE}{_PREFIX}/icon-dark.svg",
            "destination": "nav",
            "url_route": "feature-store",
            "nav_top_level": True,
        },
    )
