"""The whole stack without containers: real servers from wheels, Airflow, demo songs and a story."""

from __future__ import annotations
