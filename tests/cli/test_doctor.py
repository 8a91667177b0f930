"""The doctor finds each fault it names, on real servers, and finds none where there is none."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from fenzhi.cli.database_roles import replace_dsn, with_connection
from fenzhi.cli.doctor import Finding, check_database, check_issuer, check_port, check_redis, check_state_dir, examine
from fenzhi.cli.server_home import free_port
from fenzhi.cli.servers import ServerAddresses
from fenzhi.settings import Settings


def wrong(findings: list[Finding]) -> list[str]:
    return [finding.code for finding in findings if finding.severity == "error"]


def execute(dsn: str, *statements: str) -> None:
    for statement in statements:
        with_connection(dsn, lambda connection, sql=statement: connection.execute(sql))


@contextmanager
def role_with(administrator_dsn: str, attributes: str) -> Iterator[str]:
    execute(administrator_dsn, f"create role fenzhi_test_strong login {attributes} password 'x'")
    try:
        yield replace_dsn(administrator_dsn, user="fenzhi_test_strong", password="x")
    finally:
        execute(administrator_dsn, "drop owned by fenzhi_test_strong", "drop role fenzhi_test_strong")


@pytest.fixture
def administrator(servers: ServerAddresses) -> str:
    return servers.superuser_dsn or os.environ["FENZHI_TEST_DATABASE_URL"]


def test_nothing_is_wrong_with_a_migrated_platform(migrated: ServerAddresses) -> None:
    findings = check_database(migrated.owner_dsn, migrated.app_dsn)
    assert wrong(findings) == []
    assert [finding.code for finding in findings] == ["POSTGRES", "CLOCK", "APPLICATION_ROLE", "MIGRATIONS"]
    assert check_redis(migrated.redis_url).severity == "ok"


def test_an_empty_database_is_behind(new_database: Callable[..., ServerAddresses]) -> None:
    empty = new_database()
    assert wrong(check_database(empty.owner_dsn, empty.app_dsn)) == ["MIGRATIONS_BEHIND"]


def test_a_superuser_as_application_role(administrator: str) -> None:
    with role_with(administrator, "superuser") as dsn:
        assert "APPLICATION_ROLE_IS_SUPERUSER" in wrong(check_database(administrator, dsn))


def test_an_application_role_that_bypasses_row_security(administrator: str) -> None:
    with role_with(administrator, "bypassrls") as dsn:
        assert "APPLICATION_ROLE_BYPASSES_RLS" in wrong(check_database(administrator, dsn))


def test_the_owner_as_application_role(migrated: ServerAddresses) -> None:
    assert wrong(check_database(migrated.owner_dsn, migrated.owner_dsn)) == ["APPLICATION_ROLE_OWNS_TABLES"]


def test_a_clock_that_is_three_seconds_off(migrated: ServerAddresses) -> None:
    findings = check_database(
        migrated.owner_dsn, migrated.app_dsn, host_clock=lambda: datetime.now(UTC) + timedelta(seconds=3)
    )
    assert wrong(findings) == ["CLOCK_SKEW"]


def test_a_missing_extension_and_one_that_is_there(migrated: ServerAddresses) -> None:
    findings = check_database(migrated.owner_dsn, migrated.app_dsn, extensions=("plpgsql", "no_such_thing"))
    assert wrong(findings) == ["EXTENSION_MISSING"]
    assert "no_such_thing" in next(finding.zh for finding in findings if finding.severity == "error")


def test_servers_that_are_too_old(migrated: ServerAddresses) -> None:
    assert wrong(check_database(migrated.owner_dsn, migrated.app_dsn, minimum_version=99)) == ["POSTGRES_TOO_OLD"]
    assert check_redis(migrated.redis_url, minimum_version=99).code == "REDIS_TOO_OLD"


def test_servers_that_are_not_there(migrated: ServerAddresses) -> None:
    nowhere = free_port()
    dsn = f"postgresql://fenzhi_app:secret@127.0.0.1:{nowhere}/fenzhi"
    (finding,) = check_database(dsn, dsn)
    assert finding.code == "DATABASE_UNREACHABLE"
    redis_finding = check_redis(f"redis://:secret@127.0.0.1:{nowhere}/0")
    assert redis_finding.code == "REDIS_UNREACHABLE"
    assert "secret" not in str(finding) + str(redis_finding)


def test_a_port_that_is_taken() -> None:
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        holder.listen()
        assert check_port("127.0.0.1", holder.getsockname()[1], None).code == "PORT_TAKEN"
    assert check_port("127.0.0.1", 0, None).severity == "ok"


def test_a_development_issuer_that_the_network_can_reach() -> None:
    assert check_issuer(Settings(api_host="0.0.0.0")).code == "DEVELOPMENT_ISSUER_EXPOSED"
    assert check_issuer(Settings(api_host="0.0.0.0", dev_issuer=False)).code == "NO_TOKEN_ISSUER"
    assert check_issuer(Settings(api_host="127.0.0.1")).severity == "ok"


def test_public_keys_that_cannot_be_read(tmp_path: Path) -> None:
    settings = Settings(jwt_issuer="https://idp.example", jwt_public_keys=tmp_path / "none.json")
    assert check_issuer(settings).code == "TOKEN_KEYS_UNREADABLE"


def test_a_secret_that_others_may_read(tmp_path: Path) -> None:
    (tmp_path / "keys").mkdir()
    for name in ("servers.json", "keys/master.key", "keys/development-issuer.jwks.json"):
        (tmp_path / name).write_text("x", encoding="ascii")
        (tmp_path / name).chmod(0o600)
    assert [finding.code for finding in check_state_dir(tmp_path)] == ["STATE_DIR"]
    (tmp_path / "keys" / "master.key").chmod(0o644)
    (tmp_path / "keys" / "development-issuer.jwks.json").chmod(0o644)
    (finding,) = check_state_dir(tmp_path)
    assert finding.code == "SECRET_FILE_EXPOSED"
    assert finding.remedy_en.startswith(f"chmod 600 {tmp_path}/keys/master.key")


def test_what_cannot_be_looked_at_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("DATABASE_URL", "APP_DATABASE_URL", "REDIS_URL"):
        monkeypatch.delenv(f"FENZHI_{name}", raising=False)
    findings = examine(Settings(state_dir=tmp_path / "none"))
    assert wrong(findings) == []
    assert [finding.code for finding in findings if finding.severity == "note"] == ["NOT_LOOKED_AT", "NOT_LOOKED_AT"]


def test_every_error_has_a_remedy_in_both_languages(tmp_path: Path) -> None:
    dsn = f"postgresql://x@127.0.0.1:{free_port()}/y"
    findings = [
        *check_database(dsn, dsn),
        check_redis(f"redis://127.0.0.1:{free_port()}"),
        check_issuer(Settings(api_host="0.0.0.0")),
    ]
    assert all(finding.remedy_zh and finding.remedy_en for finding in findings)
    assert len(findings) == 3
