"""Datasets: fetch, validate, stamp, name by content and publish to an append-only history."""

from __future__ import annotations
