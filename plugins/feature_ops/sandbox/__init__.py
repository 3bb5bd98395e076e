"""Sandbox the current process: allow-lists of system calls and paths, limits, no privileges."""
