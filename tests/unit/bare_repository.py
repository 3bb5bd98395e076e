"""A repository as a git server keeps it, and git's own word for what is in it."""

from __future__ import annotations

import subprocess
from pathlib import Path


def create(folder: Path) -> Path:
    """Make one that serves single objects, as git servers do; returns its folder."""
    subprocess.run(["git", "init", "-q", "--bare", "-b", "main", str(folder)], check=True)
    for option in ("allowFilter", "allowAnySHA1InWant"):
        git(folder, "config", f"uploadpack.{option}", "true")
    return folder


def git(folder: Path, *arguments: str) -> str:
    """Run git in a repository; returns what it says."""
    done = subprocess.run(
        ["git", "-C", str(folder), *arguments], capture_output=True, text=True, check=True, timeout=60
    )
    return done.stdout
