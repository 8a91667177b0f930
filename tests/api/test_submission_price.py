"""What a finding costs: the whole case for an error, the difference for a procedure, else why it cannot be judged."""

from __future__ import annotations

import json
from typing import Any

import pytest_asyncio

from builders.submission_place import Place, open_place
from builders.world import World, new_key
from fenzhi.access.roles import Role
from fenzhi.access.scope import DatabaseRole, Scope
from fenzhi.store.repositories import point_value, registry
from fenzhi.store.session import new_id

PRICES = """
query($id: ID!) { batch(id: $id) { verdicts(first: 100) { nodes { row code price {
  points totalCostFen basicFundFen reasonCode reason reasonEn } } } } }
"""
POLICY_BREAKS = {"medfee_sumamt": "27068.00", "acct_pay": "569.00"}


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def place(world: World) -> Place:
    """One city with an approved budget point value of 2025, of employees; the other without."""
    place = await open_place(world, "58")
    async with world.platform.database.unit_of_work(Scope(role=DatabaseRole.OPERATOR, tenant="operator")) as uow:
        area = await registry.area_by_code(uow, place.city)
    assert area is not None
    scope = Scope(role=DatabaseRole.AREA, tenant=place.city, province_id=area.province_id, area_id=area.area_id)
    async with world.platform.database.unit_of_work(scope) as uow:
        await point_value.add(
            uow,
            {
                "insurance": "employee",
                "pool_scope": "local",
                "year": 2025,
                "kind": "budget",
                "basis": "total_cost",
                "fund_fen": 7_000_000,
                "cost_fen": 10_000_000,
                "booked_fen": 8_000_000,
                "points": 100_000_000,
                "points_decimals": 4,
                "edition_id": place.edition_id,
                "state": "approved",
                "working": {},
                "proposed_by_person": new_id(),
                "approved_by_person": new_id(),
            },
        )
    return place


async def priced(place: Place, batch: dict[str, Any], tenant: str, role: Role) -> dict[tuple[int, str], Any]:
    client = await place.client(tenant, role)
    nodes = (await client.gql(PRICES, {"id": batch["id"]}))["batch"]["verdicts"]["nodes"]
    return {
        (one["row"], one["code"]): [
            one["price"][name] for name in ("points", "totalCostFen", "basicFundFen", "reasonCode")
        ]
        for one in nodes
    }


async def test_an_error_endangers_the_whole_case_and_a_procedure_its_difference(place: Place) -> None:
    outside = {"oprn_oprt_code": "88.4101", "main_oprn_flag": "1", "oprn_oprt_begntime": "2025-02-04"}
    lists = [
        place.listed("P1", **POLICY_BREAKS),
        place.listed("P2", oprninfo=[outside]),
        place.listed("P3", diseinfo=[{"diag_code": "I63.900", "maindiag_flag": "0"}]),
        place.listed("P4", insutype="999"),
        place.listed("P5", psn_cashpay="x", diseinfo=[{"diag_code": "I10.x00x002", "maindiag_flag": "1"}]),
        place.listed("P6", setl_end_date="2026-02-01", **POLICY_BREAKS),
        b"rubbish",
        place.listed("P1", **POLICY_BREAKS),
    ]
    batch = await place.submit(lists)
    prices = await priced(place, batch, place.hospital, Role.HOSPITAL_SUBMITTER)
    whole = ["1260.5250", "1102959", "882368", None]
    assert prices[1, "PAYERS_NOT_TOTAL"] == whole
    assert prices[1, "LATE_LIST"] == [None, None, None, "no_rule_for_finding"]
    difference = ["263.0250", "230147", "184118", None]
    assert prices[2, "PROCEDURE_OUTSIDE_STAY"] == difference
    assert prices[3, "NO_PRINCIPAL_DIAGNOSIS"] == [None, None, None, "no_single_principal_diagnosis"]
    assert prices[4, "UNKNOWN_INSURANCE_TYPE"] == [None, None, None, "list_unreadable"]
    assert prices[5, "AMOUNT_MALFORMED"] == [None, None, None, "ungrouped"]
    assert prices[6, "PAYERS_NOT_TOTAL"] == ["1260.5250", None, None, "no_approved_budget_point_value"]
    assert prices[7, "NOT_JSON"] == [None, None, None, "list_unreadable"]
    assert prices[8, "DUPLICATE_IN_BATCH"] == ["0", "0", "0", None]

    client = await place.submitter()
    stream = await client.http.get(f"/v1/batches/{batch['id']}/verdicts.ndjson")
    lines = [json.loads(line) for line in stream.text.splitlines()]
    first = next(line for line in lines if line["code"] == "PAYERS_NOT_TOTAL")
    assert {name: first["price"][name] for name in ("points", "total_cost", "basic_fund", "reason_code")} == {
        "points": "1260.5250",
        "total_cost": "11029.59",
        "basic_fund": "8823.68",
        "reason_code": None,
    }
    city = await priced(place, batch, place.city, Role.CITY_SETTLEMENT_CLERK)
    assert city == prices


