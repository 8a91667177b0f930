"""A year that breaks a law stops and names the account; one that was changed afterwards is found by computing it again."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
import os
import pickle
import subprocess
import sys
import uuid
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import asyncpg
import pyarrow as pa
import pytest
import pytest_asyncio
from sqlalchemy import text

from builders.clearing_place import Pool
from builders.world import World
from builders.year_place import full_year, year_of
from fenzhi.cli.battery.kills import superuser_dsn
from fenzhi.cli.servers import ServerAddresses
from fenzhi.engine.engine import Engine
from fenzhi.rules.clearing.annual_clearing import AnnualAccount, AnnualRun
from fenzhi.rules.clearing.statement import Account
from fenzhi.rules.refusals import InvariantBroken
from fenzhi.services.clearing import compute, freezing, settling, statements
from fenzhi.services.clearing.freezing import FrozenRun, freeze
from fenzhi.services.clearing.manifest import RULES_VERSION, canonical
from fenzhi.services.verification.findings import Verification
from fenzhi.services.verification.money import verify_money
from fenzhi.store.repositories import clearing, verification

A, B = "HY4010001", "HY4012201"
STOPPED_A, STOPPED_B = "HY7010001", "HY7012201"
"""Hospitals of the pool whose years are stopped."""


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def pool(world: World) -> Pool:
    return await full_year(world, "Y7")


def line_more(run: AnnualRun, **changes: int) -> AnnualRun:
    """The first statement line with some fen more, wherever it stands."""
    first = run.lines[0]
    changed = replace(first.line, **{name: getattr(first.line, name) + by for name, by in changes.items()})
    year = replace(run.year, lines=(changed, *run.year.lines[1:]))
    return replace(run, year=year, lines=(replace(first, line=changed), *run.lines[1:]))


def final_more(run: AnnualRun, **changes: int) -> AnnualRun:
    first = run.lines[0]
    changed = replace(first.final, **{name: getattr(first.final, name) + by for name, by in changes.items()})
    return replace(run, lines=(replace(first, final=changed), *run.lines[1:]))


def released_more(run: AnnualRun) -> AnnualRun:
    first = run.lines[0]
    return replace(run, lines=(replace(first, deposit_released_fen=first.deposit_released_fen + 1), *run.lines[1:]))


def account_more(run: AnnualRun, account: Account) -> AnnualRun:
    accounts = run.year.accounts | {account: run.year.accounts[account] + 1}
    return replace(run, year=replace(run.year, accounts=accounts))


def annual_account_more(run: AnnualRun, account: AnnualAccount) -> AnnualRun:
    return replace(run, accounts=run.accounts | {account: run.accounts[account] + 1})


def other_ratio(run: AnnualRun) -> AnnualRun:
    value = run.year.point_value
    return replace(run, year=replace(run.year, point_value=replace(value, booked_fen=value.booked_fen + 1)))


def draw_more(run: AnnualRun) -> AnnualRun:
    draws = dict(run.bonuses.draws)
    draws["reserve"] = draws.get("reserve", 0) + 1
    return replace(run, bonuses=replace(run.bonuses, draws=draws))


MUTATIONS: list[tuple[str, Callable[[AnnualRun], AnnualRun]]] = [
    (f"{STOPPED_A}/gross", lambda run: line_more(run, gross_fen=1)),
    (f"{STOPPED_A}/bands", lambda run: line_more(run, band_withheld_fen=1)),
    (f"{STOPPED_A}/assessment", lambda run: line_more(run, assessment_withheld_fen=-1)),
    (f"{STOPPED_A}/deposit", lambda run: line_more(run, deposit_withheld_fen=1)),
    (f"{STOPPED_A}/cases", lambda run: line_more(run, cases=1)),
    (f"{STOPPED_A}/final", lambda run: final_more(run, final_fen=1)),
    (f"{STOPPED_A}/deposit_released", released_more),
    ("deposit", lambda run: account_more(run, Account.DEPOSIT)),
    ("final", lambda run: annual_account_more(run, AnnualAccount.FINAL)),
    ("point_value/booked_fen", other_ratio),
    ("bonuses", draw_more),
]


async def stops(pool: Pool, account: str, run_state: str = "STOPPED") -> None:
    """Start the year, which must stop on an account, recording nothing."""
    started = await pool.start("YEAR", 1)
    assert started["userErrors"] == []
    with pytest.raises(InvariantBroken) as broken:
        await pool.world.work_off()
    assert broken.value.account == account
    run = await pool.look(started["run"]["id"])
    assert (run["state"], run["summary"], run["manifest"], run["statements"]["nodes"]) == (run_state, None, None, [])
    assert f"account={account} " in run["error"]
    async with pool.world.platform.database.unit_of_work(pool.scope) as uow:
        assert await clearing.entries(uow, key_of(started["run"]["id"])) == []
        assert await clearing.case_totals(uow, key_of(started["run"]["id"])) == []


def key_of(global_id: str) -> uuid.UUID:
    return uuid.UUID(base64.urlsafe_b64decode(global_id + "=" * (-len(global_id) % 4)).decode().partition(":")[2])


async def test_every_mutation_of_a_year_stops_it(pool: Pool, monkeypatch: pytest.MonkeyPatch) -> None:
    """One fen of a line, an account, a source or a ratio: the check names it. Every account is tried in the tests of the rules."""
    sound = settling.clear_year
    for account, mutate in MUTATIONS:
        with monkeypatch.context() as patch:
            patch.setattr(settling, "clear_year", lambda *args, mutate=mutate: mutate(sound(*args)))
            await stops(pool, account)


async def test_a_case_more_or_less_stops_a_year(pool: Pool, monkeypatch: pytest.MonkeyPatch) -> None:
    grade, sums, stored = statements.grade, statements._sums, compute.stored_cases
    with monkeypatch.context() as patch:
        patch.setattr(statements, "grade", lambda *args: grade(*args).slice(1))
        await stops(pool, "cases")
    with monkeypatch.context() as patch:
        patch.setattr(statements, "grade", lambda *args: pa.concat_tables([grade(*args), grade(*args).slice(0, 1)]))
        await stops(pool, "cases")

    def fewer(frozen: FrozenRun, engine: Engine, cleared: pa.Table) -> Any:
        return sums(frozen, engine, cleared.sort_by("hospital_id").slice(1))

    with monkeypatch.context() as patch:
        patch.setattr(statements, "_sums", fewer)
        await stops(pool, STOPPED_A)

    def unstored(*args: Any) -> pa.Table:
        return stored(*args).sort_by([("hospital_id", "descending")]).slice(1)

    with monkeypatch.context() as patch:
        patch.setattr(compute, "stored_cases", unstored)
        await stops(pool, STOPPED_B)


async def test_one_entry_more_stops_a_year(pool: Pool, monkeypatch: pytest.MonkeyPatch) -> None:
    sound = settling.balances_of

    def more(*args: Any) -> Any:
        found = dict(sound(*args))
        first = min(key for key in found if key[0] is not None)
        return found | {first: found[first] + 1}

    monkeypatch.setattr(settling, "balances_of", more)
    await stops(pool, "ledger")


IN_ANOTHER_PROCESS = """
import hashlib, pickle, random, sys
import pyarrow as pa
from dataclasses import replace
from fenzhi.engine.engine import Engine
from fenzhi.rules.clearing.annual_clearing import AnnualAccount
from fenzhi.services.clearing import compute, freezing, settling, statements
from fenzhi.services.clearing.manifest import canonical, plain_line

