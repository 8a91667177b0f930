"""What a tenant is told: in the order in which it became visible, nothing twice, nothing left out, nobody else's."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest_asyncio

from builders.submission_place import Place, enter_policy, open_place
from builders.world import World, new_key
from fenzhi.access.roles import Role
from fenzhi.access.scope import DatabaseRole, Scope
from fenzhi.rules.events.kinds import EventKind
from fenzhi.services.events.notices import Notice, announce
from fenzhi.store.repositories import registry
from fenzhi.store.session import UnitOfWork
from fenzhi.store.tables.events import event_stream, job_timer

EVENTS = """
query($first: Int!, $after: String, $kinds: [EventKind!]) { events(first: $first, after: $after, kinds: $kinds) {
  nodes { eventId seq kind subjectType subject facts { name value } } pageInfo { hasNextPage endCursor } } }
"""
RETURN = "mutation($i: CaseReturnInput!) { caseReturn(input: $i) { caseHold { id dueOn } userErrors { code } } }"
WITHDRAW = "mutation($i: CaseReturnInput!) { caseReturnWithdraw(input: $i) { caseHold { id } userErrors { code } } }"


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def place(world: World) -> Place:
    opened = await open_place(world, "S1")
    await enter_policy(world, opened.city, {"submission.correction_days": "3", "deadline.notice_days": "30"})
    return opened


async def told(place: Place, tenant: str = "", role: Role = Role.HOSPITAL_VIEWER, **asked: Any) -> list[dict[str, Any]]:
    client = await place.client(tenant or place.hospital, role)
    return (await client.gql(EVENTS, {"first": 100} | asked))["events"]["nodes"]  # type: ignore[no-any-return]


def facts(event: dict[str, Any]) -> dict[str, str]:
    return {one["name"]: one["value"] for one in event["facts"]}


async def area_scope(place: Place) -> Scope:
    operator = Scope(role=DatabaseRole.OPERATOR, tenant="operator")
    async with place.world.platform.database.unit_of_work(operator) as uow:
        row = next(one for one in await registry.areas(uow) if one.code == place.city)
    return Scope(DatabaseRole.AREA, place.city, province_id=row.province_id, area_id=row.area_id)


async def test_a_hospital_hears_of_its_batch_and_of_what_the_bureau_did(place: Place) -> None:
    batch = await place.submit([place.listed("E1"), place.listed("E2", medfee_sumamt="1.00")])
    case = (await place.cases(await place.submitter(), setlId="E1"))[0]["id"]
    clerk = await place.client(place.city, Role.CITY_SETTLEMENT_CLERK)
    order = {"idempotencyKey": new_key(), "inpatientCase": case, "reason": "主要诊断与病历不符"}
    returned = (await clerk.gql(RETURN, {"i": order}))["caseReturn"]["caseHold"]
    await place.world.work_off()
    order = {"idempotencyKey": new_key(), "inpatientCase": case, "reason": "核实无误"}
    await clerk.gql(WITHDRAW, {"i": order})
    found = await told(place)
    assert [one["seq"] for one in found] == list(range(1, len(found) + 1))
    assert [one["kind"] for one in found] == ["BATCH_JUDGED", "LIST_RETURNED", "DEADLINE_NEAR", "CASE_RELEASED"]
    assert facts(found[0]) == {"rows": "2", "accepted": "1", "refused": "1", "state": "judged"}
    assert (found[0]["subjectType"], found[0]["subject"]) == ("Batch", batch["id"])
    assert found[1]["subject"] == found[2]["subject"] == found[3]["subject"] == returned["id"]
    assert facts(found[2]) == {"clock": "correction", "ends": returned["dueOn"]}
    assert [one["kind"] for one in await told(place, kinds=["LIST_RETURNED"])] == ["LIST_RETURNED"]
    for other in (place.county_hospital, place.other_hospital):
        assert await told(place, other) == []
    assert await told(place, place.city, Role.CITY_SETTLEMENT_CLERK) == []


async def test_nobody_is_told_of_a_clock_that_was_met(place: Place) -> None:
    await place.submit([place.listed("E3")])
    case = (await place.cases(await place.submitter(), setlId="E3"))[0]["id"]
    clerk = await place.client(place.city, Role.CITY_SETTLEMENT_CLERK)
    before = len(await told(place, kinds=["DEADLINE_NEAR"]))
    for mutation in (RETURN, WITHDRAW):
        order = {"idempotencyKey": new_key(), "inpatientCase": case, "reason": "核对"}
        await clerk.gql(mutation, {"i": order})
    await place.world.work_off()
    assert len(await told(place, kinds=["DEADLINE_NEAR"])) == before


async def test_pages_go_on_where_the_last_one_ended(place: Place) -> None:
    scope = await area_scope(place)
    async with place.world.platform.database.unit_of_work(scope) as uow:
        notices = [
            Notice(place.county_hospital, EventKind.CATALOG_PUBLISHED, "CatalogEdition", str(n), {"n": str(n)})
            for n in range(5)
        ]
        await announce(uow, notices)
    client = await place.client(place.county_hospital, Role.HOSPITAL_VIEWER)
    first = (await client.gql(EVENTS, {"first": 3}))["events"]
    rest = (await client.gql(EVENTS, {"first": 3, "after": first["pageInfo"]["endCursor"]}))["events"]
    assert [facts(one)["n"] for one in first["nodes"] + rest["nodes"]] == ["0", "1", "2", "3", "4"]
    assert (first["pageInfo"]["hasNextPage"], rest["pageInfo"]["hasNextPage"]) == (True, False)
    async with place.world.platform.database.unit_of_work(scope) as uow:
        await announce(uow, [Notice(place.county_hospital, EventKind.CATALOG_PUBLISHED, "CatalogEdition", "5")])
    after = (await client.gql(EVENTS, {"first": 3, "after": rest["pageInfo"]["endCursor"]}))["events"]["nodes"]
    assert [one["seq"] for one in after] == [6]
    other = await place.client(place.hospital, Role.HOSPITAL_VIEWER)
    stolen = await other.raw(EVENTS, {"first": 3, "after": first["pageInfo"]["endCursor"]})
    assert stolen["errors"][0]["extensions"]["code"] == "DATA_REFUSED"


async def test_a_number_becomes_visible_only_when_all_before_it_are(place: Place) -> None:
    scope, database = await area_scope(place), place.world.platform.database
    tenant = place.county_hospital

    def one(name: str) -> list[Notice]:
        return [Notice(tenant, EventKind.CASE_HELD, "CaseHold", name)]

    seen = len(await told(place, tenant))
    holding, let_go = asyncio.Event(), asyncio.Event()

    async def slow() -> None:
        async with database.unit_of_work(scope) as uow:
            await announce(uow, one("slow"))
            holding.set()
            await let_go.wait()

    async def quick() -> None:
        async with database.unit_of_work(scope) as uow:
            await announce(uow, one("quick"))

    first = asyncio.create_task(slow())
    await holding.wait()
    second = asyncio.create_task(quick())
    await asyncio.sleep(0.5)
    assert not second.done()
    assert len(await told(place, tenant)) == seen
    let_go.set()
    await asyncio.gather(first, second)
    assert [event["seq"] for event in await told(place, tenant)][-2:] == [seen + 1, seen + 2]

    class Undone(Exception):
        pass

    async def undone(uow: UnitOfWork) -> None:
        await announce(uow, one("undone"))
        raise Undone

    try:
        async with database.unit_of_work(scope) as uow:
            await undone(uow)
    except Undone:
        pass
    await quick()
    assert [event["seq"] for event in await told(place, tenant)][-1] == seen + 3


async def test_many_at_once_leave_no_gap(place: Place) -> None:
    scope, database = await area_scope(place), place.world.platform.database
    tenants = [place.hospital, place.county_hospital]
    before = [len(await told(place, tenant)) for tenant in tenants]

    async def both(turn: int) -> None:
        order = tenants if turn % 2 else tenants[::-1]
        async with database.unit_of_work(scope) as uow:
            await announce(uow, [Notice(tenant, EventKind.CASE_HELD, "CaseHold", str(turn)) for tenant in order])

    await asyncio.gather(*(both(turn) for turn in range(20)))
    for tenant, count in zip(tenants, before, strict=True):
        found = await told(place, tenant)
        assert [one["seq"] for one in found] == list(range(1, count + 21))


async def test_nobody_tells_another_areas_tenant_anything(place: Place) -> None:
    scope = await area_scope(place)
    async with place.world.platform.database.unit_of_work(scope) as uow:
        await announce(uow, [Notice(place.other_hospital, EventKind.CASE_HELD, "CaseHold", "x")])
    assert await told(place, place.other_hospital) == []


async def test_a_timer_moves_earlier_and_never_later(place: Place) -> None:
    from fenzhi.outbox.timers import set_timer

    scope, database = await area_scope(place), place.world.platform.database
    async with database.unit_of_work(scope) as uow:
        now = await uow.now()
        for days in (3, 5, 2):
            owner = {"tenant": place.city, "province_id": scope.province_id, "area_id": scope.area_id}
            due_at = now + timedelta(days=days)
            await set_timer(uow, "remind/test", "events.deadline_near", {"deadline": "none"}, due_at=due_at, **owner)
        row = await uow.first(job_timer.select().where(job_timer.c.name == "remind/test"))
        assert row is not None and row.due_at == now + timedelta(days=2)
    async with database.unit_of_work(replace(scope, role=DatabaseRole.WORKER)) as uow:
        await uow.execute(job_timer.delete().where(job_timer.c.name == "remind/test"))
        streams = await uow.rows(event_stream.select().where(event_stream.c.area_id == scope.area_id))
        assert {row.tenant for row in streams} <= {
            place.city,
            place.hospital,
            place.county_hospital,
            place.city[:4] + "22",
        }
