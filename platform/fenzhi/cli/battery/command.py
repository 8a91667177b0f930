"""`fenzhi battery SECTION` (长时测试命令)."""

from __future__ import annotations

import asyncio
import importlib
import json
import secrets
import sys
import time
from enum import StrEnum
<<<<<<< HEAD
=======
from pathlib import Path
from types import ModuleType
>>>>>>> 7f7a986 (Kills at random moments and named places over one platform; a lost database is said to be away, whichever way it went)
from typing import Annotated

import typer
from rich.console import Console

<<<<<<< HEAD
from fenzhi.cli.battery.tally import Tally
from fenzhi.cli.trial_servers import DATABASE_URL, REDIS_URL, trial_database
=======
from fenzhi.cli import database_roles
from fenzhi.cli.battery.tally import Skipped, Tally
from fenzhi.cli.servers import Servers
>>>>>>> 7f7a986 (Kills at random moments and named places over one platform; a lost database is said to be away, whichever way it went)

HELD, CRASHED, FELL = 0, 1, 2


class Section(StrEnum):
    """What can be tried (测试组)."""

    TOKENS = "tokens"
    GRAPHQL = "graphql"
    IDEMPOTENCY = "idempotency"
    CONCURRENCY = "concurrency"
    INTERFERENCE = "interference"
    WALLS = "walls"
    KILLS = "kills"


DURABLE = frozenset({Section.KILLS})
"""Sections whose servers write through to the disk (落盘测试组)."""


def battery(
    section: Section,
    seed: Annotated[int, typer.Option("--seed", min=0, help="The same seed tries the same things.")] = 1,
    rounds: Annotated[int, typer.Option("--rounds", min=0, help="How often; 0 takes the section's own number.")] = 0,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON to standard output and nothing else.")] = False,
<<<<<<< HEAD
    database_url: Annotated[
        str, typer.Option("--database-url", envvar=DATABASE_URL, help="A PostgreSQL 15 or later: a superuser's DSN.")
    ] = "",
    redis_url: Annotated[str, typer.Option("--redis-url", envvar=REDIS_URL, help="A Redis 7 or later.")] = "",
) -> int:
    """Try one section over a platform of its own, thrown away afterwards (长时测试).

    Servers not named are embedded ones.

    Exit codes: 0 everything held, 2 something fell, 1 crashed.
=======
    pg_bin: Annotated[
        Path | None, typer.Option("--pg-bin", help="Run the PostgreSQL of this bin folder instead of the packaged one.")
    ] = None,
    redis_bin: Annotated[
        Path | None, typer.Option("--redis-bin", help="Run this Redis server instead of the packaged one.")
    ] = None,
    dsn: Annotated[
        str, typer.Option("--dsn", help="A superuser's DSN: a server that is already there; it is not killed.")
    ] = "",
    redis_url: Annotated[str, typer.Option("--redis", help="A Redis that is already there; it is not killed.")] = "",
) -> int:
    """Try one section over a platform of its own, thrown away afterwards (长时测试).

    Exit codes: 0 everything held or the machine lacks what the section needs (said as `skipped`), 2 something fell, 1 crashed.
>>>>>>> 7f7a986 (Kills at random moments and named places over one platform; a lost database is said to be away, whichever way it went)
    """
    module = importlib.import_module(f"fenzhi.cli.battery.{section.value}")
    began = time.monotonic()
    try:
<<<<<<< HEAD
        with trial_database("battery", database_url=database_url, redis_url=redis_url) as addresses:
            tally: Tally = asyncio.run(module.run(addresses, seed, rounds))
=======
        with tempfile.TemporaryDirectory(prefix="fenzhi-battery-") as folder:
            Path(folder).chmod(0o755)
            servers = _servers(Path(folder) / "state", section, pg_bin, redis_bin, dsn, redis_url)
            servers.start()
            try:
                tally = _tried(module, servers, seed, rounds)
            finally:
                name = servers.addresses.owner_dsn.rpartition("/")[2]
                servers.remove()
                if dsn:
                    database_roles.drop_database(dsn, name)
    except Skipped as exc:
        print(json.dumps({"section": section.value, "skipped": exc.en}) if as_json else f"{exc.zh} {exc.en}")
        return HELD
>>>>>>> 7f7a986 (Kills at random moments and named places over one platform; a lost database is said to be away, whichever way it went)
    except Exception as exc:
        Console(stderr=True).print_exception()
        if as_json:
            print(json.dumps({"crashed": f"{type(exc).__name__}: {exc}"}, ensure_ascii=False))
        return CRASHED
    report = {
        **tally.report(section.value, seed),
        "servers": "given" if database_url else "embedded",
        "seconds": round(time.monotonic() - began, 1),
    }
    if as_json:
        print(json.dumps(report, ensure_ascii=False, indent=1))
    else:
        Console(highlight=False).print(f"{section.value}: {report['held']}/{report['tried']} ({report['seconds']} s)")
        for name, counts in report["targets"].items():
            Console(highlight=False).print(f"  {name}: {counts['held']}/{counts['tried']}")
        for line in report["failures"]:
            print(f"  ✗ {line}", file=sys.stderr)
    return FELL if tally.failures else HELD


def _servers(
    state_dir: Path, section: Section, pg_bin: Path | None, redis_bin: Path | None, dsn: str, redis_url: str
) -> Servers:
    """The servers to try on (测试服务): packaged ones, programs given, or servers given, on a database of the battery's own."""
    owner_dsn = app_dsn = ""
    if dsn:
        owner_dsn, app_dsn = database_roles.bootstrap_roles(
            dsn,
            owner_password=secrets.token_hex(16),
            application_password=secrets.token_hex(16),
            database=f"fenzhi_battery_{secrets.token_hex(4)}",
        )
    return Servers(
        state_dir,
        durable=section in DURABLE,
        database_url=owner_dsn,
        app_database_url=app_dsn,
        redis_url=redis_url,
        postgres_bin=pg_bin,
        redis_bin=redis_bin,
        superuser_dsn=dsn,
    )


def _tried(module: ModuleType, servers: Servers, seed: int, rounds: int) -> Tally:
    """Let a section try (执行测试组): one that breaks servers gets the servers, any other their addresses."""
    trying = module.run_on(servers, seed, rounds) if hasattr(module, "run_on") else None
    tally: Tally = asyncio.run(trying or module.run(servers.addresses, seed, rounds))
    return tally
