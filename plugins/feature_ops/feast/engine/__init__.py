"""A Feast compute engine that takes Arrow rows to the online store, without a Python object per value."""

from __future__ import annotations
