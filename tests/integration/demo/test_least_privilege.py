"""Each credential of the stack can do its job on the real servers, and nothing else."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

import psycopg
import pytest

from demo.database_roles import ensure_database, ensure_reader
from demo.identities import ACTIONS
from demo.servers import Servers

REFUSED = "refused"


def plain(url: str) -> str:
    return url.replace("+psycopg", "")


# --- PostgreSQL


@pytest.fixture(scope="module")
def databases(servers: Servers) -> dict[str, str]:
    """URLs by role: two owners, and a reader of the first one's database."""
    urls = {
        "feast": servers.create_database("feast"),
        "airflow": servers.create_database("airflow"),
        "feast_reader": servers.create_reader("feast"),
    }
    with psycopg.connect(plain(urls["feast"])) as connection:
        connection.execute("DROP TABLE IF EXISTS views")
        connection.execute("CREATE TABLE views AS SELECT 1 AS n")
    return urls


def execute(url: str, statement: str) -> str:
    """Return `refused`, or what the statement found."""
    refusals = (
        psycopg.errors.InsufficientPrivilege,
        psycopg.errors.ReadOnlySqlTransaction,
        psycopg.OperationalError,
    )
    try:
        with psycopg.connect(url) as connection:
            connection.execute("SET default_transaction_read_only = off")
            connection.commit()
            found = connection.execute(statement)
            rows = found.fetchall() if found.description else []
            connection.rollback()
            return str(rows[0][0]) if rows else "done"
    except refusals:
        return REFUSED


NOBODY_MAY = [
    "CREATE ROLE attacker SUPERUSER",
    "ALTER ROLE CURRENT_USER SUPERUSER",
    "ALTER ROLE CURRENT_USER CREATEDB",
    "ALTER ROLE postgres PASSWORD 'x'",
    "SET ROLE postgres",
    "GRANT postgres TO CURRENT_USER",
    "SELECT rolpassword FROM pg_authid",
    "SELECT pg_read_file('/etc/passwd')",
    "COPY (SELECT 1) TO PROGRAM 'id'",
    "COPY (SELECT 1) TO '/tmp/left-by-a-role'",
    "CREATE EXTENSION file_fdw",
    "SELECT pg_reload_conf()",
    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'postgres'",
]
NO_READER_MAY = [
    "INSERT INTO views VALUES (2)",
    "UPDATE views SET n = 2",
    "DELETE FROM views",
    "TRUNCATE views",
    "DROP TABLE views",
    "ALTER TABLE views ADD m int",
    "CREATE TABLE mine (n int)",
    "CREATE TEMPORARY TABLE mine (n int)",
    "CREATE SCHEMA mine",
    "CREATE FUNCTION f() RETURNS int LANGUAGE sql AS 'SELECT 1'",
    "SELECT lo_create(0)",
    "SELECT lo_from_bytea(0, 'x')",
    "SELECT pg_advisory_lock(1)",
    "SELECT pg_try_advisory_lock(1)",
    "SELECT pg_advisory_xact_lock_shared(1, 2)",
    "ALTER TABLE views OWNER TO CURRENT_USER",
    "SELECT * FROM views FOR UPDATE",
    "LOCK TABLE views IN ACCESS EXCLUSIVE MODE",
]


@pytest.mark.parametrize("role", ["feast", "airflow", "feast_reader"])
@pytest.mark.parametrize("statement", NOBODY_MAY)
def test_no_role_can_become_more_than_it_is(databases: dict[str, str], role: str, statement: str) -> None:
    if statement == "CREATE EXTENSION file_fdw":
        with psycopg.connect(plain(databases[role])) as connection:
            query = "SELECT count(*) FROM pg_available_extensions WHERE name = 'file_fdw'"
            if connection.execute(query).fetchone() == (0,):
                pytest.skip("the server has no such extension")
    if "pg_terminate_backend" in statement:
        with psycopg.connect(plain(databases[role])) as connection, suppress(psycopg.Error):
            assert connection.execute(statement).fetchall() == []
        return
    assert execute(plain(databases[role]), statement) == REFUSED


