"""A run that breaks a law stops, names the account, and leaves nothing behind; the same manifest gives the same result."""

from __future__ import annotations

import base64
import random
import uuid
from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest
import pytest_asyncio
from sqlalchemy import update

from builders.clearing_place import Pool, open_pool
from builders.world import World
from fenzhi.engine.engine import Engine
from fenzhi.rules.clearing.quarterly import QuarterRun
from fenzhi.rules.clearing.statement import Account
from fenzhi.rules.refusals import Conflict, InvariantBroken
from fenzhi.services.clearing import compute, settling, statements
from fenzhi.services.clearing.freezing import FrozenRun, freeze
from fenzhi.store.repositories import clearing
from fenzhi.store.tables.jobs import job


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def pool(world: World) -> Pool:
    pool = await open_pool(world, "63")
    await pool.price(10, last_year=(7, 10))
    await pool.budget(4_000_000_01)
    for hospital in (pool.place.hospital, pool.place.county_hospital):
        for number in range(6):
            await pool.put(
                hospital,
                1 + number % 3,
                procedures=("88.4101",) if number % 2 else (),
                total_fen=900_000 + number * 12_345,
                fund_fen=600_000 + number * 777,
            )
    return pool


def a_fen_more(run: QuarterRun, **changes: int) -> QuarterRun:
    first = run.lines[0]
    changed = replace(first, **{name: getattr(first, name) + by for name, by in changes.items()})
    return replace(run, lines=(changed, *run.lines[1:]))


def swapped(run: QuarterRun) -> QuarterRun:
    value = run.point_value
    return replace(run, point_value=replace(value, booked_fen=value.cost_fen, cost_fen=value.booked_fen))


def account_more(run: QuarterRun) -> QuarterRun:
    return replace(run, accounts=run.accounts | {Account.DEPOSIT: run.accounts[Account.DEPOSIT] + 1})


MUTATIONS: list[tuple[str, Callable[[QuarterRun], QuarterRun]]] = [
    ("H63010001/gross", lambda run: a_fen_more(run, gross_fen=1)),
    ("H63010001/deposit", lambda run: a_fen_more(run, deposit_withheld_fen=1)),
    ("H63010001/transfer", lambda run: a_fen_more(run, transfer_fen=-1)),
    ("H63010001/cases", lambda run: a_fen_more(run, cases=-1)),
    ("deposit", account_more),
    ("point_value/booked_fen", swapped),
]


async def stops(pool: Pool, kind: str, account: str) -> None:
    """Start a run that must stop on an account, recording nothing."""
    started = await pool.start(kind, 1)
    assert started["userErrors"] == []
    with pytest.raises(InvariantBroken) as broken:
        await pool.world.work_off()
    assert broken.value.account == account
    run = await pool.look(started["run"]["id"])
    assert (run["state"], run["summary"], run["manifest"], run["statements"]["nodes"]) == ("STOPPED", None, None, [])
    assert f"account={account} " in run["error"]
    async with pool.world.platform.database.unit_of_work(pool.scope) as uow:
        key = key_of(started["run"]["id"])
        assert await clearing.entries(uow, key) == []
        assert await clearing.case_totals(uow, key) == []


def key_of(global_id: str) -> uuid.UUID:
    return uuid.UUID(base64.urlsafe_b64decode(global_id + "=" * (-len(global_id) % 4)).decode().partition(":")[2])


@pytest.mark.parametrize(("account", "mutate"), MUTATIONS, ids=[name for name, _ in MUTATIONS])
async def test_a_mutated_quarter_stops(
    pool: Pool, monkeypatch: pytest.MonkeyPatch, account: str, mutate: Callable[[QuarterRun], QuarterRun]
) -> None:
    sound = settling.clear_quarter
    monkeypatch.setattr(settling, "clear_quarter", lambda *args: mutate(sound(*args)))
    await stops(pool, "QUARTER", account)


async def test_a_mutated_month_stops(pool: Pool, monkeypatch: pytest.MonkeyPatch) -> None:
    sound = settling.presettle_month

    def more(*args: Any) -> Any:
        run = sound(*args)
        return replace(run, lines=(replace(run.lines[0], payable_fen=run.lines[0].payable_fen + 1), *run.lines[1:]))

    monkeypatch.setattr(settling, "presettle_month", more)
    await stops(pool, "MONTH", "H63010001/payable")


async def test_a_case_dropped_before_grading_stops(pool: Pool, monkeypatch: pytest.MonkeyPatch) -> None:
    sound = statements.grade
    monkeypatch.setattr(statements, "grade", lambda *args: sound(*args).slice(1))
    await stops(pool, "QUARTER", "cases")


async def test_a_case_dropped_between_sums_and_shares_stops(pool: Pool, monkeypatch: pytest.MonkeyPatch) -> None:
    sound = statements._sums

    def fewer(frozen: FrozenRun, engine: Engine, cleared: pa.Table) -> Any:
        return sound(frozen, engine, cleared.sort_by("hospital_id").slice(1))

    monkeypatch.setattr(statements, "_sums", fewer)
    await stops(pool, "QUARTER", "H63010001")