async def test_a_procedure_that_changes_nothing_endangers_nothing(place: Place) -> None:
    late = [
        {"oprn_oprt_code": "88.4101", "main_oprn_flag": "1", "oprn_oprt_begntime": "2025-01-04"},
        {"oprn_oprt_code": "99.1000", "main_oprn_flag": "0", "oprn_oprt_begntime": "2025-02-04"},
        {"oprn_oprt_code": "99.9999", "main_oprn_flag": "0"},
    ]
    batch = await place.submit([place.listed("Q1", oprninfo=late)])
    prices = await priced(place, batch, place.hospital, Role.HOSPITAL_SUBMITTER)
    assert prices[1, "PROCEDURE_OUTSIDE_STAY"] == ["0.0000", "0", "0", None]
    assert prices[1, "UNKNOWN_PROCEDURE"] == ["1260.5250", "1102959", "882368", None]


async def test_a_county_does_not_see_the_list_and_so_no_price(place: Place) -> None:
    county = f"{place.city[:4]}22"
    batch = await place.submit(
        [place.listed("R1", fixmedins_code=place.county_hospital, **POLICY_BREAKS)], hospital=place.county_hospital
    )
    prices = await priced(place, batch, county, Role.COUNTY_SETTLEMENT_CLERK)
    assert prices[1, "PAYERS_NOT_TOTAL"] == [None, None, None, "original_not_visible"]


async def test_a_rule_change_is_tried_at_the_same_prices(place: Place) -> None:
    await place.submit([place.listed(f"T{n}", setl_end_date="2025-03-01") for n in (1, 2)])
    clerk = await place.client(place.city, Role.CITY_SETTLEMENT_CLERK)
    checks = json.dumps({"ONLY_DRUGS_CHARGED": "error"})
    order = {
        "idempotencyKey": new_key(),
        "settlementMonth": 202503,
        "changes": [{"key": "submission.optional_checks", "value": checks}],
    }
    asked = await clerk.gql(
        "mutation($i: QcSimulateInput!) { qcSimulate(input: $i) { userErrors { code } } }", {"i": order}
    )
    assert asked["qcSimulate"]["userErrors"] == []
    await place.world.work_off()
    found = await clerk.gql(
        "{ qcSimulations(first: 1) { nodes { lists lines { code newlyFailing points totalCostFen basicFundFen unpriced } } } }"
    )
    # Twice the 1260.5250 points, 11029.59 and 8823.68 yuan of the whole case above.
    line = {
        "code": "ONLY_DRUGS_CHARGED",
        "newlyFailing": 2,
        "points": "2521.0500",
        "totalCostFen": "2205918",
        "basicFundFen": "1764736",
        "unpriced": 0,
    }
    assert found["qcSimulations"]["nodes"] == [{"lists": 2, "lines": [line]}]
