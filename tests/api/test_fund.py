"""Budgets by version and four eyes, audit deductions of county and city, and what each level sees of them."""

from __future__ import annotations

from typing import Any

import pytest_asyncio

from builders.clearing_place import CURVE, Pool, open_pool
from builders.one_person import same_person
from builders.world import World, new_key
from fenzhi.access.roles import Role

PROPOSE = """
mutation($i: FundBudgetProposeInput!) { fundBudgetPropose(input: $i) {
  budget { id version state annualFen curve } userErrors { code path } } }
"""
DECIDE = "mutation($i: FundBudgetDecideInput!) { %s(input: $i) { budget { state } userErrors { code } } }"
BUDGETS = "{ fundBudgets(year: 2025) { version state annualFen } }"
ENTER = """
mutation($i: AuditDeductionEnterInput!) { auditDeductionEnter(input: $i) {
  deduction { id state amountFen } userErrors { code path } } }
"""
APPROVE = "mutation($i: AuditDeductionDecideInput!) { auditDeductionApprove(input: $i) { deduction { state } userErrors { code } } }"
DEDUCTIONS = "{ auditDeductions(first: 20, year: 2025) { nodes { hospitalCode amountFen state } } }"


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def pool(world: World) -> Pool:
    return await open_pool(world, "65")


def budget(**changes: Any) -> dict[str, Any]:
    return {
        "idempotencyKey": new_key(),
        "insurance": "EMPLOYEE",
        "poolScope": "LOCAL",
        "year": 2025,
        "annualFen": "123456789",
        "curve": CURVE,
        "document": "测试预算〔2025〕1号",
        "reason": "年初预算",
    } | changes


def deduction(hospital: str, **changes: Any) -> dict[str, Any]:
    return {
        "idempotencyKey": new_key(),
        "hospital": hospital,
        "insurance": "EMPLOYEE",
        "poolScope": "LOCAL",
        "year": 2025,
        "month": 1,
        "amountFen": "5000",
        "reason": "超标准收费",
        "document": "审核〔2025〕2号",
    } | changes


async def test_versions_of_a_budget(pool: Pool) -> None:
    clerk, approver = await pool.clerk(), await pool.approver()
    asked = budget()
    first = (await clerk.gql(PROPOSE, {"i": asked}))["fundBudgetPropose"]["budget"]
    assert (first["version"], first["state"], first["curve"]) == (1, "DRAFT", ["0.25", "0.5", "0.75", "1"])
    assert (await clerk.gql(PROPOSE, {"i": asked}))["fundBudgetPropose"]["budget"] == first
    both = await same_person(pool.world, pool.place.city, Role.CITY_SETTLEMENT_CLERK, Role.CITY_SETTLEMENT_APPROVER)
    for client, name, errors in (
        (both, "fundBudgetApprove", ["SAME_PERSON"]),
        (both, "fundBudgetReject", ["SAME_PERSON"]),
        (approver, "fundBudgetApprove", []),
        (approver, "fundBudgetReject", ["BUDGET_NOT_DRAFT"]),
    ):
        answer = await client.gql(DECIDE % name, {"i": {"idempotencyKey": new_key(), "budget": first["id"]}})
        assert [e["code"] for e in answer[name]["userErrors"]] == errors
    second = (await clerk.gql(PROPOSE, {"i": budget(annualFen="200000000")}))["fundBudgetPropose"]["budget"]
    assert second["version"] == 2
    await approver.gql(DECIDE % "fundBudgetReject", {"i": {"idempotencyKey": new_key(), "budget": second["id"]}})
    assert (await clerk.gql(BUDGETS))["fundBudgets"] == [
        {"version": 1, "state": "APPROVED", "annualFen": "123456789"},
        {"version": 2, "state": "REJECTED", "annualFen": "200000000"},
    ]
    analyst = await pool.world.client(pool.place.province, Role.PROVINCE_ANALYST)
    assert len((await analyst.gql(BUDGETS))["fundBudgets"]) == 2
    stranger = await pool.world.client(pool.place.other_city, Role.CITY_SETTLEMENT_CLERK)
    assert (await stranger.gql(BUDGETS))["fundBudgets"] == []
    hospital = await pool.world.client(pool.place.hospital, Role.HOSPITAL_VIEWER)
    assert (await hospital.raw(BUDGETS))["errors"][0]["extensions"]["code"] == "FORBIDDEN"