@pytest.mark.parametrize("role", ["feast", "airflow", "feast_reader"])
@pytest.mark.parametrize("database", ["airflow", "feast", "postgres", "template1"])
def test_a_role_can_connect_to_its_own_database_only(
    databases: dict[str, str], role: str, database: str
) -> None:
    url = f"{plain(databases[role]).rsplit('/', 1)[0]}/{database}"
    own = database == role.removesuffix("_reader")
    assert execute(url, "SELECT current_user") == (role if own else REFUSED)


@pytest.mark.parametrize("statement", NO_READER_MAY)
def test_a_reader_changes_nothing(databases: dict[str, str], statement: str) -> None:
    assert execute(plain(databases["feast_reader"]), statement) == REFUSED


def test_a_reader_reads_tables_of_before_and_of_later(databases: dict[str, str]) -> None:
    reader = plain(databases["feast_reader"])
    assert execute(reader, "SELECT n FROM views") == "1"
    with psycopg.connect(plain(databases["feast"])) as connection:
        connection.execute("DROP TABLE IF EXISTS later")
        connection.execute("CREATE TABLE later AS SELECT 7 AS n")
    assert execute(reader, "SELECT n FROM later") == "7"


def test_an_owner_does_its_work(databases: dict[str, str]) -> None:
    owner = plain(databases["feast"])
    for statement in ("INSERT INTO views VALUES (2)", "CREATE TABLE mine (n int)", "CREATE SCHEMA mine"):
        assert execute(owner, statement) == "done"
    assert execute(owner, "SELECT pg_try_advisory_lock(1)") == "True"


def test_a_database_of_an_earlier_version_is_taken_over(servers: Servers) -> None:
    name = f"old_{secrets.token_hex(4)}"
    admin = servers.postgres._admin
    with psycopg.connect(**admin, dbname="postgres", autocommit=True) as connection:
        connection.execute(f'CREATE DATABASE "{name}"')
    with psycopg.connect(**admin, dbname=name, autocommit=True) as connection:
        connection.execute("CREATE TYPE state AS ENUM ('old')")
        connection.execute('CREATE TABLE "Runs" (id serial PRIMARY KEY, s state)')
        connection.execute('CREATE VIEW shown AS SELECT id FROM "Runs"')
        connection.execute("CREATE SEQUENCE alone")
        connection.execute("CREATE FUNCTION f() RETURNS int LANGUAGE sql AS 'SELECT 1'")
    try:
        for _ in range(2):  # at every start
            ensure_database(admin, name, "new")
            ensure_reader(admin, name, f"{name}_reader", "read")
        url = f"postgresql://{name}:new@127.0.0.1:{admin['port']}/{name}"
        with psycopg.connect(url) as connection:
            connection.execute("INSERT INTO \"Runs\" (s) VALUES ('old')")
            connection.execute("ALTER TYPE state ADD VALUE 'new'")
            connection.execute('ALTER TABLE "Runs" ADD further int')
            connection.execute("DROP VIEW shown")
            connection.execute("DROP SEQUENCE alone")
            connection.execute("DROP FUNCTION f()")
        reader = f"postgresql://{name}_reader:read@127.0.0.1:{admin['port']}/{name}"
        assert execute(reader, 'SELECT count(*) FROM "Runs"') == "1"
    finally:
        servers.drop_database(name)


# --- the object store


_OBJECTS = (
    *("data/song_properties/a.parquet", "data/song_rankings/rankings.parquet", "data/_staging/raw"),
    *("data/_training/jukebox/results/run/r.json", "data/_training/jukebox/champion.json"),
    *("data/_training/jukebox/rejected/r.json", "data/song_properties_of_others/a.parquet"),
    *("data-cache/files/md5/aa", "models/mlflow/1/model.onnx", "other/file"),
)


@pytest.fixture(scope="module")
def objects(servers: Servers) -> Iterator[None]:
    for bucket in ("data", "data-cache", "models", "other"):
        servers.create_bucket(bucket)
    for uri in _OBJECTS:
        servers.object_store.put_bytes(b"content", f"s3://{uri}")
    yield
    # Other tests use the same buckets.
    for uri in _OBJECTS:
        bucket, key = uri.split("/", 1)
        servers.object_store.client.delete_object(Bucket=bucket, Key=key)


