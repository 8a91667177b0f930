"""A county settles its own hospitals by the city's delegation, in force from a day on."""

from __future__ import annotations

from typing import Any

from builders.clearing_place import Pool, enter_area_policy, open_pool
from builders.world import Client, World, new_key
from fenzhi.access.roles import Role

BOOKS = "{ fundBooks(insurance: EMPLOYEE, poolScope: LOCAL, year: 2025) { hospitalCode account balanceFen } }"
TOTALS = """
query($id: ID!) { clearingRun(id: $id) { countyTotals { countyCode hospitals grossFen payableFen transferFen paidFen } } }
"""
DECIDE = "mutation($i: AuditDeductionDecideInput!) { auditDeductionApprove(input: $i) { deduction { state } userErrors { code } } }"
ENTER = "mutation($i: AuditDeductionEnterInput!) { auditDeductionEnter(input: $i) { deduction { id } userErrors { code } } }"


def county_of(pool: Pool) -> str:
    return f"{pool.place.city[:2]}0122"


async def codes(pool: Pool, run: str, hospital: str, amount: int, client: Client) -> list[str]:
    return [e["code"] for e in (await pool.pay(run, hospital, amount, client=client))["userErrors"]]


async def test_a_county_pays_its_own_hospitals_from_the_day_of_the_delegation(world: World) -> None:
    pool = await open_pool(world, "M4", deposit__rate="0")
    county = county_of(pool)
    await pool.budget(8_000_000)
    for hospital in (pool.place.hospital, pool.place.county_hospital):
        await pool.put(hospital, 1)
    run = await pool.published("QUARTER", 1)
    clerk = await world.client(county, Role.COUNTY_SETTLEMENT_CLERK)
    own = pool.place.county_hospital
    assert await codes(pool, run["id"], own, 400_000, clerk) == ["SETTLEMENT_NOT_DELEGATED"]
    later = {"delegation.counties": [{"county": county, "duties": "payment"}]}
    await enter_area_policy(world, pool.place.city, later, effective_from="2099-01-01")
    assert await codes(pool, run["id"], own, 400_000, clerk) == ["SETTLEMENT_NOT_DELEGATED"]
    await enter_area_policy(world, pool.place.city, later)
    assert await codes(pool, run["id"], own, 400_000, clerk) == []
    assert await codes(pool, run["id"], pool.place.hospital, 100, clerk) == ["NOT_FOUND"]
    # 20,000.00 over two equal hospitals; the county has paid 4,000.00 of its own 10,000.00.
    totals = (await (await pool.clerk()).gql(TOTALS, {"id": run["id"]}))["clearingRun"]["countyTotals"]
    mine: dict[str, Any] = {
        "countyCode": county,
        "hospitals": 1,
        "grossFen": "1000000",
        "payableFen": "1000000",
        "transferFen": "1000000",
        "paidFen": "400000",
    }
    assert totals == [mine | {"countyCode": "", "paidFen": "0"}, mine]
    assert (await clerk.gql(TOTALS, {"id": run["id"]}))["clearingRun"]["countyTotals"] == [mine]
    books = (await clerk.gql(BOOKS))["fundBooks"]
    assert books == [
        {"hospitalCode": own, "account": "paid", "balanceFen": "-400000"},
        {"hospitalCode": own, "account": "payable", "balanceFen": "-600000"},
    ]
    everything = (await (await pool.clerk()).gql(BOOKS))["fundBooks"]
    assert [row for row in everything if row["hospitalCode"] == own] == books
    assert sum(int(row["balanceFen"]) for row in everything) == 0
    # The neighbour under the city, another county's staff and a hospital read none of it.
    stranger = await world.client("410221", Role.COUNTY_SETTLEMENT_CLERK)
    assert (await stranger.gql(BOOKS))["fundBooks"] == []
    assert (await stranger.gql(TOTALS, {"id": run["id"]}))["clearingRun"] is None
    viewer = await world.client(own, Role.HOSPITAL_VIEWER)
    assert (await viewer.raw(BOOKS))["errors"][0]["extensions"]["code"] == "FORBIDDEN"


async def test_what_is_left_to_a_county_is_named_duty_by_duty(world: World) -> None:
    counties = [{"county": "M50122", "duties": "deduction"}]
    pool = await open_pool(world, "M5", deposit__rate="0", delegation__counties=counties)
    await pool.budget(8_000_000)
    for hospital in (pool.place.hospital, pool.place.county_hospital):
        await pool.put(hospital, 1)
    auditor = await world.client("M50122", Role.COUNTY_AUDITOR)
    order = {
        "idempotencyKey": new_key(),
        "hospital": pool.place.county_hospital,
        "insurance": "EMPLOYEE",
        "poolScope": "LOCAL",
        "year": 2025,
        "month": 1,
        "amountFen": "30000",
        "reason": "分解住院",
        "document": "县审核〔2025〕1号",
    }
    entered = (await auditor.gql(ENTER, {"i": order}))["auditDeductionEnter"]
    approver = await world.client("M50122", Role.COUNTY_SETTLEMENT_APPROVER)
    decided = await approver.gql(DECIDE, {"i": {"idempotencyKey": new_key(), "deduction": entered["deduction"]["id"]}})
    assert decided["auditDeductionApprove"] == {"deduction": {"state": "APPROVED"}, "userErrors": []}
    run = await pool.published("QUARTER", 1)
    lines = {n["hospitalCode"]: (n["deductionsFen"], n["payableFen"]) for n in run["statements"]["nodes"]}
    assert lines == {pool.place.hospital: ("0", "1000000"), pool.place.county_hospital: ("30000", "970000")}
    clerk = await world.client("M50122", Role.COUNTY_SETTLEMENT_CLERK)
    assert await codes(pool, run["id"], pool.place.county_hospital, 970_000, clerk) == ["SETTLEMENT_NOT_DELEGATED"]
    books = {row["account"]: row["balanceFen"] for row in (await clerk.gql(BOOKS))["fundBooks"]}
    assert books == {"deductions": "-30000", "payable": "-970000"}
