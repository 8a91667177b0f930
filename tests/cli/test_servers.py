"""The supervisor of the embedded servers, tried on real ones: kept data, crashes, moved homes, given servers."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import subprocess
import sys
import uuid
from pathlib import Path

import asyncpg
import psutil
import pytest
import redis

from fenzhi.cli import database_roles, server_home
from fenzhi.cli.database_roles import replace_dsn, safe_dsn, with_connection
from fenzhi.cli.main import run
from fenzhi.cli.servers import ServerAddresses, Servers, start_servers
from fenzhi.cli.valkey_server import answers
from fenzhi.rules.refusals import Conflict

embedded_only = pytest.mark.skipif(
    bool(os.environ.get("FENZHI_TEST_DATABASE_URL")), reason="the servers were given by DSN"
)


def value(dsn: str, query: str) -> object:
    return with_connection(dsn, lambda connection: connection.fetchval(query))


def execute(dsn: str, statement: str) -> None:
    with_connection(dsn, lambda connection: connection.execute(statement))


def alive(pid: int) -> bool:
    return psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE


@pytest.fixture
def state(open_folder: Path) -> Path:
    return open_folder / f"state-{uuid.uuid4().hex[:8]}"


def test_the_application_role_owns_nothing_and_is_weak(servers: ServerAddresses) -> None:
    row = with_connection(
        servers.app_dsn,
        lambda connection: connection.fetchrow(
            "select rolname, rolsuper, rolbypassrls, rolcreaterole, rolcreatedb, rolinherit, "
            "pg_has_role(current_user, datdba, 'member') as owns_database "
            "from pg_roles, pg_database where rolname = current_user and datname = current_database()"
        ),
    )
    assert row is not None
    assert dict(row) == {
        "rolname": "fenzhi_app",
        "rolsuper": False,
        "rolbypassrls": False,
        "rolcreaterole": False,
        "rolcreatedb": False,
        "rolinherit": False,
        "owns_database": False,
    }


def test_the_owner_is_no_superuser_and_may_make_roles(servers: ServerAddresses) -> None:
    query = (
        "select array[rolsuper, rolbypassrls, rolcreaterole, rolcreatedb] from pg_roles where rolname = current_user"
    )
    assert value(servers.owner_dsn, query) == [False, False, True, True]


@embedded_only
def test_a_wrong_password_is_refused(servers: ServerAddresses) -> None:
    with pytest.raises(Conflict) as refused:
        value(replace_dsn(servers.app_dsn, password="wrong"), "select 1")
    assert refused.value.code == "DATABASE_UNREACHABLE"
    assert isinstance(refused.value.__cause__, asyncpg.InvalidPasswordError)


@embedded_only
def test_redis_asks_for_its_password(servers: ServerAddresses) -> None:
    assert answers(servers.redis_url)
    without = redis.Redis(port=redis.Redis.from_url(servers.redis_url).connection_pool.connection_kwargs["port"])
    with pytest.raises(redis.AuthenticationError):
        without.ping()
    without.close()


@embedded_only
def test_servers_listen_on_loopback_only_and_not_as_root(servers: ServerAddresses) -> None:
    for pid in servers.pids.values():
        process = psutil.Process(pid)
        assert process.uids().real != 0
        assert {connection.laddr.ip for connection in process.net_connections() if connection.status == "LISTEN"} == {
            "127.0.0.1"
        }


@embedded_only
def test_secrets_are_in_files_only_their_owner_reads(running_servers: Servers) -> None:
    secret_file = running_servers.state_dir / "servers.json"
    assert secret_file.stat().st_mode & 0o777 == 0o600
    command_lines = " ".join(" ".join(psutil.Process(pid).cmdline()) for pid in running_servers.addresses.pids.values())
    for dsn in (running_servers.addresses.owner_dsn, running_servers.addresses.redis_url):
        assert dsn.split("@")[0].rpartition(":")[2] not in command_lines


@embedded_only
def test_data_passwords_and_ports_are_kept_between_runs(state: Path) -> None:
    with start_servers(state) as first:
        execute(first.owner_dsn, "create table kept as select 42 as answer")
        pids = first.pids
    assert not any(psutil.pid_exists(pid) for pid in pids.values())
    with start_servers(state) as second:
        assert value(second.owner_dsn, "select answer from kept") == 42
        assert (second.owner_dsn, second.app_dsn, second.redis_url) == (first.owner_dsn, first.app_dsn, first.redis_url)


@embedded_only
def test_a_killed_server_is_revived_with_its_data(state: Path) -> None:
    servers = Servers(state)
    addresses = servers.start()
    try:
        execute(addresses.owner_dsn, "create table kept as select 7 as answer")
        for pid in addresses.pids.values():
            os.kill(pid, signal.SIGKILL)
            psutil.Process(pid).wait(10)
        assert servers.revive() == ["postgres", "valkey"]
        assert servers.revive() == []
        assert value(addresses.owner_dsn, "select answer from kept") == 7
        assert answers(addresses.redis_url)
        assert set(servers.addresses.pids.values()).isdisjoint(addresses.pids.values())
    finally:
        servers.remove()
    assert not state.exists()


@embedded_only
def test_servers_left_behind_by_a_killed_supervisor_are_replaced(state: Path) -> None:
    program = (
        "import os, sys, signal; from pathlib import Path; from fenzhi.cli.servers import Servers; "
        "s = Servers(Path(sys.argv[1])); a = s.start(); print(*a.pids.values(), flush=True); "
        "os.kill(os.getpid(), signal.SIGKILL)"
    )
    done = subprocess.run([sys.executable, "-c", program, str(state)], capture_output=True, text=True, check=False)
    orphans = [int(pid) for pid in done.stdout.split()]
    assert done.returncode == -signal.SIGKILL
    assert [alive(pid) for pid in orphans] == [True, True]
    with start_servers(state) as addresses:
        assert [alive(pid) for pid in orphans] == [False, False]
        assert value(addresses.app_dsn, "select 1") == 1


@embedded_only
def test_a_lock_file_with_a_strangers_process_number_is_dropped(state: Path) -> None:
    servers = Servers(state)
    servers.start()
    servers.stop()
    home = servers.home
    assert home is not None
    lock = home.folder / "pgdata-18" / "postmaster.pid"
    lock.write_text(f"{os.getpid()}\n{lock.parent}\n0\n0\n\n127.0.0.1\n0\n", encoding="ascii")
    home.own(lock)
    with start_servers(state) as addresses:
        assert value(addresses.app_dsn, "select 1") == 1


@embedded_only
def test_lost_passwords_do_not_lose_the_data(state: Path) -> None:
    with start_servers(state) as first:
        execute(first.owner_dsn, "create table kept as select 3 as answer")
    (state / "servers.json").unlink()
    with start_servers(state) as second:
        assert second.owner_dsn != first.owner_dsn
        assert value(second.owner_dsn, "select answer from kept") == 3


@embedded_only
def test_one_state_folder_has_one_supervisor(running_servers: Servers) -> None:
    with pytest.raises(Conflict) as refused:
        Servers(running_servers.state_dir).start()
    assert refused.value.code == "ALREADY_RUNNING"
    assert value(running_servers.addresses.app_dsn, "select 1") == 1


@embedded_only
@pytest.mark.skipif(os.geteuid() != 0, reason="only root runs its servers as somebody else")
def test_a_state_folder_that_nobody_cannot_enter_is_left_alone(open_folder: Path) -> None:
    closed = open_folder / f"closed-{uuid.uuid4().hex[:8]}"
    closed.mkdir(mode=0o700)
    servers = Servers(closed / "state", durable=False)
    addresses = servers.start()
    home = servers.home
    try:
        assert home is not None
        assert home.moved
        assert closed.stat().st_mode & 0o777 == 0o700
        assert home.folder.stat().st_uid == 0
        assert home.folder.stat().st_mode & 0o777 == 0o755
        assert psutil.Process(addresses.pids["postgres"]).username() == pwd.getpwnam("nobody").pw_name
        assert value(addresses.app_dsn, "select 1") == 1
    finally:
        servers.remove()
        shutil.rmtree(closed)
    assert not home.folder.exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root moves its servers")
def test_a_home_that_somebody_else_made_is_refused(open_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    state = open_folder / f"taken-{uuid.uuid4().hex[:8]}"
    (state / "servers").mkdir(parents=True)
    state.chmod(0o755)
    (state / "servers").chmod(0o777)
    with pytest.raises(Conflict) as refused:
        server_home.server_home(state)
    assert refused.value.code == "STATE_DIR_UNSAFE"


def test_a_given_database_gets_its_application_role(running_servers: Servers, open_folder: Path) -> None:
    """With the owner's DSN alone, the application role is made, kept, and found again."""
    given = running_servers.addresses
    name = f"fenzhi_test_{uuid.uuid4().hex[:8]}"
    owner_dsn = running_servers.create_database(name).owner_dsn
    state = open_folder / name
    options = {
        "database_url": owner_dsn.replace("postgresql://", "postgresql+asyncpg://"),
        "redis_url": given.redis_url,
    }
    try:
        with start_servers(state, **options) as first:
            assert first.pids == {}
            assert first.owner_dsn == owner_dsn
            assert (
                value(first.app_dsn, "select current_user::text || '@' || current_database()") == f"fenzhi_app@{name}"
            )
        with start_servers(state, **options) as second:
            assert second.app_dsn == first.app_dsn
    finally:
        password = given.app_dsn.split("@")[0].rpartition(":")[2]
        database_roles.bootstrap_application_role(given.owner_dsn, application_password=password)
        running_servers.drop_database(name)
    assert value(given.app_dsn, "select 1") == 1


