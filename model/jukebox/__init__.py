"""The Jukebox: which countries a song may be played in, from its audio properties."""
