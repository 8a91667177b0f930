"""Setting the stage for the probes (布置探测环境): two provinces do the whole flow in process, every word of theirs carrying a canary."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TextIO

import httpx
from cryptography.hazmat.primitives.asymmetric import ec
from rich.console import Console
from rich.progress import Progress

from fenzhi.access.development_issuer import AUDIENCE, ISSUER, DevelopmentKey, issue_development_token
from fenzhi.access.issuer_keys import KeyHosts
from fenzhi.access.roles import Role, TenantKind
from fenzhi.access.tokens import Verifier
from fenzhi.access.webhook_hosts import WebhookHosts
from fenzhi.cli.demo.sources import DemoSource
from fenzhi.cli.demo.steps import Demonstration
from fenzhi.cli.flow.client import Cast
from fenzhi.cli.probes.left_behind import HOOKS, clear_between_areas, leave_more, leave_the_governed
from fenzhi.cli.probes.marked_source import FIRST, SECOND, code_under, marked_source
from fenzhi.cli.probes.objects import collect_objects, numbers_of, tenants_of
from fenzhi.cli.probes.world import ProbedWorld, Tenant
from fenzhi.cli.servers import ServerAddresses
from fenzhi.logs import configure_logging
from fenzhi.services.acts import Platform
from fenzhi.services.opening import open_platform
from fenzhi.services.registry.accounts import development_account


@asynccontextmanager
async def probed_world(
    addresses: ServerAddresses, seed: int, *, log: TextIO | None = None
) -> AsyncIterator[ProbedWorld]:
    """A world of two provinces over a fresh database, for as long as the block lasts (探测环境). `log` takes every line of its log."""
    from fenzhi_migrations.upgrade import upgrade_to_head

    await asyncio.to_thread(upgrade_to_head, addresses.owner_dsn)
    configure_logging("DEBUG" if log else "ERROR", log)
    async with (
        open_platform(
            addresses.app_dsn,
            addresses.redis_url,
            os.urandom(32),
            is_development=True,
            key_hosts=KeyHosts(("issuer.probe.invalid",)),
            webhook_hosts=WebhookHosts((HOOKS,)),
        ) as platform,
        cast_over(platform) as cast,
    ):
        tenants: dict[str, Tenant] = {}
        async with worker_beside(platform, addresses.redis_url):
            for prefix in (FIRST, SECOND):
                source = marked_source(prefix, seed)
                await perform(cast, source, is_sandbox=prefix == SECOND)
                await leave_more(cast, source.plan)
                await clear_between_areas(cast, source.plan)
                tenants |= tenants_of(source.plan)
        await leave_the_governed(cast, platform)
        tenants["operator"] = Tenant("operator", TenantKind.OPERATOR, "")
        sandbox = code_under("990000", SECOND)
        world = ProbedWorld(cast, tenants, sandbox, await numbers_of(addresses.app_dsn), platform=platform)
        await collect_objects(world, addresses.app_dsn)
        yield world


@asynccontextmanager
async def cast_over(platform: Platform) -> AsyncIterator[Cast]:
    """Actors who speak to the application in this process (进程内角色)."""
    from fenzhi_graphql.app import application, wrapped
    from fenzhi_graphql.rate import Budgets, Rates

    key = DevelopmentKey(ec.generate_private_key(ec.SECP256R1()))
    verifier = Verifier(issuer=ISSUER, audience=AUDIENCE, keys={key.key_id: key.private.public_key()})
    # Everything is asked by the same few accounts; their budget is tried elsewhere.
    budgets = Budgets(Rates(units_per_s=10**9, burst=10**9))
    app = wrapped(application(platform, verifier, os.urandom(32), budgets=budgets))

    async def make_token(tenant: str, role: Role) -> str:
        subject, epoch = await development_account(platform.database, tenant, role)
        return issue_development_token(key, subject, tenant, role.value, epoch).token

    transport = httpx.ASGITransport(app=app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://fenzhi.probe", timeout=120) as http:
        yield Cast(http, make_token)


@asynccontextmanager
async def worker_beside(platform: Platform, redis_url: str) -> AsyncIterator[None]:
    """A worker in this process while the flow runs; none while the probes ask, so that rows stand still."""
    from fenzhi_workers.worker import NightShift

    shift = NightShift(platform, 2)
    tasks = [asyncio.create_task(shift.sweep()), asyncio.create_task(shift.answer_bell(redis_url))]
    try:
        yield
    finally:
        shift.stop()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def perform(cast: Cast, source: DemoSource, *, is_sandbox: bool) -> None:
    """The main job of one source, from onboarding to the quarter (主流程)."""
    with Progress(console=Console(quiet=True), disable=True) as progress:
        await Demonstration(cast, source, progress, is_sandbox).run()
