"""What two commits of a feature repository define, compared by meaning and told in words."""

from __future__ import annotations