path, seed, threads, batch_rows = sys.argv[1], *map(int, sys.argv[2:])
with open(path, "rb") as file:
    frozen = pickle.load(file)
order = list(range(frozen.cases.num_rows))
random.Random(seed).shuffle(order)
backwards = dict(reversed(list(frozen.hospitals.items())))
frozen = replace(frozen, cases=frozen.cases.take(pa.array(order)), hospitals=backwards)
with Engine(threads=threads, batch_rows=batch_rows) as engine:
    made = statements.compute(frozen, engine)
whole = {
    "lines": [plain_line(line) for line in made.lines],
    "annual": [[line.hospital, *(line.amount(a) for a in AnnualAccount)] for line in made.annual.values()],
    "steps": {code: compute._plain_steps(working) for code, working in made.workings.items()},
    "entries": made.entries,
    "summary": compute._summary(made),
    "offsets": {code: list(taken) for code, taken in made.offsets.items()},
}
print(frozen.manifest_sha256.hex(), made.result_sha256.hex(), hashlib.sha256(canonical(whole)).hexdigest())
"""
PROCESSES = [
    ({"PYTHONHASHSEED": "0", "TZ": "Asia/Shanghai", "LC_ALL": "C.UTF-8"}, (1, 1, 500_000)),
    ({"PYTHONHASHSEED": "1", "TZ": "America/St_Johns", "LC_ALL": "zh_CN.UTF-8"}, (2, 2, 3)),
    ({"PYTHONHASHSEED": "4294967295", "TZ": "Pacific/Kiritimati", "LC_ALL": "tr_TR.UTF-8"}, (3, 4, 1)),
]


async def test_a_frozen_year_gives_the_same_bytes_in_any_process(pool: Pool, tmp_path: Path) -> None:
    started = await pool.start("YEAR", 1)
    assert started["userErrors"] == []
    database = pool.world.platform.database
    manifests = []
    for zone in ("Asia/Shanghai", "America/St_Johns"):
        async with database.unit_of_work(pool.scope) as uow:
            await uow.execute(text(f"set local timezone = '{zone}'"))
            frozen = await freeze(uow, key_of(started["run"]["id"]))
        manifests.append(frozen.manifest_sha256.hex())
    (tmp_path / "frozen").write_bytes(pickle.dumps(frozen))
    said = set()
    for environment, (seed, threads, batch_rows) in PROCESSES:
        asked = [str(tmp_path / "frozen"), str(seed), str(threads), str(batch_rows)]
        answer = subprocess.run(
            [sys.executable, "-c", IN_ANOTHER_PROCESS, *asked],
            env=dict(os.environ) | environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert answer.returncode == 0, answer.stderr[-2000:]
        said.add(answer.stdout.strip())
    assert len(said) == 1
    manifest, result, _ = said.pop().split()
    await pool.world.work_off()
    run = await pool.look(started["run"]["id"])
    assert {*manifests, manifest} == {run["manifest"]["sha256"]}
    assert result == run["manifest"]["resultSha256"]
    await pool.step("clearingRunVoid", started["run"]["id"])


async def test_two_versions_of_a_worker_make_one_year(pool: Pool, monkeypatch: pytest.MonkeyPatch) -> None:
    started = await pool.start("YEAR", 1)
    assert started["userErrors"] == []
    run_id, database = key_of(started["run"]["id"]), pool.world.platform.database
    with monkeypatch.context() as patch:
        patch.setattr(freezing, "RULES_VERSION", "0.0.1")
        async with database.unit_of_work(pool.scope) as uow:
            older = await freeze(uow, run_id)
    with Engine() as engine:
        computed = statements.compute(older, engine)

    async def record_older() -> None:
        async with database.unit_of_work(pool.scope) as uow:
            await compute.record(uow, older, computed)

    ended = await asyncio.gather(pool.world.work_off(), record_older(), return_exceptions=True)
    lost = [end for end in ended if isinstance(end, BaseException)]
    assert [getattr(end, "code", "") for end in lost] == ["RUN_STATE"]
    run = await pool.look(started["run"]["id"])
    assert run["state"] == "COMPUTED"
    async with database.snapshot(pool.scope) as uow:
        row = await clearing.run_by_id(uow, run_id)
        assert row is not None
        winner = "0.0.1" if ended[1] is None else RULES_VERSION
        assert (row.rules_version, row.manifest["rules_version"]) == (winner, winner)
        found = Verification()
        await verify_money(found, database, uow, pool.place.city)
    assert found.found == []
    await pool.step("clearingRunVoid", started["run"]["id"])


@dataclass
class Computed:
    """A computed year, and who may change it behind the platform's back."""

    pool: Pool
    run: uuid.UUID
    lines: dict[str, Any]
    connection: asyncpg.Connection

    async def verified(self) -> Verification:
        found = Verification()
        database = self.pool.world.platform.database
        async with database.snapshot(self.pool.scope) as uow:
            await verify_money(found, database, uow, self.pool.place.city)
        return found

    async def changed(self, sql: str, *values: Any) -> list[str]:
        """Change something, verify, change it back; where `run.replay` found something, in words of the account."""
        await self.connection.execute("begin; set local session_replication_role = replica")
        kept = {
            table: await self.connection.fetch(f"select * from {table} where run_id = $1", self.run)
            for table in ("hospital_statement", "run_case", "ledger_entry", "clearing_run", "point_value")
        }
        await self.connection.execute(sql, *values)
        await self.connection.execute("commit")
        found = await self.verified()
        await self.connection.execute("begin; set local session_replication_role = replica")
        for table, rows in kept.items():
            await self.connection.execute(f"delete from {table} where run_id = $1", self.run)
            columns = ", ".join(f'"{name}"' for name in rows[0].keys()) if rows else ""
            for row in rows:
                places = ", ".join(f"${n}" for n in range(1, len(row) + 1))
                await self.connection.execute(f"insert into {table} ({columns}) values ({places})", *row)
        await self.connection.execute("commit")
        assert found.fallen.get("run.replay"), found.found
        return [f.place.rpartition(f"{self.run} ")[2] for f in found.found if f.check == "run.replay"]


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def computed(world: World, migrated: ServerAddresses) -> AsyncIterator[Computed]:
    # A pool of its own: what the tests above stopped and voided would be computed again at every look.
    pool = await full_year(world, "Y4")
    run = await pool.computed("YEAR", 1)
    connection = await asyncpg.connect(superuser_dsn(migrated))
    yield Computed(pool, key_of(run), (await year_of(pool, run))["lines"], connection)
    await connection.close()
    assert (await pool.step("clearingRunVoid", run))["userErrors"] == []


