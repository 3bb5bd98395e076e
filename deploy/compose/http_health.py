"""Whether a server answers: ``http_health.py http://127.0.0.1:8000/health``; 0 if it does."""

from __future__ import annotations

import sys
from urllib.request import urlopen

if __name__ == "__main__":
    urlopen(sys.argv[1], timeout=8).close()  # noqa: S310 - the address is in the Compose file