READS: dict[str, set[str]] = {
    "airflow": {"data/song_properties/a.parquet", "data/_staging/raw", "data-cache/files/md5/aa"}
    | {"data/song_rankings/rankings.parquet", "data/_training/jukebox/results/run/r.json"}
    | {"data/_training/jukebox/champion.json", "data/_training/jukebox/rejected/r.json"}
    | {"data/song_properties_of_others/a.parquet"},
    "mlflow": {"models/mlflow/1/model.onnx"},
    "training": {"data/song_properties/a.parquet", "data/song_rankings/rankings.parquet"}
    | {"data/_training/jukebox/results/run/r.json"},
    "serving": {"data/song_properties/a.parquet"},
}
WRITES: dict[str, set[str]] = {
    "airflow": READS["airflow"],
    "mlflow": READS["mlflow"],
    "training": {"data/_training/jukebox/results/run/r.json"},
    "serving": set(),
}
ALL_OBJECTS = sorted(READS["airflow"] | READS["mlflow"] | {"other/file"})


def allowed(act: Callable[[], Any]) -> bool:
    from feature_ops.object_store_failures import ObjectStoreRefusedError

    try:
        act()
    except ObjectStoreRefusedError:
        return False
    return True


@pytest.mark.parametrize("identity", READS)
@pytest.mark.parametrize("object_", ALL_OBJECTS)
def test_an_identity_reads_and_writes_what_its_job_needs(
    servers: Servers, objects: None, identity: str, object_: str
) -> None:
    store, uri = servers.object_store_of(identity), f"s3://{object_}"
    bucket, key = object_.split("/", 1)
    folder = f"{object_.rsplit('/', 1)[0]}/"
    assert allowed(lambda: store.get_bytes(uri)) == (object_ in READS[identity])
    assert allowed(lambda: list(store.list(f"s3://{folder}"))) == (object_ in READS[identity])
    assert allowed(lambda: store.put_bytes(b"content", uri)) == (object_ in WRITES[identity])
    beside = f"{key.rsplit('/', 1)[0]}/new" if "/" in key else "new"
    delete = servers.object_store_of(identity).client.delete_object
    assert allowed(lambda: delete(Bucket=bucket, Key=beside)) == (object_ in WRITES[identity])
    assert allowed(lambda: store.client.create_multipart_upload(Bucket=bucket, Key=beside)) == (
        object_ in WRITES[identity]
    )


@pytest.mark.parametrize("identity", READS)
def test_no_identity_administers(servers: Servers, objects: None, identity: str) -> None:
    client = servers.object_store_of(identity).client
    attempts: list[Callable[[], Any]] = [
        lambda: client.create_bucket(Bucket="attack"),
        lambda: client.delete_bucket(Bucket="other"),
        lambda: list(client.list_objects_v2(Bucket="other")),
        lambda: client.put_bucket_policy(Bucket="data", Policy="{}"),
        lambda: client.put_bucket_acl(Bucket="data", ACL="public-read-write"),
        lambda: client.copy_object(Bucket="data", Key="_staging/x", CopySource="other/file"),
    ]
    assert [allowed(attempt) for attempt in attempts] == [False] * len(attempts)


@pytest.mark.parametrize("identity", ["training", "serving"])
def test_arrow_reads_a_folder_with_the_rights_of_a_reader(
    servers: Servers, objects: None, identity: str
) -> None:
    from pyarrow import fs

    files = servers.object_store_of(identity).filesystem
    found = files.get_file_info(fs.FileSelector("data/song_properties/", recursive=True))
    assert [file.base_name for file in found] == ["a.parquet"]
    assert files.get_file_info("data/song_properties").type == fs.FileType.Directory
    with pytest.raises(OSError, match="ACCESS_DENIED"):
        files.get_file_info("data/song_properties_of_others")
    with pytest.raises(OSError, match="ACCESS_DENIED"):
        files.get_file_info("data/_staging/raw")


