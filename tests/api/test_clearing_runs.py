"""The life of a run: one start wins, four eyes, publication for good, and nothing seen by whom it does not concern."""

from __future__ import annotations

import asyncio
import base64
import uuid

import pytest
import pytest_asyncio
from sqlalchemy import delete, select, update

from builders.clearing_place import RUN, START, Pool, open_pool
from builders.one_person import same_person
from builders.world import World, new_key
from fenzhi.access.roles import Role
from fenzhi.rules.refusals import Conflict
from fenzhi.store.tables.clearing import clearing_run, hospital_statement

LIST = "{ clearingRuns(first: 50) { nodes { id state } } pointValues(year: 2025) { kind state printed } }"


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def pool(world: World) -> Pool:
    pool = await open_pool(world, "62")
    await pool.price(10, last_year=(7, 10))
    await pool.budget(20_000_000)
    await pool.put(pool.place.hospital, 1)
    await pool.put(pool.place.county_hospital, 1)
    return pool


def order(**changes: object) -> dict[str, object]:
    return {
        "idempotencyKey": new_key(),
        "kind": "MONTH",
        "insurance": "EMPLOYEE",
        "poolScope": "LOCAL",
        "year": 2025,
        "period": 1,
    } | changes


def key_of(global_id: str) -> uuid.UUID:
    return uuid.UUID(base64.urlsafe_b64decode(global_id + "=" * (-len(global_id) % 4)).decode().partition(":")[2])


async def test_of_two_starts_at_once_one_makes_a_run(pool: Pool) -> None:
    answers = await asyncio.gather(*(pool.start("MONTH", 1) for _ in range(4)))
    started = [a for a in answers if a["run"]]
    refused = [a for a in answers if not a["run"]]
    assert len(started) == 1
    run = started[0]["run"]
    assert [a["userErrors"][0]["code"] for a in refused] == ["CLEARING_ALREADY_RUNNING"] * 3
    assert {a["alreadyRunning"]["id"] for a in refused} == {run["id"]}
    await pool.world.work_off()
    assert (await pool.look(run["id"]))["state"] == "COMPUTED"
    assert (await pool.step("clearingRunVoid", run["id"]))["run"]["state"] == "VOIDED"


async def test_the_same_key_gives_the_same_run(pool: Pool) -> None:
    client, asked = await pool.clerk(), order()
    answers = [(await client.gql(START, {"i": asked}))["clearingRunStart"] for _ in range(3)]
    assert len({a["run"]["id"] for a in answers}) == 1
    reused = (await client.gql(START, {"i": asked | {"period": 2}}))["clearingRunStart"]
    assert [e["code"] for e in reused["userErrors"]] == ["IDEMPOTENCY_KEY_REUSED"]
    await pool.world.work_off()
    other = await pool.start("QUARTER", 1)
    assert [e["code"] for e in other["userErrors"]] == ["CLEARING_EARLIER_RUN_OPEN"]
    await pool.step("clearingRunVoid", answers[0]["run"]["id"])


async def test_all_faults_of_a_start_at_once(pool: Pool) -> None:
    answer = await pool.start("MONTH", 13, year=1999)
    assert [e["code"] for e in answer["userErrors"]] == ["YEAR_RANGE", "PERIOD_RANGE"]


async def test_a_pool_without_budget_or_price_is_refused(pool: Pool) -> None:
    resident = await pool.start("QUARTER", 1, insurance="RESIDENT")
    assert [e["code"] for e in resident["userErrors"]] == ["BUDGET_NOT_APPROVED"]
    month = await pool.start("MONTH", 1, insurance="RESIDENT")
    assert [e["code"] for e in month["userErrors"]] == ["POINT_VALUE_NOT_APPROVED"]


