"""
PostgreSQL roles with least privilege: each database has an owner that can use no other one, and readers.

Every statement may be repeated: databases of earlier versions, which belonged to the superuser, are taken
over.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_LOCK = 7_035_821
_NO_RIGHTS = "LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION NOBYPASSRLS"
# Sequences of columns and indexes follow their tables; what an extension made stays as it is.
_TAKE_OVER = """
DO $$
DECLARE found record;
BEGIN
  FOR found IN
    SELECT format('ALTER %s %s OWNER TO %I', kind, name, {owner}) AS statement FROM (
      SELECT CASE c.relkind WHEN 'v' THEN 'VIEW' WHEN 'm' THEN 'MATERIALIZED VIEW' WHEN 'S' THEN 'SEQUENCE'
             ELSE 'TABLE' END AS kind, c.oid::regclass::text AS name, c.oid AS id, c.relowner AS holder
        FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
       WHERE n.nspname = 'public' AND c.relkind IN ('r', 'p', 'v', 'm', 'S')
      UNION ALL
      SELECT 'TYPE', t.oid::regtype::text, t.oid, t.typowner
        FROM pg_type t JOIN pg_namespace n ON n.oid = t.typnamespace
       WHERE n.nspname = 'public' AND t.typtype IN ('e', 'd')
      UNION ALL
      SELECT 'ROUTINE', p.oid::regprocedure::text, p.oid, p.proowner
        FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace
       WHERE n.nspname = 'public'
    ) objects
    WHERE holder <> {owner}::regrole
      AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.objid = id AND d.deptype IN ('a', 'i', 'e'))
  LOOP
    EXECUTE found.statement;
  END LOOP;
END $$
"""
# Locks that would keep the feature store's writer waiting, and large objects, which need no rights on tables.
_WITHOUT_TABLES = r"""
DO $$
DECLARE found regprocedure;
BEGIN
  FOR found IN
    SELECT p.oid FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace
     WHERE n.nspname = 'pg_catalog'
       AND p.proname ~
           '^(pg_(try_)?advisory_(xact_)?lock(_shared)?|lo_(creat|create|from_bytea|put)|lowrite)$'
  LOOP
    EXECUTE format('REVOKE EXECUTE ON FUNCTION %s FROM PUBLIC', found);
    EXECUTE format('GRANT EXECUTE ON FUNCTION %s TO %I', found, {owner});
  END LOOP;
END $$
"""


def ensure_database(admin: Mapping[str, Any], name: str, password: str) -> None:
    """
    Create a database and a role of the same name that owns it and can connect to no other one.

    :param admin: how psycopg connects as superuser, without ``dbname``.
    :param password: of the role.
    """
    import psycopg
    from psycopg import sql

    role = sql.Identifier(name)
    with psycopg.connect(**admin, dbname="postgres", autocommit=True) as connection:
        # One at a time: the server refuses concurrent changes of the rights on one database.
        connection.execute("SELECT pg_advisory_lock(%s)", [_LOCK])
        _ensure_role(connection, name, password)
        known = connection.execute("SELECT FROM pg_database WHERE datname = %s", [name]).fetchone()
        if known is None:
            connection.execute(sql.SQL("CREATE DATABASE {} OWNER {}").format(role, role))
        else:
            connection.execute(sql.SQL("ALTER DATABASE {} OWNER TO {}").format(role, role))
        for database in (name, "postgres", "template1"):
            statement = sql.SQL("REVOKE ALL ON DATABASE {} FROM PUBLIC")
            connection.execute(statement.format(sql.Identifier(database)))
    if known is not None:
        with psycopg.connect(**admin, dbname=name, autocommit=True) as connection:
            connection.execute(sql.SQL(_TAKE_OVER).format(owner=sql.Literal(name)))


def ensure_reader(admin: Mapping[str, Any], database: str, role: str, password: str) -> None:
    """
    Create a role that reads all tables of a database, those of later on included, and can do nothing else.

    :param database: one of :func:`ensure_database`.
    """
    import psycopg
    from psycopg import sql

    names = {"reader": sql.Identifier(role), "owner": sql.Identifier(database)}
    with psycopg.connect(**admin, dbname=database, autocommit=True) as connection:
        _ensure_role(connection, role, password)
        for statement in (
            "GRANT CONNECT ON DATABASE {owner} TO {reader}",
            "REVOKE CREATE ON SCHEMA public FROM PUBLIC",
            "GRANT USAGE ON SCHEMA public TO {reader}",
            "GRANT SELECT ON ALL TABLES IN SCHEMA public TO {reader}",
            "ALTER DEFAULT PRIVILEGES FOR ROLE {owner} IN SCHEMA public GRANT SELECT ON TABLES TO {reader}",
            "ALTER ROLE {reader} SET default_transaction_read_only = on",
        ):
            connection.execute(sql.SQL(statement).format(**names))
        connection.execute(sql.SQL(_WITHOUT_TABLES).format(owner=sql.Literal(database)))


def _ensure_role(connection: Any, name: str, password: str) -> None:
    """Create the role or take its rights back, and set its password, which the server gets as a hash only."""
    from psycopg import sql

    role = sql.Identifier(name)
    if connection.execute("SELECT FROM pg_roles WHERE rolname = %s", [name]).fetchone() is None:
        connection.execute(sql.SQL("CREATE ROLE {}").format(role))
    hashed = connection.pgconn.encrypt_password(password.encode(), name.encode(), b"scram-sha-256").decode()
    statement = sql.SQL("ALTER ROLE {} " + _NO_RIGHTS + " PASSWORD {}")
    connection.execute(statement.format(role, sql.Literal(hashed)))
