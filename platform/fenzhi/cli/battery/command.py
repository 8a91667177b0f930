"""`fenzhi battery SECTION` (长时测试命令)."""

from __future__ import annotations

import asyncio
import importlib
import json
import sys
import time
from enum import StrEnum
from pathlib import Path
from types import ModuleType
from typing import Annotated

import typer
from rich.console import Console

from fenzhi.cli.battery.tally import Skipped, Tally
from fenzhi.cli.servers import ServerAddresses, Servers
from fenzhi.cli.trial_servers import DATABASE_URL, REDIS_URL, trial

HELD, CRASHED, FELL = 0, 1, 2


class Section(StrEnum):
    """What can be tried (测试组)."""

    TOKENS = "tokens"
    GRAPHQL = "graphql"
    IDEMPOTENCY = "idempotency"
    CONCURRENCY = "concurrency"
    INTERFERENCE = "interference"
    WALLS = "walls"
    DELIVERY = "delivery"
    KILLS = "kills"
    CUTS = "cuts"
    ROLLOUTS = "rollouts"
    CLOCKS = "clocks"
    DISK = "disk"
    UPLOADS = "uploads"
    SUBMISSION = "submission"
    FUZZ = "fuzz"
    AUDIT = "audit"
    RESTORE = "restore"
    CANARIES = "canaries"
    MIGRATIONS = "migrations"


DURABLE = frozenset({Section.KILLS})
"""Sections whose servers write through to the disk (落盘测试组)."""


def battery(
    section: Section,
    seed: Annotated[int, typer.Option("--seed", min=0, help="The same seed tries the same things.")] = 1,
    rounds: Annotated[int, typer.Option("--rounds", min=0, help="How often; 0 takes the section's own number.")] = 0,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON to standard output and nothing else.")] = False,
    pg_bin: Annotated[
        Path | None, typer.Option("--pg-bin", help="Run the PostgreSQL of this bin folder instead of the packaged one.")
    ] = None,
    redis_bin: Annotated[
        Path | None, typer.Option("--redis-bin", help="Run this Redis server instead of the packaged one.")
    ] = None,
    database_url: Annotated[
        str, typer.Option("--database-url", envvar=DATABASE_URL, help="A PostgreSQL 15 or later: a superuser's DSN.")
    ] = "",
    redis_url: Annotated[str, typer.Option("--redis-url", envvar=REDIS_URL, help="A Redis 7 or later.")] = "",
) -> int:
    """Try one section over a platform of its own, thrown away afterwards (长时测试).

    Servers not named are embedded ones. Servers named by address are not killed; programs named by path are run here and are.

    Exit codes: 0 everything held or the machine lacks what the section needs (said as `skipped`), 2 something fell, 1 crashed.
    """
    module = importlib.import_module(f"fenzhi.cli.battery.{section.value}")
    began = time.monotonic()
    try:
        with trial(
            "battery",
            database_url=database_url,
            redis_url=redis_url,
            durable=section in DURABLE,
            postgres_bin=pg_bin,
            redis_bin=redis_bin,
        ) as (servers, addresses):
            tally = _tried(module, servers, addresses, seed, rounds)
    except Skipped as exc:
        print(json.dumps({"section": section.value, "skipped": exc.en}) if as_json else f"{exc.zh} {exc.en}")
        return HELD
    except Exception as exc:
        Console(stderr=True).print_exception()
        if as_json:
            print(json.dumps({"crashed": f"{type(exc).__name__}: {exc}"}, ensure_ascii=False))
        return CRASHED
    report = {
        **tally.report(section.value, seed),
        "servers": "given" if database_url else str(pg_bin) if pg_bin else "embedded",
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


def _tried(module: ModuleType, servers: Servers, addresses: ServerAddresses, seed: int, rounds: int) -> Tally:
    """Let a section try (执行测试组): one that breaks servers gets the servers too."""
    trying = (
        module.run_on(servers, addresses, seed, rounds)
        if hasattr(module, "run_on")
        else module.run(addresses, seed, rounds)
    )
    tally: Tally = asyncio.run(trying)
    return tally