async def test_a_period_without_cases_stops_and_is_free_again(pool: Pool) -> None:
    started = await pool.start("MONTH", 11)
    with pytest.raises(Conflict, match="no cases"):
        await pool.world.work_off()
    stopped = await pool.look(started["run"]["id"])
    assert (stopped["state"], stopped["summary"], stopped["statements"]["nodes"]) == ("STOPPED", None, [])
    assert stopped["error"].startswith("NO_CASES")
    again = await pool.start("MONTH", 11)
    assert again["userErrors"] == []
    with pytest.raises(Conflict, match="no cases"):
        await pool.world.work_off()


async def test_four_eyes_look_at_persons(pool: Pool) -> None:
    run = await pool.computed("MONTH", 1)
    clerk = await pool.clerk()
    forbidden = await clerk.raw(
        "mutation($i: ClearingRunStepInput!) { clearingRunApprove(input: $i) { run { id } } }",
        {"i": {"idempotencyKey": new_key(), "run": run}},
    )
    assert forbidden["errors"][0]["extensions"]["code"] == "FORBIDDEN"
    both = await same_person(pool.world, pool.place.city, Role.CITY_SETTLEMENT_CLERK, Role.CITY_SETTLEMENT_APPROVER)
    refused = await pool.step("clearingRunApprove", run, both)
    assert [e["code"] for e in refused["userErrors"]] == ["SAME_PERSON"]
    early = await pool.step("clearingRunPublish", run)
    assert [e["code"] for e in early["userErrors"]] == ["RUN_STATE"]
    assert (await pool.step("clearingRunApprove", run))["run"]["state"] == "APPROVED"
    twice = await pool.step("clearingRunApprove", run)
    assert [e["code"] for e in twice["userErrors"]] == ["RUN_STATE"]
    await pool.step("clearingRunVoid", run)


async def test_nobody_below_sees_a_run_before_it_is_published(pool: Pool) -> None:
    hospital = await pool.world.client(pool.place.hospital, Role.HOSPITAL_VIEWER)
    county = await pool.world.client(f"{pool.place.city[:2]}0122", Role.COUNTY_AUDITOR)
    stranger = await pool.world.client(pool.place.other_city, Role.CITY_SETTLEMENT_CLERK)
    run = await pool.computed("QUARTER", 1)
    seen = await pool.look(run)
    statements = {n["hospitalCode"]: n["id"] for n in seen["statements"]["nodes"]}
    one = "query($id: ID!) { hospitalStatement(id: $id) { hospitalCode cases(first: 5) { nodes { caseId } } } }"
    await pool.step("clearingRunApprove", run)
    for client in (hospital, county, stranger):
        found = await client.gql(LIST)
        assert found["clearingRuns"]["nodes"] == []
        assert [v["kind"] for v in found["pointValues"] if v["kind"] == "SETTLEMENT"] == []
        assert (await client.gql(RUN, {"id": run}))["clearingRun"] is None
        for statement in statements.values():
            assert (await client.gql(one, {"id": statement}))["hospitalStatement"] is None
    await pool.step("clearingRunPublish", run)
    own = await pool.look(run, hospital)
    assert [n["hospitalCode"] for n in own["statements"]["nodes"]] == [pool.place.hospital]
    assert len(own["statements"]["nodes"][0]["cases"]["nodes"]) == 1
    assert [n["hospitalCode"] for n in (await pool.look(run, county))["statements"]["nodes"]] == [
        pool.place.county_hospital
    ]
    assert (await stranger.gql(RUN, {"id": run}))["clearingRun"] is None
    assert (await hospital.gql(one, {"id": statements[pool.place.county_hospital]}))["hospitalStatement"] is None
    settled = [v for v in (await hospital.gql(LIST))["pointValues"] if v["kind"] == "SETTLEMENT"]
    # 50,000.00 ÷ 0.7 ÷ 1,995 points = 35.8037… yuan.
    assert settled == [{"kind": "SETTLEMENT", "state": "PUBLISHED", "printed": "35.8038"}]


