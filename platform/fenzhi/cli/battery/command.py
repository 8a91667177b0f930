"""`fenzhi battery SECTION` (长时测试命令)."""

from __future__ import annotations

import asyncio
import importlib
import json
import sys
import tempfile
import time
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from fenzhi.cli.battery.tally import Tally
from fenzhi.cli.servers import start_servers

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
) -> int:
    """Try one section over a platform of its own, thrown away afterwards (长时测试).

    Exit codes: 0 everything held, 2 something fell, 1 crashed.
    """
    module = importlib.import_module(f"fenzhi.cli.battery.{section.value}")
    began = time.monotonic()
    try:
        with tempfile.TemporaryDirectory(prefix="fenzhi-battery-") as folder:
            Path(folder).chmod(0o755)
            with start_servers(Path(folder) / "state", durable=False) as addresses:
                tally: Tally = asyncio.run(module.run(addresses, seed, rounds))
    except Exception as exc:
        Console(stderr=True).print_exception()
        if as_json:
            print(json.dumps({"crashed": f"{type(exc).__name__}: {exc}"}, ensure_ascii=False))
        return CRASHED
    report = {**tally.report(section.value, seed), "seconds": round(time.monotonic() - began, 1)}
    if as_json:
        print(json.dumps(report, ensure_ascii=False, indent=1))
    else:
        Console(highlight=False).print(f"{section.value}: {report['held']}/{report['tried']} ({report['seconds']} s)")
        for name, counts in report["targets"].items():
            Console(highlight=False).print(f"  {name}: {counts['held']}/{counts['tried']}")
        for line in report["failures"]:
            print(f"  ✗ {line}", file=sys.stderr)
    return FELL if tally.failures else HELD