async def test_a_year_computed_again_from_its_manifest_is_the_same(computed: Computed) -> None:
    found = await computed.verified()
    assert found.found == []
    # Two months, the quarter and the year: each whole, its digest byte for byte.
    async with computed.pool.world.platform.database.snapshot(computed.pool.scope) as uow:
        assert found.looked["run.replay"] == len(await verification.settled_runs(uow)) == 4
    # Nothing of the year is empty: each step of the order took or gave something.
    names = "deductionsFen assessmentWithheldFen bandWithheldFen bonusFen depositReleasedFen priorPaidFen offsetFen finalFen".split()
    assert {name: any(int(line[name]) for line in computed.lines.values()) for name in names} == dict.fromkeys(
        names, True
    )


OF_A = "run_id = $1 and hospital_id = (select hospital_id from hospital where code = 'HY4010001')"


@pytest.mark.parametrize(
    ("sql", "account"),
    [
        (f"update hospital_statement set gross_fen = gross_fen + 1 where {OF_A}", f"{A}/gross"),
        (f"update hospital_statement set final_fen = final_fen - 1 where {OF_A}", f"{A}/final"),
        (f"update hospital_statement set band_withheld_fen = 0 where {OF_A}", f"{A}/band_withheld"),
        (
            f"update hospital_statement set working = jsonb_set(working, '{{terms,fund_ratio}}', '\"1/2\"') where {OF_A}",
            f"{A}/fund_ratio",
        ),
        (f"delete from hospital_statement where {OF_A}", f"{A}/statement"),
        (f"delete from run_case where case_id = (select case_id from run_case where {OF_A} limit 1)", f"{A}/cases"),
        (
            "insert into run_case (area_id, county_id, hospital_id, run_id, case_id, disposition, group_code, band, points, total_fen, "
            "basic_fund_fen, patient_fen, los_days, settlement_month, group_score) select area_id, county_id, hospital_id, run_id, "
            "gen_random_uuid(), disposition, group_code, band, points, total_fen, basic_fund_fen, patient_fen, los_days, settlement_month, "
            f"group_score from run_case where {OF_A} limit 1",
            f"{A}/cases",
        ),
        (
            "update clearing_run set summary = jsonb_set(summary, '{fund_ratio}', '\"1/2\"') where run_id = $1",
            "fund_ratio",
        ),
        ("update point_value set booked_fen = booked_fen + 1 where run_id = $1", "point_value/booked_fen"),
        (
            f"update ledger_entry set amount_fen = amount_fen + case when account = 'payable' then 7 else -7 end where {OF_A} "
            "and account in ('payable', 'assessment')",
            f"ledger {A}/assessment",
        ),
        (f"delete from ledger_entry where {OF_A} and account = 'assessment'", f"ledger {A}/assessment"),
    ],
)
async def test_what_was_changed_in_a_year_is_named(computed: Computed, sql: str, account: str) -> None:
    assert account in await computed.changed(sql, computed.run)


