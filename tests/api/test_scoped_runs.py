"""Point values by level and by month in runs: explained, replayed, and stopped by a fen too many."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import asyncpg
import pytest

from builders.clearing_place import Pool, line, open_pool
from builders.world import World
from builders.year_place import assess, year_to_publication
from fenzhi.cli.battery.kills import superuser_dsn
from fenzhi.cli.servers import ServerAddresses
from fenzhi.rules.clearing.scoped_clearing import ScopedRun, ScopeSharesInvalid
from fenzhi.rules.clearing.statement import Account
from fenzhi.rules.refusals import InvariantBroken
from fenzhi.services.clearing import settling
from fenzhi.services.verification.findings import Verification
from fenzhi.services.verification.money import verify_money

PLAIN: dict[str, Any] = {"deposit__rate": "0", "bands__applies": "false"}


async def found_by_replay(pool: Pool) -> list[str]:
    database = pool.world.platform.database
    async with database.snapshot(pool.scope) as uow:
        seen = Verification()
        await verify_money(seen, database, uow, pool.place.city)
    return [f"{one.check} {one.place}: {one.saw}" for one in seen.found]


def shares(run: dict[str, Any], hospital: str) -> list[int]:
    (node,) = [one for one in run["statements"]["nodes"] if one["hospitalCode"] == hospital]
    return [int(case["shareFen"]) for case in node["cases"]["nodes"]]


def scopes(run: dict[str, Any], hospital: str) -> list[dict[str, str]]:
    (node,) = [one for one in run["statements"]["nodes"] if one["hospitalCode"] == hospital]
    return [{v["name"]: v["value"] for v in s["values"]} for s in node["steps"] if s["rule"] == "clearing.share.scope"]


async def test_a_point_value_by_level(world: World, migrated: ServerAddresses) -> None:
    levels = {"tertiary": "0.7", "secondary": "0.3"}
    pool = await open_pool(world, "PC", point_value__scope="level", point_value__level_shares=levels, **PLAIN)
    a, b = pool.place.hospital, pool.place.county_hospital
    await pool.budget(4_000_000_04)
    for _ in range(3):
        await pool.put(a, 1)
    await pool.put(b, 1)
    run = await pool.published("QUARTER", 1)
    # 1,000,000.01 at 7:3, to the fen by largest remainder: A's three cases have 700,000.01, B's one 300,000.00.
    assert line(run, a, "grossFen") == {"grossFen": 70_000_001}
    assert line(run, b, "grossFen") == {"grossFen": 30_000_000}
    assert sorted(shares(run, a)) == [23_333_333, 23_333_334, 23_333_334]
    assert shares(run, b) == [30_000_000]
    assert run["summary"]["unexplainedFen"] == "0"
    assert "the scopes of a hospital add up to the hospital" in [law["name"] for law in run["summary"]["laws"]]
    assert [(one["scope"], one["fund"], one["gross"]) for one in scopes(run, a)] == [
        ("tertiary", "700000.01", "700000.01")
    ]
    await assess(pool, **{a: ("0.98", "", ""), b: ("1", "", "")})
    await pool.put(b, 12)
    year = await year_to_publication(pool)
    whole = await pool.look(year["id"])
    # 4,000,000.04 at 7:3; the assessment takes 2 % of A's gross.
    assert line(whole, a, "grossFen", "clearedFen") == {"grossFen": 280_000_003, "clearedFen": 274_400_003}
    assert line(whole, b, "grossFen") == {"grossFen": 120_000_001}
    assert sorted(shares(whole, b)) == [60_000_000, 60_000_001]
    assert await found_by_replay(pool) == []
    # A case moved into another scope behind the platform's back is found by replay.
    connection = await asyncpg.connect(superuser_dsn(migrated))
    try:
        await connection.execute(
            "begin; set local session_replication_role = replica; "
            f"update run_case set part = 'secondary' where area_id = {pool.scope.area} and case_id = "
            f"(select case_id from run_case where area_id = {pool.scope.area} and part = 'tertiary' order by case_id limit 1); commit"
        )
    finally:
        await connection.close()
    assert any("run.replay" in one and a in one for one in await found_by_replay(pool))


async def test_a_point_value_by_month(world: World) -> None:
    pool = await open_pool(world, "PD", point_value__scope="month", **PLAIN)
    a, b = pool.place.hospital, pool.place.county_hospital
    await pool.budget(3_600_000)
    await pool.put(a, 1)
    await pool.put(b, 1)
    await pool.put(a, 2)
    started = await pool.start("QUARTER", 1)
    assert started["userErrors"] == []
    with pytest.raises(ScopeSharesInvalid, match="202503"):
        await world.work_off()
    await pool.put(b, 3, procedures=("88.4101",))
    quarter = await pool.published("QUARTER", 1)
    # 9,000.00 are a third for each month: January is shared by two, February is A's, March is B's.
    assert line(quarter, a, "grossFen") == {"grossFen": 150_000 + 300_000}
    assert line(quarter, b, "grossFen") == {"grossFen": 150_000 + 300_000}
    assert shares(quarter, a) == [150_000, 300_000]
    assert [one["scope"] for one in scopes(quarter, b)] == ["202501", "202503"]
    # The next quarter counts the year again, month by month.
    for month in (4, 5, 6):
        await pool.put(a, month)
    half = await pool.published("QUARTER", 2)
    assert line(half, a, "grossFen") == {"grossFen": 450_000 + 900_000}
    assert await found_by_replay(pool) == []


def a_fen_more(scoped: ScopedRun, **changes: int) -> ScopedRun:
    first = scoped.run.lines[0]
    changed = replace(first, **{name: getattr(first, name) + by for name, by in changes.items()})
    return replace(scoped, run=replace(scoped.run, lines=(changed, *scoped.run.lines[1:])))


def another_phi(scoped: ScopedRun) -> ScopedRun:
    accounts = scoped.run.accounts | {Account.PHI: scoped.run.accounts[Account.PHI] - 1}
    return replace(scoped, run=replace(scoped.run, accounts=accounts))


def another_scope_value(scoped: ScopedRun) -> ScopedRun:
    values = dict(scoped.point_values)
    values["tertiary"] = replace(values["tertiary"], points=values["tertiary"].points + 1)
    return replace(scoped, point_values=values)


MUTATIONS: list[tuple[str, Callable[[ScopedRun], ScopedRun]]] = [
    ("HPE010001/gross", lambda one: a_fen_more(one, gross_fen=1)),
    ("HPE010001/cases", lambda one: a_fen_more(one, cases=-1)),
    ("HPE010001/transfer", lambda one: a_fen_more(one, transfer_fen=-1)),
    ("phi", another_phi),
    ("point_value/tertiary", another_scope_value),
]


async def test_a_mutated_run_by_level_stops_and_names_the_account(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    levels = {"tertiary": "0.6", "secondary": "0.4"}
    pool = await open_pool(world, "PE", point_value__scope="level", point_value__level_shares=levels, **PLAIN)
    await pool.budget(4_000_000)
    for hospital in (pool.place.hospital, pool.place.county_hospital):
        await pool.put(hospital, 1)
    sound = settling.clear_by_scope
    for account, mutate in MUTATIONS:
        started = await pool.start("QUARTER", 1)
        assert started["userErrors"] == []
        with monkeypatch.context() as patch, pytest.raises(InvariantBroken) as broken:
            patch.setattr(settling, "clear_by_scope", lambda *args, mutate=mutate: mutate(sound(*args)))
            await world.work_off()
        assert broken.value.account == account
        run = await pool.look(started["run"]["id"])
        assert (run["state"], run["summary"], run["statements"]["nodes"]) == ("STOPPED", None, [])
        assert f"account={account} " in run["error"]
