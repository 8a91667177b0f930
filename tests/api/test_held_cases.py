"""A held case enters no run, and waits on a named list: returned before a run it is missing there, released it counts again."""

from __future__ import annotations

import json
import uuid
from typing import Any

import pytest_asyncio

from builders.clearing_place import Pool, enter_area_policy, open_pool
from builders.submission_place import enter_policy
from builders.world import World, new_key
from fenzhi.access.roles import Role
from fenzhi_graphql.paging import global_id

HOLD = "caseHold { dueOn state } userErrors { code }"
RETURN = f"mutation($i: CaseReturnInput!) {{ caseReturn(input: $i) {{ {HOLD} }} }}"
WITHDRAW = f"mutation($i: CaseReturnInput!) {{ caseReturnWithdraw(input: $i) {{ {HOLD} }} }}"


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def pool(world: World) -> Pool:
    pool = await open_pool(world, "94")
    await pool.price(10, last_year=(7, 10))
    return pool


async def say(pool: Pool, role: Role, tenant: str, mutation: str, case_id: uuid.UUID) -> dict[str, Any]:
    client = await pool.world.client(tenant, role)
    order = {"idempotencyKey": new_key(), "inpatientCase": global_id("InpatientCase", case_id), "reason": "核对费用"}
    return next(iter((await client.gql(mutation, {"i": order})).values()))  # type: ignore[no-any-return]


async def counted(pool: Pool) -> int:
    """Cases of a computed January, which is then voided."""
    run = await pool.computed("MONTH", 1)
    found = await pool.look(run)
    assert found["summary"]["unexplainedFen"] == "0"
    await pool.step("clearingRunVoid", run)
    return int(found["manifest"]["caseCount"])


async def test_a_returned_case_waits_and_counts_again_when_released(pool: Pool) -> None:
    city, county = pool.place.city, f"{pool.place.city[:4]}22"
    kept = await pool.put(pool.place.hospital, 1)
    returned = await pool.put(pool.place.county_hospital, 1)
    assert await counted(pool) == 2
    early = await say(pool, Role.COUNTY_AUDITOR, county, RETURN, returned)
    assert [e["code"] for e in early["userErrors"]] == ["POLICY_NOT_ENTERED"]
    await enter_area_policy(pool.world, city, {"submission.correction_days": "5"})
    held = await say(pool, Role.COUNTY_AUDITOR, county, RETURN, returned)
    assert held["userErrors"] == [] and held["caseHold"]["state"] == "open"
    assert await counted(pool) == 1
    released = await say(pool, Role.COUNTY_AUDITOR, county, WITHDRAW, returned)
    assert released["caseHold"]["state"] == "released"
    assert await counted(pool) == 2
    assert (await say(pool, Role.CITY_SETTLEMENT_CLERK, city, RETURN, kept))["userErrors"] == []
    assert await counted(pool) == 1
    await pool.put(pool.place.hospital, 1, replaces=kept)
    assert await counted(pool) == 2
    gone = await say(pool, Role.CITY_SETTLEMENT_CLERK, city, WITHDRAW, kept)
    assert [e["code"] for e in gone["userErrors"]] == ["CASE_REPLACED"]


RELEASE = f"mutation($i: CaseReturnInput!) {{ caseRelease(input: $i) {{ {HOLD} }} }}"
NAMED = "{ caseHolds(first: 100, onlyOpen: true) { nodes { setlId kind state } } }"


async def test_a_frozen_list_waits_on_the_named_list_until_a_bureaus_role_releases_it(pool: Pool) -> None:
    place, clerk = pool.place, await pool.clerk()
    await enter_policy(
        pool.world,
        place.province,
        {
            "submission.optional_checks": json.dumps({"PROCEDURE_ANAESTHESIA_MISMATCH": "warning"}),
            "submission.anaesthesia_of_procedures": json.dumps({"88.41": "1 9"}),
        },
    )
    before = await counted(pool)
    odd = [{"oprn_oprt_code": "88.4101", "main_oprn_flag": "1", "oprn_oprt_begntime": "2025-01-04", "anst_way": "2"}]
    judged = await place.submit([place.listed("KF1", oprninfo=odd), place.listed("KF2")])
    assert judged["counts"]["accepted"] == 2
    assert await counted(pool) == before + 1, "the sound list counts, the frozen one does not"
    assert (await clerk.gql(NAMED))["caseHolds"]["nodes"] == [{"setlId": "KF1", "kind": "frozen", "state": "open"}]
    (found,) = await place.cases(await place.submitter(), setlId="KF1")
    order = {"idempotencyKey": new_key(), "inpatientCase": found["id"], "reason": "麻醉记录核实无误"}
    own = await (await place.submitter()).raw(RELEASE, {"i": order})
    assert own["errors"][0]["extensions"]["code"] == "FORBIDDEN"
    assert await counted(pool) == before + 1
    assert (await clerk.gql(RELEASE, {"i": order}))["caseRelease"]["userErrors"] == []
    assert await counted(pool) == before + 2
    assert (await clerk.gql(NAMED))["caseHolds"]["nodes"] == []
