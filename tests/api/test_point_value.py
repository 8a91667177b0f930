"""A budget point value from three years of history, worked out by hand, by four eyes; budgets and deductions beside it."""

from __future__ import annotations

import base64
from datetime import date
from typing import Any

import pytest
import pytest_asyncio

from builders.clearing_place import Pool, open_pool
from builders.one_person import same_person
from builders.world import World, new_key
from fenzhi.access.roles import Role
from fenzhi.rules.point_value.point_value import NoCases
from fenzhi.store.repositories import catalog
from fenzhi.store.session import new_id
from fenzhi.store.tables.submission import history_discharge

COMPUTE = """
mutation($i: BudgetPointValueComputeInput!) { budgetPointValueCompute(input: $i) {
  job { state kind } userErrors { code } } }
"""
APPROVE = """
mutation($i: BudgetPointValueApproveInput!) { budgetPointValueApprove(input: $i) {
  pointValue { state } userErrors { code } } }
"""
VALUES = """
query($year: Int!) { pointValues(year: $year) {
  id kind basis state fundFen costFen bookedFen points printed insurance poolScope
  steps { rule zh en document values { name value } } } }
"""


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def pool(world: World) -> Pool:
    pool = await open_pool(world, "64")
    a = pool.place.hospital
    # 2022: one case of 10,000.00; 2023: two; 2024: one stroke at 12,000.00 and one with a procedure at 30,000.00.
    await history(
        pool,
        [
            (a, 2022, "I63.900", (), 1_000_000, 600_000, ""),
            (a, 2023, "I63.900", (), 1_000_000, 600_000, ""),
            (a, 2023, "I63.900", (), 900_000, 600_000, ""),
            (a, 2024, "I63.900", (), 1_200_000, 900_000, ""),
            (a, 2024, "I63.900", ("88.4101",), 3_000_000, 2_100_000, ""),
            (a, 2024, "I10.x00x002", (), 500_000, 400_000, ""),  # no group
            (a, 2024, "I63.900", (), -100, 0, ""),  # below zero
            (a, 2024, "I63.900", (), 7_777_777, 1, "continuation_segment"),  # set aside at intake
        ],
    )
    return pool


async def history(pool: Pool, rows: list[tuple[str, int, str, tuple[str, ...], int, int, str]]) -> None:
    batch = new_id()
    async with pool.world.platform.database.unit_of_work(pool.scope) as uow:
        await uow.insert(
            history_discharge,
            [
                {
                    "area_id": pool.scope.area,
                    "county_id": pool.numbers[hospital][1],
                    "hospital_id": pool.numbers[hospital][0],
                    "batch_id": batch,
                    "row_no": number,
                    "history_id": f"HIS{number}",
                    "year": year,
                    "discharge_date": date(year, 5, 5),
                    "insurance": "employee",
                    "level": "tertiary",
                    "los_days": 5,
                    "total_fen": total,
                    "fund_fen": booked,
                    "diagnoses": [diagnosis],
                    "procedures": list(procedures),
                    "set_aside": aside,
                }
                for number, (hospital, year, diagnosis, procedures, total, booked, aside) in enumerate(rows, start=1)
            ],
        )


def edition_id(pool: Pool) -> str:
    return base64.urlsafe_b64encode(f"CatalogEdition:{pool.place.edition_id}".encode()).decode().rstrip("=")


def order(pool: Pool, **changes: Any) -> dict[str, Any]:
    return {
        "idempotencyKey": new_key(),
        "insurance": "EMPLOYEE",
        "poolScope": "LOCAL",
        "year": 2025,
        "edition": edition_id(pool),
    } | changes