async def test_a_published_run_never_changes(pool: Pool) -> None:
    run = next(
        r["id"] for r in (await (await pool.clerk()).gql(LIST))["clearingRuns"]["nodes"] if r["state"] == "PUBLISHED"
    )
    refused = await pool.step("clearingRunVoid", run)
    assert [e["code"] for e in refused["userErrors"]] == ["RUN_STATE"]
    closed = await pool.start("MONTH", 3)
    assert [e["code"] for e in closed["userErrors"]] == ["PERIOD_CLOSED"]
    again = await pool.start("QUARTER", 1)
    assert (again["userErrors"][0]["code"], again["alreadyRunning"]["id"]) == ("CLEARING_ALREADY_RUNNING", run)
    database, key = pool.world.platform.database, key_of(run)
    for code, statement in (
        ("IMMUTABLE", update(clearing_run).where(clearing_run.c.run_id == key).values(pool_fen=1)),
        ("IMMUTABLE", update(clearing_run).where(clearing_run.c.run_id == key).values(state="computing")),
        ("FORBIDDEN", update(hospital_statement).where(hospital_statement.c.run_id == key).values(gross_fen=1)),
        ("FORBIDDEN", delete(clearing_run).where(clearing_run.c.run_id == key)),
    ):
        with pytest.raises(Conflict) as refusal:
            async with database.unit_of_work(pool.scope) as uow:
                await uow.execute(statement)
        assert refusal.value.code == code
    async with database.unit_of_work(pool.scope) as uow:
        row = await uow.first(select(clearing_run.c.pool_fen).where(clearing_run.c.run_id == key))
        assert row is not None and row.pool_fen == 5_000_000


async def test_only_published_statements_are_paid_and_vouchers_count_once(pool: Pool) -> None:
    run = next(
        r["id"] for r in (await (await pool.clerk()).gql(LIST))["clearingRuns"]["nodes"] if r["state"] == "PUBLISHED"
    )
    assert (await pool.pay(run, pool.place.hospital, 100, voucher="V-1"))["userErrors"] == []
    twice = await pool.pay(run, pool.place.hospital, 100, voucher="V-1")
    assert [e["code"] for e in twice["userErrors"]] == ["VOUCHER_USED"]
    nothing = await pool.pay(run, pool.place.hospital, 0)
    assert [e["code"] for e in nothing["userErrors"]] == ["AMOUNT_RANGE"]
    foreign = await pool.pay(run, pool.place.other_hospital, 100)
    assert [e["code"] for e in foreign["userErrors"]] == ["NOT_FOUND"]
    county = await pool.world.client(f"{pool.place.city[:2]}0122", Role.COUNTY_SETTLEMENT_CLERK)
    answer = await county.gql(
        "mutation($i: PaymentRecordInput!) { paymentRecord(input: $i) { userErrors { code } } }",
        {
            "i": {
                "idempotencyKey": new_key(),
                "run": run,
                "hospital": pool.place.county_hospital,
                "voucher": "C-1",
                "paidOn": "2025-06-30",
                "amountFen": "100",
            }
        },
    )
    assert [e["code"] for e in answer["paymentRecord"]["userErrors"]] == ["SETTLEMENT_NOT_DELEGATED"]
    payments = "{ payments(first: 50) { nodes { hospitalCode voucher amountFen } } }"
    hospital = await pool.world.client(pool.place.hospital, Role.HOSPITAL_VIEWER)
    assert (await hospital.gql(payments))["payments"]["nodes"] == [
        {"hospitalCode": pool.place.hospital, "voucher": "V-1", "amountFen": "100"}
    ]
    neighbour = await pool.world.client(pool.place.county_hospital, Role.HOSPITAL_VIEWER)
    assert (await neighbour.gql(payments))["payments"]["nodes"] == []


async def test_a_role_without_the_duty_starts_nothing(pool: Pool) -> None:
    viewer = await pool.world.client(pool.place.hospital, Role.HOSPITAL_VIEWER)
    answer = await viewer.raw(START, {"i": order()})
    assert answer["errors"][0]["extensions"]["code"] == "FORBIDDEN"
