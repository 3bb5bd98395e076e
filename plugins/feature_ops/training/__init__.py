"""Models that follow the feature definitions."""