def test_a_role_that_may_not_make_roles_is_told_so(servers: ServerAddresses) -> None:
    with pytest.raises(Conflict) as refused:
        database_roles.bootstrap_application_role(servers.app_dsn, application_password="x")
    assert refused.value.code == "ROLE_NOT_ALLOWED"


def test_an_unreachable_database_is_named_without_its_password() -> None:
    with pytest.raises(Conflict) as refused:
        value(f"postgresql://someone:secret@127.0.0.1:{server_home.free_port()}/x", "select 1")
    assert refused.value.code == "DATABASE_UNREACHABLE"
    assert "secret" not in refused.value.zh + refused.value.en + refused.value.hint


@pytest.mark.parametrize(
    ("dsn", "changes", "expected"),
    [
        ("postgres://u:p@h:1/d?sslmode=require", {"database": "e"}, "postgresql://u:p@h:1/e?sslmode=require"),
        ("postgresql+asyncpg://u:p@h/d", {"user": "a/b", "password": "x@:"}, "postgresql://a%2Fb:x%40%3A@h/d"),
        ("postgresql://u:p@h/d", {"user": "v"}, "postgresql://v@h/d"),
        ("postgresql://u:p%40@h/d", {}, "postgresql://u:p%40@h/d"),
    ],
)
def test_replacing_parts_of_a_dsn(dsn: str, changes: dict[str, str], expected: str) -> None:
    assert replace_dsn(dsn, **changes) == expected


