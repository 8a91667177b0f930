"""`fenzhi battery SECTION` (长时测试命令)."""

from __future__ import annotations

import asyncio
import importlib
import json
import sys
import time
from enum import StrEnum
from typing import Annotated

import typer
from rich.console import Console

from fenzhi.cli.battery.tally import Tally
from fenzhi.cli.trial_servers import DATABASE_URL, REDIS_URL, trial_database

HELD, CRASHED, FELL = 0, 1, 2


class Section(StrEnum):
    """What can be tried (测试组)."""

    TOKENS = "tokens"
    GRAPHQL = "graphql"
    IDEMPOTENCY = "idempotency"
    CONCURRENCY = "concurrency"
    INTERFERENCE = "interference"
    WALLS = "walls"


def battery(
    section: Section,
    seed: Annotated[int, typer.Option("--seed", min=0, help="The same seed tries the same things.")] = 1,
    rounds: Annotated[int, typer.Option("--rounds", min=0, help="How often; 0 takes the section's own number.")] = 0,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON to standard output and nothing else.")] = False,
    database_url: Annotated[
        str, typer.Option("--database-url", envvar=DATABASE_URL, help="A PostgreSQL 15 or later: a superuser's DSN.")
    ] = "",
    redis_url: Annotated[str, typer.Option("--redis-url", envvar=REDIS_URL, help="A Redis 7 or later.")] = "",
) -> int:
    """Try one section over a platform of its own, thrown away afterwards (长时测试).

    Servers not named are embedded ones.

    Exit codes: 0 everything held, 2 something fell, 1 crashed.
    """
    module = importlib.import_module(f"fenzhi.cli.battery.{section.value}")
    began = time.monotonic()
    try:
        with trial_database("battery", database_url=database_url, redis_url=redis_url) as addresses:
            tally: Tally = asyncio.run(module.run(addresses, seed, rounds))
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
