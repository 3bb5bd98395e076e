"""Ask Airflow's API server whether a component is well: ``airflow_health.py scheduler``; 0 if it is."""

from __future__ import annotations

import json
import os
import sys
from urllib.request import urlopen

URL = os.environ.get("AIRFLOW_HEALTH_URL", "http://airflow-api-server:8080/api/v2/monitor/health")


def main(component: str) -> int:
    """Print the component's status; returns 0 if it is healthy."""
    with urlopen(URL, timeout=8) as response:  # noqa: S310 - the address is ours
        status = json.load(response)[component]["status"]
    print(status)
    return 0 if status == "healthy" else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
