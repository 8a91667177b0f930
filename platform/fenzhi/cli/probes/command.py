"""`fenzhi probes` (越权探测命令)."""

from __future__ import annotations

import asyncio
import json
import sys
import uuid
from typing import Annotated, Any

import typer
from graphql import build_schema
from rich.console import Console
from starlette.routing import Route

from fenzhi.access.roles import KIND_OF_ROLE, Role, TenantKind
from fenzhi.cli.probes import state
from fenzhi.cli.probes.enumerate import Question, questions
from fenzhi.cli.probes.judge import Judge, Verdicts
from fenzhi.cli.probes.paths import ask_path, ask_without_token, methods_of
from fenzhi.cli.probes.stage import probed_world
from fenzhi.cli.probes.world import ProbedWorld
from fenzhi.cli.status import NotRunning, running_status
from fenzhi.cli.trial_servers import trial_database
from fenzhi.settings import Settings
from fenzhi.store.wall_check import check_walls

CLEAN, CRASHED, LEAK = 0, 1, 2


def probes(
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON to standard output and nothing else.")] = False,
    walls_only: Annotated[bool, typer.Option("--walls-only", help="Only the database's walls, not the API.")] = False,
) -> int:
    """Probe the walls of the running platform's database, and every field and path over a world of its own (越权探测).

    The walls checked are those of the running platform when there is one. The API is probed over a fresh database with two provinces,
    so that nothing of the running platform is touched. Exit codes: 0 clean, 2 leak or unjudged, 1 crashed.
    """
    try:
        report = asyncio.run(_probe_all(Settings(), walls_only))
    except Exception as exc:
        Console(stderr=True).print_exception()
        if as_json:
            print(json.dumps({"crashed": f"{type(exc).__name__}: {exc}"}, ensure_ascii=False))
        return CRASHED
    if as_json:
        print(json.dumps(report, ensure_ascii=False, indent=1))
    else:
        _tell(report)
    if report["crashes"]:
        return CRASHED
    return LEAK if report["leaks"] or report["unjudged"] else CLEAN


async def _probe_all(settings: Settings, walls_only: bool) -> dict[str, Any]:
    wall_probes = []
    try:
        status = running_status(settings.state_dir)
        wall_probes += await check_walls(status.owner_dsn, status.app_dsn)
        watched = "running platform and a fresh world"
    except NotRunning:
        watched = "a fresh world"
    verdicts, fields, paths = Verdicts(), 0, 0
    if not walls_only or not wall_probes:
        with trial_database("probes") as addresses:
            async with probed_world(addresses, seed=uuid.uuid4().int % 10**6) as world:
                wall_probes += await check_walls(addresses.owner_dsn, addresses.app_dsn)
                if not walls_only:
                    verdicts, fields, paths = await probe_api(world, addresses.app_dsn)
    fallen = [f"wall {p.table} {p.role}: not so: {p.question}" for p in wall_probes if not p.held]
    return {
        "watched": watched,
        "probes": verdicts.probes + len(wall_probes),
        "wall_probes": len(wall_probes),
        "fields": fields,
        "paths": paths,
        "roles": len(KIND_OF_ROLE),
        "relations": dict(sorted(verdicts.relations.items())),
        "leaks": len(fallen) + len(verdicts.leaks),
        "leak_list": [*fallen, *verdicts.leaks][:200],
        "unjudged": len(verdicts.unjudged),
        "unjudged_list": verdicts.unjudged,
        "crashes": len(verdicts.crashes),
        "crash_list": verdicts.crashes[:50],
    }


async def probe_api(world: ProbedWorld, app_dsn: str) -> tuple[Verdicts, int, int]:
    """Every field and path over a world (接口探测): the verdicts, how many fields, how many paths."""
    from fenzhi_graphql.app import routes
    from fenzhi_graphql.print_schema import schema_text

    judge = Judge(world)
    asked = list(questions(build_schema(schema_text())))
    table = [route for route in routes(b"") if isinstance(route, Route)]
    for route in table:
        for method in methods_of(route):
            await ask_without_token(judge, route, method)
    for subject, role in world.subjects():
        before = await state.state_of(app_dsn)
        await _ask_everything(judge, asked, table, subject, role)
        _check_unchanged(judge, world, subject, role, before, await state.state_of(app_dsn))
    return judge.verdicts, len(asked), len(table)


async def _ask_everything(judge: Judge, asked: list[Question], table: list[Route], subject: str, role: Role) -> None:
    for question in asked:
        await judge.ask(question, subject, role)
        await judge.foreign_cursor(question, subject, role)
    for route in table:
        for method in methods_of(route):
            if route.path not in ("/graphql", "/healthz", "/readyz"):
                await ask_path(judge, route, method, subject, role)


def _check_unchanged(
    judge: Judge, world: ProbedWorld, subject: str, role: Role, before: state.State, after: state.State
) -> None:
    """Rows outside a subject's reach must be as they were."""
    kind = world.tenants[subject].kind
    own = world.numbers[subject]
    for place in state.changed(before, after):
        table, level, number, county, hospital = place
        judge.verdicts.probes += 1
        allowed = {
            TenantKind.OPERATOR: table in ("province", "pooling_area", "county", "hospital"),
            TenantKind.PROVINCE: (level == "province" and number == own.province) or (table == "job"),
            TenantKind.CITY: level == "area" and number == own.area,
            TenantKind.COUNTY: level == "area" and number == own.area and county == own.county,
            TenantKind.HOSPITAL: level == "area" and number == own.area and hospital == own.hospital,
        }[kind]
        if not allowed:
            judge.verdicts.leaks.append(f"{role.value}@{subject} changed rows of others: {place}")


def _tell(report: dict[str, Any]) -> None:
    console = Console()
    console.print(
        f"探测 {report['probes']} 次（字段 {report['fields']}，路径 {report['paths']}，角色 {report['roles']}）："
        f"泄露 {report['leaks']}，未判定 {report['unjudged']}，异常 {report['crashes']}"
    )
    console.print(
        f"{report['probes']} probes ({report['fields']} fields, {report['paths']} paths, {report['roles']} roles): "
        f"{report['leaks']} leaks, {report['unjudged']} unjudged, {report['crashes']} crashes"
    )
    for line in [*report["leak_list"], *report["unjudged_list"], *report["crash_list"]]:
        print(f"  ✗ {line}", file=sys.stderr)
