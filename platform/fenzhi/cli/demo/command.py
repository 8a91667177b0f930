"""`fenzhi demo` (演示命令): start the platform, run the main job, tell what came out, leave it running or stop it."""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Annotated, TypeVar

import httpx
import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from fenzhi.cli.database_roles import DATABASE, drop_database
from fenzhi.cli.demo import report, sources
from fenzhi.cli.demo.steps import Demonstration
from fenzhi.cli.flow.client import Cast
from fenzhi.cli.servers import start_servers
from fenzhi.cli.status import PlatformStatus
from fenzhi.cli.tokens import token_maker
from fenzhi.cli.up import start_detached, stop_platform
from fenzhi.rules.refusals import Conflict
from fenzhi.services.registry.accounts import tenants
from fenzhi.settings import Settings
from fenzhi.store.session import Database

T = TypeVar("T")
OK, DOES_NOT_ADD_UP = 0, 1
DEMONSTRATIONS = frozenset({"990000", "980000"})
"""Codes of the provinces that demonstrations make: no division has them."""


def demo(
    data: Annotated[
        Path | None, typer.Option("--data", help="Folder of public claims; default: an invented province.")
    ] = None,
    exit_after: Annotated[bool, typer.Option("--exit", help="Stop the platform at the end.")] = False,
    json_out: Annotated[Path | None, typer.Option("--json-out", help="Write the outcome as JSON to this file.")] = None,
    cases: Annotated[int, typer.Option("--cases", min=200, help="Lists of the invented province.")] = 21_000,
    seed: Annotated[int, typer.Option("--seed", help="Seed of the invented province.")] = 1,
    lists_to: Annotated[
        Path | None,
        typer.Option(
            "--lists-to",
            help="Stop before lists are submitted; write them to this folder, one file a hospital, for fenzhi submit.",
            file_okay=False,
        ),
    ] = None,
) -> int:
    """The whole flow, from an empty machine to published scorecards (全流程演示)."""
    console = Console(width=None if sys.stdout.isatty() else 110)
    settings = Settings()
    began = time.monotonic()

    def say(zh: str, en: str) -> None:
        console.print(f"{zh} [dim]{en}[/]", highlight=False)

    source = sources.claimed(data) if data is not None else sources.synthetic(cases, seed)
    status = _empty_platform(settings, source.plan.code, say)
    if lists_to is not None:
        asyncio.run(_demonstrate(settings, status, source, console, Demonstration.furnish))
        files, lists = write_lists(source, lists_to)
        say(f"已写出 {files} 家医院的 {lists:,} 份清单：{lists_to}", f"{lists:,} lists of {files} hospitals written")
        report.tell_submitting(console, lists_to)
        return OK
    try:
        outcome = asyncio.run(_demonstrate(settings, status, source, console, Demonstration.run))
        outcome.wall_s = time.monotonic() - began
        report.tell(console, outcome, source.plan.notice, f"Fenzhi 分值 · {source.plan.name}")
        console.print(f"用时 {outcome.wall_s:.0f} 秒 [dim]seconds[/]")
        faults = outcome.faults()
        for fault in faults:
            console.print(f"[red]✗ {fault}[/]", highlight=False)
        if json_out is not None:
            json_out.parent.mkdir(parents=True, exist_ok=True)
            json_out.write_text(json.dumps(outcome.as_json(), ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
    finally:
        if exit_after:
            stop_platform(settings.state_dir)
    if not exit_after:
        plan = source.plan
        report.tell_next(console, plan.hospitals[0].code, plan.cities[0].code, plan.code)
    return DOES_NOT_ADD_UP if faults else OK


def _empty_platform(settings: Settings, province: str, say: Callable[[str, str], None]) -> PlatformStatus:
    """A running platform without an earlier demonstration (空平台): one that holds demonstrations only starts anew.

    Raises: Conflict DEMO_EXISTS where it holds anything else besides, or lives on a server of somebody else's.
    """
    status = start_detached(settings, say=say)
    provinces = asyncio.run(_provinces(status.app_dsn))
    if province not in provinces:
        return status
    if not provinces <= DEMONSTRATIONS or settings.database_url is not None:
        raise Conflict(
            f"演示省 {province} 已存在于此平台。",
            f"The demonstration's province {province} exists on this platform already.",
            code="DEMO_EXISTS",
            hint="换一个状态目录：FENZHI_STATE_DIR / name another state folder by FENZHI_STATE_DIR",
        )
    say("平台上只有上一次演示，重新开始。", "The platform holds an earlier demonstration only; starting anew.")
    stop_platform(settings.state_dir)
    with start_servers(settings.state_dir) as addresses:
        drop_database(addresses.superuser_dsn or addresses.owner_dsn, DATABASE)
    return start_detached(settings, say=say)


async def _provinces(app_dsn: str) -> set[str]:
    database = Database(app_dsn, pool_size=1, application="fenzhi-demo")
    try:
        return {tenant["code"] for tenant in await tenants(database) if tenant["kind"] == "province"}
    finally:
        await database.close()


def write_lists(source: sources.DemoSource, folder: Path) -> tuple[int, int]:
    """Write each hospital's lists to `folder`/CODE.ndjson (写出清单文件): how many files, how many lists."""
    folder.mkdir(parents=True, exist_ok=True)
    by_hospital = source.lists_by_hospital()
    for code, lines in by_hospital.items():
        (folder / f"{code}.ndjson").write_bytes(b"\n".join(lines) + b"\n")
    return len(by_hospital), sum(map(len, by_hospital.values()))


async def _demonstrate(
    settings: Settings,
    status: PlatformStatus,
    source: sources.DemoSource,
    console: Console,
    flow: Callable[[Demonstration], Awaitable[T]],
) -> T:
    database = Database(status.app_dsn, pool_size=2, application="fenzhi-demo")
    try:
        limits = httpx.Limits(max_connections=16)
        async with httpx.AsyncClient(base_url=status.api_url, timeout=120, limits=limits) as http:
            columns = (
                SpinnerColumn(),
                TextColumn("{task.description}"),
                BarColumn(),
                MofNCompleteColumn(),
                TimeElapsedColumn(),
            )
            with Progress(*columns, console=console) as progress:
                cast = Cast(http, token_maker(settings, database))
                return await flow(Demonstration(cast, source, progress))
    finally:
        await database.close()
