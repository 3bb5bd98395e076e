"""DVC: version a file, push it, commit its pointer."""

from __future__ import annotations