async def test_three_years_weighted_one_two_seven(pool: Pool) -> None:
    clerk = await pool.clerk()
    asked = (await clerk.gql(COMPUTE, {"i": order(pool)}))["budgetPointValueCompute"]
    assert asked == {"job": {"state": "QUEUED", "kind": "point_value.budget"}, "userErrors": []}
    await pool.world.work_off()
    (value,) = (await clerk.gql(VALUES, {"year": 2025}))["pointValues"]
    # Cost: 1 × 10,000 + 2 × 19,000 + 7 × 42,000 = 342,000.00. Points, all × 1.05: 950; 1,900; 950 + 1,200.5 = 2,150.5:
    # 1 × 997.5 + 2 × 1,995 + 7 × 2,258.025 = 20,793.675. 342,000 ÷ 20,793.675 = 16.44731… yuan.
    expected = {
        "kind": "BUDGET",
        "basis": "TOTAL_COST",
        "state": "DRAFT",
        "fundFen": "34200000",
        "costFen": "34200000",
        "bookedFen": "34200000",
        "points": "20793.6750",
        "printed": "16.4473",
        "insurance": "EMPLOYEE",
        "poolScope": "LOCAL",
    }
    assert {name: value[name] for name in expected} == expected
    steps = {step["rule"]: {v["name"]: v["value"] for v in step["values"]} for step in value["steps"]}
    assert steps["point_value.last_year_ratio"] == {"booked": "30000.00", "cost": "42000.00"}
    assert steps["point_value.history_standing"] == {
        "set_aside_ungrouped:no_group_for_diagnosis": "1",
        "set_aside_cost_not_positive": "1",
    }
    assert steps["point_value.budget"]["weight_2024"] == "7"
    hospital = await pool.world.client(pool.place.hospital, Role.HOSPITAL_VIEWER)
    assert (await hospital.gql(VALUES, {"year": 2025}))["pointValues"] == []
    both = await same_person(pool.world, pool.place.city, Role.CITY_SETTLEMENT_CLERK, Role.CITY_SETTLEMENT_APPROVER)
    for client, errors in (
        (both, ["SAME_PERSON"]),
        (await pool.approver(), []),
        (await pool.approver(), ["POINT_VALUE_NOT_DRAFT"]),
    ):
        answer = await client.gql(APPROVE, {"i": {"idempotencyKey": new_key(), "pointValue": value["id"]}})
        assert [e["code"] for e in answer["budgetPointValueApprove"]["userErrors"]] == errors
    (seen,) = (await hospital.gql(VALUES, {"year": 2025}))["pointValues"]
    assert (seen["state"], seen["printed"]) == ("APPROVED", "16.4473")


async def test_outliers_of_history_are_judged_by_last_years_references(pool: Pool) -> None:
    async with pool.world.platform.database.unit_of_work(pool.scope) as uow:
        # 30,000.00 against a mean of 10,000.00 is 3: beyond the line of 2, 3 − 2 + 1 = 2 times the score.
        await catalog.add_reference_costs(uow, [(pool.place.edition_id, 2029, "I63.9:88.4101", "", 1, 1_000_000, 5)])
    await history(pool, [(pool.place.hospital, 2029, "I63.900", ("88.4101",), 3_000_000, 2_100_000, "")])
    clerk = await pool.clerk()
    await clerk.gql(COMPUTE, {"i": order(pool, year=2030)})
    await pool.world.work_off()
    (value,) = (await clerk.gql(VALUES, {"year": 2030}))["pointValues"]
    # 7 × 1,200.5 × 1.05 × 2; the two years without cases add nothing.
    assert (value["points"], value["costFen"]) == ("17647.3500", "21000000")


async def test_no_history_no_point_value(pool: Pool) -> None:
    clerk = await pool.clerk()
    await clerk.gql(COMPUTE, {"i": order(pool, insurance="RESIDENT")})
    with pytest.raises(NoCases):
        await pool.world.work_off()


async def test_an_edition_of_another_province_does_not_exist(pool: Pool) -> None:
    stranger = await pool.world.client("410100", Role.CITY_SETTLEMENT_CLERK)
    answer = (await stranger.gql(COMPUTE, {"i": order(pool)}))["budgetPointValueCompute"]
    assert [e["code"] for e in answer["userErrors"]] == ["EDITION_NOT_FOUND"]
    wrong = (await (await pool.clerk()).gql(COMPUTE, {"i": order(pool, edition="eHg")}))["budgetPointValueCompute"]
    assert [e["code"] for e in wrong["userErrors"]] == ["ID_MALFORMED"]
