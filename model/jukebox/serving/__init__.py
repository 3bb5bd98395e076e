"""The service that answers which countries a song is likely to chart in."""