@pytest.mark.parametrize(
    ("change", "account"),
    [
        (lambda m: m["beside"]["assessments"][0].__setitem__(1, "1"), f"{A}/assessment_withheld"),
        (lambda m: m["budget"].__setitem__("fund_fen", m["budget"]["fund_fen"] + 1), "pool"),
        (lambda m: m["beside"]["receivables"].clear(), f"{B}/offsets"),
        (lambda m: m["deductions"].clear(), f"{B}/deductions"),
        (lambda m: m["payments"].pop(), "transfer"),
        (lambda m: m["beside"]["kept_back"].clear(), "drawn_from_reserve"),
        (lambda m: m["beside"]["openings"].clear(), f"{A}/gross"),
        (lambda m: m["earlier_runs"][0].__setitem__(1, "00"), ""),
    ],
)
async def test_a_manifest_changed_with_its_digest_gives_another_year(
    computed: Computed, change: Callable[[dict[str, Any]], object], account: str
) -> None:
    """Whoever writes a manifest and its digest anew still cannot make the stored year follow from it."""
    manifest = json.loads(
        await computed.connection.fetchval("select manifest::text from clearing_run where run_id = $1", computed.run)
    )
    change(manifest)
    words = canonical(manifest)
    sql = "update clearing_run set manifest = $2::jsonb, manifest_sha256 = $3 where run_id = $1"
    named = await computed.changed(sql, computed.run, words.decode(), hashlib.sha256(words).digest())
    assert any(account in one for one in named), named
