"""Git: clone, commit and push through Airflow's git connection."""

from __future__ import annotations
