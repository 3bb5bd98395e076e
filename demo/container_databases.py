"""
The job of docker-compose.yaml that makes databases and roles: ``python -m demo.container_databases``.

The server is ``PGHOST``; passwords come from the environment. It may be repeated at every start.
"""

from __future__ import annotations

import os
import sys

from demo.database_roles import ensure_database, ensure_reader


def main() -> int:
    """Make what is missing; returns the exit code."""
    import psycopg

    environment = os.environ
    admin = {
        "host": environment["PGHOST"],
        "port": int(environment.get("PGPORT", "5432")),
        "user": "postgres",
        "password": environment["POSTGRES_PASSWORD"],
    }
    try:
        for name in ("airflow", "feast", "mlflow"):
            ensure_database(admin, name, environment[f"{name.upper()}_DB_PASSWORD"])
        ensure_reader(admin, "feast", "feast_reader", environment["FEAST_READER_DB_PASSWORD"])
    except psycopg.OperationalError as error:
        print(
            f"PostgreSQL does not let its user postgres in: {str(error).strip()}. If POSTGRES_PASSWORD of "
            ".env was changed, change it in PostgreSQL first.",
            file=sys.stderr,
        )
        return 1
    print("Databases: airflow, feast (and its reader), mlflow", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