@pytest.mark.parametrize("identity", ["training", "serving"])
def test_no_reader_lists_a_whole_bucket(servers: Servers, objects: None, identity: str) -> None:
    store = servers.object_store_of(identity)
    assert not allowed(lambda: list(store.list("s3://data/")))
    assert not allowed(lambda: list(store.list("s3://data/_training/jukebox/")))


def test_every_identity_but_the_administrator_is_tested() -> None:
    assert set(READS) | {"admin"} == set(ACTIONS)


# --- Valkey


@pytest.fixture
def users(servers: Servers) -> Iterator[dict[str, Any]]:
    import redis

    clients = {}
    for name, text in (("writer", servers.online_store), ("reader", servers.online_store_reader)):
        address, *options = text.split(",")
        host, port = address.split(":")
        clients[name] = redis.Redis(
            host=host, port=int(port), **dict(option.split("=", 1) for option in options)
        )
    servers.valkey.ask("HSET song music 1")
    yield clients
    for client in clients.values():
        client.close()


def told(client: Any, command: str) -> str:
    import redis

    try:
        return str(client.execute_command(*command.split()))
    except redis.exceptions.NoPermissionError:
        return REFUSED


NO_USER_MAY = [
    *(
        "FLUSHALL",
        "FLUSHDB",
        "CONFIG GET *",
        "CONFIG SET dir /tmp",
        "SAVE",
        "BGSAVE",
        "SHUTDOWN",
    ),
    *(
        "ACL LIST",
        "ACL SETUSER x on",
        "MODULE LIST",
        "REPLICAOF 127.0.0.1 1",
        "MONITOR",
        "KEYS *",
    ),
    *("CLIENT LIST", "CLIENT KILL TYPE normal", "SELECT 1", "SWAPDB 0 1", "MOVE song 1", "COPY song x DB 1"),
    *("FUNCTION LIST", "PUBLISH channel x", "MIGRATE h 1 song 0 1", "SCRIPT KILL", "CLUSTER INFO", "INFO"),
]
NO_READER_OF_KEYS_MAY = [
    *("SET song x", "HSET song music 2", "HDEL song music", "DEL song", "UNLINK song", "EXPIRE song 1"),
    *("RENAME song x", "SCAN 0", "RANDOMKEY", "DBSIZE", "WATCH song", "MULTI", "RESTORE x 0 x"),
    *("LPUSH queue x", "XADD stream * a b", "GETSET song x", "GETDEL song", "APPEND song x"),
]


@pytest.mark.parametrize("user", ["writer", "reader"])
@pytest.mark.parametrize("command", NO_USER_MAY)
def test_no_user_of_the_online_store_administers_it(users: dict[str, Any], user: str, command: str) -> None:
    assert told(users[user], command) == REFUSED


@pytest.mark.parametrize("command", [*NO_READER_OF_KEYS_MAY, "EVAL return(1) 0", "SCRIPT LOAD return(1)"])
def test_a_reader_of_the_online_store_writes_nothing_and_lists_no_keys(
    users: dict[str, Any], command: str
) -> None:
    assert told(users["reader"], command) == REFUSED


@pytest.mark.parametrize("user", ["writer", "reader"])
def test_both_users_read_values(users: dict[str, Any], user: str) -> None:
    with users[user].pipeline(transaction=False) as pipe:
        pipe.hmget("song", "music")
        assert pipe.execute() == [[b"1"]]


def test_the_writer_writes_values(users: dict[str, Any]) -> None:
    client = users["writer"]
    with client.pipeline() as pipe:
        pipe.watch("song")
        pipe.multi()
        pipe.hset("song", "music", "2")
        pipe.expire("song", 100)
        assert pipe.execute() == [0, True]
    assert client.eval("return redis.call('HGET', KEYS[1], 'music')", 1, "song") == b"2"
    assert [key for key in client.scan_iter(match="song")] == [b"song"]
    assert client.delete("song") == 1


@pytest.mark.parametrize("script", ["return redis.call('FLUSHALL')", "return redis.call('CONFIG','GET','*')"])
def test_a_script_of_the_writer_has_no_further_rights(users: dict[str, Any], script: str) -> None:
    import redis

    with pytest.raises(redis.exceptions.ResponseError, match=r"(?i)acl|permission|not allowed from script"):
        users["writer"].eval(script, 0)
