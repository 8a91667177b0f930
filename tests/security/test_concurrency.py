"""Sixty-four starts at once make one run; a connection that comes back carries nothing of its last user."""

from __future__ import annotations

import httpx
import pytest_asyncio

from builders.clearing_place import Pool, open_pool
from builders.world import Client, World
from builders.year_place import assess
from fenzhi.access.tokens import Verifier
from fenzhi.cli.battery.concurrency import KINDS, start_together, try_checkouts
from fenzhi.cli.battery.stage import Stage
from fenzhi.cli.battery.tally import Tally
from fenzhi.services.opening import open_platform
from fenzhi_graphql.app import application, wrapped


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def pool(world: World) -> Pool:
    pool = await open_pool(world, "60", bands__applies="false")
    await pool.price(10, last_year=(7, 10))
    await pool.budget(20_000_000)
    await pool.put(pool.place.hospital, 1)
    await assess(pool, **{pool.place.hospital: ("1", "", "")})
    return pool


async def test_of_64_starts_on_two_instances_one_makes_a_run(pool: Pool, own_database) -> None:
    tally = Tally()
    clerk = await pool.clerk()
    verifier = Verifier("fenzhi-development", "fenzhi", {pool.world.key.key_id: pool.world.key.private.public_key()})
    async with open_platform(own_database.app_dsn, own_database.redis_url, bytes(range(32))) as second:
        app = wrapped(application(second, verifier, b"c" * 32))
        transport = httpx.ASGITransport(app=app, raise_app_exceptions=False)
        async with httpx.AsyncClient(
            transport=transport, base_url="http://two.test", headers=clerk.http.headers
        ) as http:
            for kind in KINDS:
                order = {"kind": kind, "insurance": "EMPLOYEE", "poolScope": "LOCAL", "year": 2025, "period": 1}
                run = await start_together(tally, [clerk.gql, Client(http).gql], order)
                assert run is not None
                await pool.world.work_off()
                assert (await pool.step("clearingRunVoid", run))["run"]["state"] == "VOIDED"
    assert tally.failures == []
    assert tally.tried == {f"one run of a {kind}": 1 for kind in ("month", "quarter", "year")} | {
        f"typed refusal of a {kind}": 63 for kind in ("month", "quarter", "year")
    }


async def test_a_connection_carries_nothing_over(stage: Stage) -> None:
    tally = Tally()
    await try_checkouts(stage.platform.database, tally, seed=1, count=200)
    assert tally.failures == []
    assert len(tally.tried) == 30
