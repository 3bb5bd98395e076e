"""
Airflow operators that keep a Feast feature store fresh.

The package knows Feast, DVC, git, S3 and pods. It knows nothing about any team's data.
"""

from __future__ import annotations
