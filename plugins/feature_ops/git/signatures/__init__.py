"""Signatures of commits: who made the code that is about to be loaded."""

from __future__ import annotations
