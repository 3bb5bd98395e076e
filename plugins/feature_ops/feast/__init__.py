"""Feast: materialize what is new, remember what is online, read it back."""

from __future__ import annotations