async def test_a_case_dropped_on_the_way_to_the_table_stops(pool: Pool, monkeypatch: pytest.MonkeyPatch) -> None:
    sound = compute.stored_cases

    def fewer(*args: Any) -> pa.Table:
        return sound(*args).sort_by([("hospital_id", "descending")]).slice(1)

    monkeypatch.setattr(compute, "stored_cases", fewer)
    await stops(pool, "QUARTER", "H63012201")


async def test_an_engine_that_differs_from_the_rules_stops(pool: Pool, monkeypatch: pytest.MonkeyPatch) -> None:
    sound = statements.grade
    chosen: list[str] = []

    def wrong(engine: Engine, cases: pa.Table, basis: Any) -> pa.Table:
        graded = sound(engine, cases, basis)
        points = graded["points"].to_pylist()
        chosen[:] = [cases["case_id"][0].as_py()]
        return graded.set_column(4, "points", pa.array([points[0] + 1, *points[1:]], pa.int64()))

    monkeypatch.setattr(statements, "grade", wrong)
    started = await pool.start("QUARTER", 1)
    assert started["userErrors"] == []
    with pytest.raises(InvariantBroken, match="what the rules say") as broken:
        await pool.world.work_off()
    assert [broken.value.account] == chosen


async def test_the_same_manifest_gives_the_same_bytes(pool: Pool) -> None:
    started = await pool.start("QUARTER", 1)
    run_id = key_of(started["run"]["id"])
    async with pool.world.platform.database.unit_of_work(pool.scope) as uow:
        frozen = await freeze(uow, run_id)
    results = []
    for threads, batch_rows in ((1, 500_000), (2, 5), (2, 1)):
        order = list(range(frozen.cases.num_rows))
        random.Random(threads + batch_rows).shuffle(order)
        shuffled = replace(frozen, cases=frozen.cases.take(pa.array(order)))
        with Engine(threads=threads, batch_rows=batch_rows) as engine:
            results.append(statements.compute(shuffled, engine))
    assert len({result.result_sha256 for result in results}) == 1
    assert results[0].lines == results[1].lines == results[2].lines
    await pool.world.work_off()
    run = await pool.look(started["run"]["id"])
    assert run["state"] == "COMPUTED"
    assert run["manifest"]["resultSha256"] == results[0].result_sha256.hex()
    assert run["manifest"]["sha256"] == frozen.manifest_sha256.hex()
    assert run["manifest"]["caseCount"] == 12
    await pool.step("clearingRunVoid", started["run"]["id"])


async def test_a_replaced_list_leaves_the_case_set(pool: Pool) -> None:
    old = await pool.put(pool.place.hospital, 3)
    with_old = await pool.computed("QUARTER", 1)
    before = await pool.look(with_old)
    await pool.step("clearingRunVoid", with_old)
    await pool.put(pool.place.hospital, 3, procedures=("88.4101",), replaces=old)
    with_new = await pool.computed("QUARTER", 1)
    after = await pool.look(with_new)
    assert before["manifest"]["caseCount"] == after["manifest"]["caseCount"] == 13
    assert before["manifest"]["caseRoot"] != after["manifest"]["caseRoot"]
    # 1,200.5 × 1.05 in place of 950.0 × 1.05: 263.025 points more.
    assert Decimal(after["summary"]["points"]) - Decimal(before["summary"]["points"]) == Decimal("263.0250")
    await pool.step("clearingRunVoid", with_new)


async def test_a_worker_that_comes_second_records_nothing(pool: Pool) -> None:
    started = await pool.start("QUARTER", 1)
    run_id = key_of(started["run"]["id"])
    database = pool.world.platform.database
    async with database.unit_of_work(pool.scope) as uow:
        frozen = await freeze(uow, run_id)
    with Engine() as engine:
        computed = statements.compute(frozen, engine)
    await pool.world.work_off()
    before = await pool.look(started["run"]["id"])
    with pytest.raises(Conflict) as refusal:
        async with database.unit_of_work(pool.scope) as uow:
            await compute.record(uow, frozen, computed)
    assert refusal.value.code == "RUN_STATE"
    assert await pool.look(started["run"]["id"]) == before
    await pool.step("clearingRunVoid", started["run"]["id"])


async def test_a_run_whose_job_died_frees_its_period(pool: Pool) -> None:
    lost = await pool.start("QUARTER", 1)
    async with pool.world.platform.database.unit_of_work(pool.scope) as uow:
        await uow.execute(update(job).where(job.c.job_id == key_of(lost["run"]["jobId"])).values(state="dead"))
    again = await pool.start("QUARTER", 1)
    assert again["userErrors"] == []
    assert (await pool.look(lost["run"]["id"]))["state"] == "STOPPED"
    await pool.world.work_off()
    assert (await pool.look(again["run"]["id"]))["state"] == "COMPUTED"
    await pool.step("clearingRunVoid", again["run"]["id"])