async def test_all_faults_of_a_budget_at_once(pool: Pool) -> None:
    bad = budget(year=1066, annualFen="-1", curve=["0.5", "0.4", "0.75", "1"], document=" ", reason="")
    errors = (await (await pool.clerk()).gql(PROPOSE, {"i": bad}))["fundBudgetPropose"]["userErrors"]
    assert [e["code"] for e in errors] == [
        "YEAR_RANGE",
        "AMOUNT_RANGE",
        "CURVE_INVALID",
        "DOCUMENT_MISSING",
        "REASON_MISSING",
    ]


async def test_a_county_enters_and_only_its_own(pool: Pool) -> None:
    auditor = await pool.world.client(f"{pool.place.city[:2]}0122", Role.COUNTY_AUDITOR)
    own = (await auditor.gql(ENTER, {"i": deduction(pool.place.county_hospital)}))["auditDeductionEnter"]
    assert (own["deduction"]["state"], own["deduction"]["amountFen"]) == ("DRAFT", "5000")
    foreign = (await auditor.gql(ENTER, {"i": deduction(pool.place.hospital)}))["auditDeductionEnter"]
    assert [e["code"] for e in foreign["userErrors"]] == ["NOT_FOUND"]
    bad = deduction(pool.place.county_hospital, month=0, amountFen="0", reason=" ")
    errors = (await auditor.gql(ENTER, {"i": bad}))["auditDeductionEnter"]["userErrors"]
    assert [e["code"] for e in errors] == ["MONTH_RANGE", "AMOUNT_RANGE", "REASON_MISSING"]
    hospital = await pool.world.client(pool.place.county_hospital, Role.HOSPITAL_VIEWER)
    assert (await hospital.gql(DEDUCTIONS))["auditDeductions"]["nodes"] == []
    decide = {"i": {"idempotencyKey": new_key(), "deduction": own["deduction"]["id"]}}
    not_delegated = await pool.world.client(f"{pool.place.city[:2]}0122", Role.COUNTY_SETTLEMENT_APPROVER)
    refused = (await not_delegated.gql(APPROVE, decide))["auditDeductionApprove"]
    assert [e["code"] for e in refused["userErrors"]] == ["SETTLEMENT_NOT_DELEGATED"]
    approved = (await (await pool.approver()).gql(APPROVE, decide))["auditDeductionApprove"]
    assert approved == {"deduction": {"state": "APPROVED"}, "userErrors": []}
    seen = [{"hospitalCode": pool.place.county_hospital, "amountFen": "5000", "state": "APPROVED"}]
    assert (await hospital.gql(DEDUCTIONS))["auditDeductions"]["nodes"] == seen
    neighbour = await pool.world.client(pool.place.hospital, Role.HOSPITAL_VIEWER)
    assert (await neighbour.gql(DEDUCTIONS))["auditDeductions"]["nodes"] == []


async def test_a_deduction_is_not_approved_by_who_entered_it(pool: Pool) -> None:
    clerk = await pool.clerk()
    entered = (await clerk.gql(ENTER, {"i": deduction(pool.place.hospital)}))["auditDeductionEnter"]["deduction"]
    both = await same_person(pool.world, pool.place.city, Role.CITY_SETTLEMENT_CLERK, Role.CITY_SETTLEMENT_APPROVER)
    answer = await both.gql(APPROVE, {"i": {"idempotencyKey": new_key(), "deduction": entered["id"]}})
    assert [e["code"] for e in answer["auditDeductionApprove"]["userErrors"]] == ["SAME_PERSON"]