def test_a_dsn_is_shown_without_its_password() -> None:
    assert safe_dsn("postgresql://u:p@h:5432/d") == "postgresql://u@h:5432/d"


def test_an_administrator_makes_roles_and_database(
    running_servers: Servers, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    given = running_servers.addresses
    name = f"fenzhi_test_{uuid.uuid4().hex[:8]}"
    wanted = given.with_database(name)
    monkeypatch.setenv("FENZHI_DATABASE_URL", wanted.owner_dsn)
    monkeypatch.setenv("FENZHI_APP_DATABASE_URL", wanted.app_dsn)
    administrator = given.superuser_dsn or os.environ["FENZHI_TEST_DATABASE_URL"]
    try:
        for _ in range(2):
            assert run(["db", "bootstrap", "--admin-dsn", administrator]) == 0
        owner = "select pg_get_userbyid(datdba)::text from pg_database where datname = current_database()"
        assert value(wanted.app_dsn, owner) == "fenzhi_owner"
    finally:
        running_servers.drop_database(name)
    assert given.owner_dsn.split("@")[0].rpartition(":")[2] not in capsys.readouterr().err


@pytest.mark.parametrize(
    ("owner", "application"),
    [
        ("postgresql://postgres:p@h/fenzhi", "postgresql://fenzhi_app:p@h/fenzhi"),
        ("postgresql://fenzhi_owner@h/fenzhi", "postgresql://fenzhi_app:p@h/fenzhi"),
        ("postgresql://fenzhi_owner:p@h/fenzhi", "postgresql://fenzhi_owner:p@h/fenzhi"),
        ("postgresql://fenzhi_owner:p@h/one", "postgresql://fenzhi_app:p@h/two"),
        ("", ""),
    ],
)
def test_dsns_that_do_not_fit_are_refused_before_anything_is_made(owner: str, application: str) -> None:
    with pytest.raises(Conflict) as refused:
        database_roles.bootstrap_external(
            "postgresql://nowhere.invalid/x", owner_dsn=owner, application_dsn=application
        )
    assert refused.value.code == "DSN_UNFIT"
