"""The year cleared through the API, every number worked out by hand: assessment, bands, deposit, offsets, advance, the last transfer."""

from __future__ import annotations

from typing import Any

import pytest

from builders.clearing_place import open_pool
from builders.event_stream import told
from builders.one_person import same_person
from builders.world import World, new_key
from builders.year_place import (
    act,
    assess,
    book_of,
    books,
    decide,
    enter,
    issue,
    open_account,
    owe,
    standing,
    submitter,
    year_of,
    year_to_publication,
)
from fenzhi.access.roles import Role
from fenzhi.rules.refusals import FenzhiError

NO_BANDS = {"bands__applies": "false"}


def amounts(node: dict[str, Any], *names: str) -> dict[str, int]:
    return {name: int(node[name]) for name in names}


async def test_assessment_of_the_rules_own_example(world: World) -> None:
    """17,500,000.00 at 0.98 with 50,000.00 deducted: cleared 17,100,000.00, and 350,000.00 in the assessment account."""
    pool = await open_pool(world, "80", deposit__rate="0", **NO_BANDS)
    hospital = pool.place.hospital
    await pool.budget(1_750_000_000)
    await pool.put(hospital, 1)
    await pool.put(hospital, 7)
    await pool.deduct(hospital, 3, 5_000_000)
    await assess(pool, **{hospital: ("0.98", "", "")})
    found = await year_to_publication(pool)
    assert amounts(
        found["lines"][hospital], "grossFen", "deductionsFen", "assessmentWithheldFen", "clearedFen", "finalFen"
    ) == {
        "grossFen": 1_750_000_000,
        "deductionsFen": 5_000_000,
        "assessmentWithheldFen": 35_000_000,
        "clearedFen": 1_710_000_000,
        "finalFen": 1_710_000_000,
    }
    assert found["accounts"]["assessment"] == 35_000_000
    assert found["summary"]["unexplainedFen"] == "0"
    assert await books(pool) == {
        "pool": 1_750_000_000,
        "deductions": -5_000_000,
        "assessment": -35_000_000,
        "payable": -1_710_000_000,
    }


BANDS = {
    "bands__applies": "true",
    "bands__measure": "booked_over_payable",
    "bands__mode": "marginal",
    "bands__table": [
        {"upto": "0.8", "inclusive": "true", "share": "0"},
        {"upto": "1", "inclusive": "true", "share": "0.6"},
        {"upto": "1.1", "inclusive": "true", "share": "0.5"},
        {"upto": "", "inclusive": "false", "share": "0"},
    ],
    "bands__sources": ["adjustment", "risk"],
}


async def test_bands_are_paid_by_their_sources_pro_rata_when_short(world: World) -> None:
    pool = await open_pool(world, "81", deposit__rate="0", **BANDS)
    a, b = pool.place.hospital, pool.place.county_hospital
    await pool.budget(2_000_000)
    await pool.put(a, 1, fund_fen=800_000)
    await pool.put(b, 2, fund_fen=1_050_000, total_fen=2_000_000)
    await assess(pool, **{a: ("1", "", ""), b: ("1", "", "")})
    await open_account(pool, "adjustment", 10_000)
    await open_account(pool, "risk", 8_000)
    found = await year_to_publication(pool)
    # 10,000.00 each. A: u = 0.8, surplus 2,000.00 keeps 60% of 0.8–1: 1,200.00, withheld 800.00.
    # B: u = 1.05, overspend 500.00, half of it 250.00; the sources hold 100.00 + 80.00 and give all of it.
    assert amounts(found["lines"][a], "grossFen", "bandWithheldFen", "bonusFen", "clearedFen") == {
        "grossFen": 1_000_000,
        "bandWithheldFen": 80_000,
        "bonusFen": 0,
        "clearedFen": 920_000,
    }
    assert amounts(found["lines"][b], "grossFen", "bandWithheldFen", "bonusFen", "clearedFen") == {
        "grossFen": 1_000_000,
        "bandWithheldFen": 0,
        "bonusFen": 18_000,
        "clearedFen": 1_018_000,
    }
    query = """query($id: ID!) { clearingRun(id: $id) { surplus { poolFen clearedFen bookedAfterAuditFen surplusHospitals
      hospitals { hospitalCode balanceFen } } } }"""
    surplus = (await (await pool.clerk()).gql(query, {"id": found["id"]}))["clearingRun"]["surplus"]
    assert (surplus["poolFen"], surplus["bookedAfterAuditFen"], surplus["surplusHospitals"]) == (
        "2000000",
        "1850000",
        1,
    )
    assert surplus["hospitals"] == [
        {"hospitalCode": a, "balanceFen": str(920_000 - 800_000)},
        {"hospitalCode": b, "balanceFen": str(1_018_000 - 1_050_000)},
    ]
    mine = (await (await submitter(pool, b)).gql(query, {"id": found["id"]}))["clearingRun"]["surplus"]
    assert (mine["poolFen"], [one["hospitalCode"] for one in mine["hospitals"]]) == (None, [b])
    assert found["accounts"]["drawn_from_adjustment"] == 10_000
    assert found["accounts"]["drawn_from_risk"] == 8_000
    assert await books(pool) == {
        "pool": 2_000_000,
        "bands": -80_000,
        "bonuses": 18_000,
        "bonuses_financed": -18_000,
        "payable": -1_938_000,
        "opening": 18_000,
    }


async def test_deposit_offsets_advance_and_a_debt_that_stays(world: World) -> None:
    pool = await open_pool(
        world,
        "82",
        assessment__acts_at="deposit",
        annual__deposit_release="grade_table",
        annual__deposit_grades={"A": "1", "B": "0.5"},
        clearing__offset_limit_ratio="0.5",
        **NO_BANDS,
    )
    a, b = pool.place.hospital, pool.place.county_hospital
    await pool.price(10, last_year=(7, 10))
    await pool.budget(2_000_000)
    await pool.put(a, 1)
    await pool.put(b, 1)
    month = await pool.published("MONTH", 1)
    # A: 9,975.00 × 0.7 × 0.9 = 6,284.25; deposit 5% = 314.21, payable 5,970.04. B is paid 12,000.00, far too much.
    assert (await pool.pay(month["id"], a, 597_004))["userErrors"] == []
    assert (await pool.pay(month["id"], b, 1_200_000))["userErrors"] == []
    debt = await owe(pool, a, 300_000)
    await assess(pool, **{a: ("1", "95", "A"), b: ("1", "70", "B")})
    found = await year_to_publication(pool)
    # A: 10,000.00; target 500.00 released whole; before offsets 10,000.00 − 5,970.04 = 4,029.96, half of it offset: 2,014.98.
    names = (
        "clearedFen",
        "depositWithheldFen",
        "payableFen",
        "priorPaidFen",
        "offsetFen",
        "depositReleasedFen",
        "depositForfeitedFen",
        "finalFen",
    )
    assert amounts(found["lines"][a], *names) == {
        "clearedFen": 1_000_000,
        "depositWithheldFen": 50_000,
        "payableFen": 950_000,
        "priorPaidFen": 597_004,
        "offsetFen": 201_498,
        "depositReleasedFen": 50_000,
        "depositForfeitedFen": 0,
        "finalFen": 201_498,
    }
    # B: 10,000.00 − 12,000.00 − half of its deposit of 500.00.
    assert amounts(found["lines"][b], *names) == {
        "clearedFen": 1_000_000,
        "depositWithheldFen": 50_000,
        "payableFen": 950_000,
        "priorPaidFen": 1_200_000,
        "offsetFen": 0,
        "depositReleasedFen": 25_000,
        "depositForfeitedFen": 25_000,
        "finalFen": -225_000,
    }
    assert await books(pool) == {
        "pool": 2_000_000,
        "deposit_forfeited": -25_000,
        "paid": -1_797_004,
        "payable": -201_498,
        "receivable": 225_000 - 201_498,
    }
    assert await book_of(pool, b, "receivable") == 225_000
    clerk = await pool.clerk()
    owed = (
        await clerk.gql("{ receivables(first: 10) { nodes { hospitalCode year amountFen movedFen openFen runId } } }")
    )["receivables"]["nodes"]
    assert [(r["hospitalCode"], r["year"], r["movedFen"], r["openFen"], r["runId"]) for r in owed] == [
        (a, 2024, "201498", "98502", None),
        (b, 2025, "0", "225000", found["id"]),
    ]
    repaid = """mutation($i: ReceivableRepayInput!) { receivableRepay(input: $i) { receivables { openFen } userErrors { code } } }"""
    order = {"receivable": debt, "amountFen": "98503", "voucher": "R1", "paidOn": "2025-12-31"}
    too_much = await clerk.gql(repaid, {"i": order | {"idempotencyKey": new_key()}})
    assert [e["code"] for e in too_much["receivableRepay"]["userErrors"]] == ["RECEIVABLE_OVERPAID"]
    whole = await clerk.gql(repaid, {"i": order | {"idempotencyKey": new_key(), "amountFen": "98502"}})
    assert whole["receivableRepay"]["receivables"] == [{"openFen": "0"}]
    assert await book_of(pool, a, "receivable", 2024) + await book_of(pool, a, "receivable") == 0


async def test_from_issue_to_lock(world: World) -> None:
    pool = await open_pool(world, "83", deposit__rate="0", **NO_BANDS)
    a, b = pool.place.hospital, pool.place.county_hospital
    await pool.budget(2_000_000)
    await pool.put(a, 1)
    await pool.put(b, 2)
    started = await pool.start("YEAR", 1)
    assert started["userErrors"] == []
    with pytest.raises(FenzhiError) as refusal:
        await world.work_off()
    assert (refusal.value.code, b in str(refusal.value.zh)) == ("ASSESSMENT_NOT_ENTERED", True)
    await assess(pool, **{a: ("1", "", ""), b: ("1", "", "")})
    run = await pool.computed("YEAR", 1)
    hospital_a, hospital_b = await submitter(pool, a), await submitter(pool, b)
    assert await year_of(pool, run, hospital_a) == {}
    lines = (await year_of(pool, run))["lines"]
    mine, other = lines[a]["id"], lines[b]["id"]
    assert await act(hospital_a, "statementConfirm", mine) == ["NOT_FOUND"]
    assert [e["code"] for e in (await pool.step("clearingRunApprove", run))["userErrors"]] == ["RUN_STATE"]
    assert await issue(pool, run) == []
    assert await issue(pool, run) == ["RUN_STATE"]
    assert set((await year_of(pool, run, hospital_a))["lines"]) == {a}
    assert await act(hospital_a, "statementConfirm", other) == ["NOT_FOUND"]
    assert await act(hospital_a, "statementDispute", mine) == ["REASON_MISSING"]
    assert await act(hospital_a, "statementConfirm", mine) == []
    assert await act(hospital_a, "statementDispute", mine, "漏一例") == ["STATEMENT_ACT_REFUSED"]
    assert await act(hospital_b, "statementDispute", other, "二月漏报一例") == []
    assert [e["code"] for e in (await pool.step("clearingRunApprove", run))["userErrors"]] == ["STATEMENTS_UNANSWERED"]
    clerk = await pool.clerk()
    assert await act(clerk, "statementLapse", other) == ["CONFIRMATION_STILL_OPEN"]
    assert await act(clerk, "statementDisputeUphold", other, "补报属实") == []
    assert (await pool.look(run))["state"] == "VOIDED"

    await pool.put(b, 2)
    again = await pool.computed("YEAR", 1)
    assert await issue(pool, again) == []
    lines = (await year_of(pool, again))["lines"]
    assert int(lines[b]["grossFen"]) == 1_333_333
    assert await act(hospital_a, "statementConfirm", lines[a]["id"]) == []
    assert await act(hospital_b, "statementDispute", lines[b]["id"], "仍有异议") == []
    assert await act(clerk, "statementDisputeReject", lines[b]["id"], "清单齐全") == []
    both = await same_person(world, pool.place.city, Role.CITY_SETTLEMENT_CLERK, Role.CITY_SETTLEMENT_APPROVER)
    assert [e["code"] for e in (await pool.step("clearingRunApprove", again, both))["userErrors"]] == ["SAME_PERSON"]
    assert (await pool.step("clearingRunApprove", again))["userErrors"] == []
    assert await standing(hospital_b, lines[b]["id"]) == "APPROVED"
    assert (await pool.step("clearingRunPublish", again))["userErrors"] == []
    assert await standing(hospital_a, lines[a]["id"]) == "POSTED"
    approver = await pool.approver()
    assert await act(approver, "statementLock", lines[a]["id"]) == ["STATEMENT_NOT_SETTLED"]
    assert (await pool.pay(again, a, 666_667))["userErrors"] == []
    assert await act(approver, "statementLock", lines[a]["id"]) == []
    assert await standing(hospital_a, lines[a]["id"]) == "LOCKED"
    assert await book_of(pool, a, "payable") == 0
    for kind, period in (("MONTH", 12), ("QUARTER", 4), ("YEAR", 1)):
        codes = [e["code"] for e in (await pool.start(kind, period))["userErrors"]]
        assert codes == (["CLEARING_ALREADY_RUNNING"] if kind == "YEAR" else ["PERIOD_CLOSED"])

    # Whom it concerns was told, in the order of things, and nobody else.
    stages = [("issued", run), ("issued", again), ("published", again)]
    facts = {"run": "year", "insurance": "employee", "year": "2025", "period": "1"}
    for tenant, role in (
        (pool.place.city, Role.CITY_SETTLEMENT_CLERK),
        (f"{pool.place.city[:4]}22", Role.COUNTY_AUDITOR),
    ):
        assert await told(world, tenant, role=role) == [
            ("ClearingRun", one, facts | {"stage": stage}) for stage, one in stages
        ]
    statements = {a: (mine, lines[a]["id"]), b: (other, lines[b]["id"])}
    for hospital, (first, second) in statements.items():
        assert await told(world, hospital, "STATEMENT_PUBLISHED") == [
            ("HospitalStatement", one, facts | {"stage": stage})
            for stage, one in (("issued", first), ("issued", second), ("published", second))
        ]
    assert await told(world, a, "DISPUTE_ANSWERED") == []
    assert await told(world, b, "DISPUTE_ANSWERED") == [
        ("HospitalStatement", other, {"answer": "uphold"}),
        ("HospitalStatement", lines[b]["id"], {"answer": "reject"}),
    ]
    assert await told(world, pool.place.other_hospital) == []
    assert await told(world, pool.place.other_city, role=Role.CITY_SETTLEMENT_CLERK) == []


async def test_a_payment_after_the_computation_sends_the_year_back(world: World) -> None:
    pool = await open_pool(world, "84", deposit__rate="0", **NO_BANDS)
    hospital = pool.place.hospital
    await pool.price(10, last_year=(7, 10))
    await pool.budget(1_000_000)
    await pool.put(hospital, 1)
    month = await pool.published("MONTH", 1)
    await assess(pool, **{hospital: ("1", "", "")})
    run = await pool.computed("YEAR", 1)
    assert await issue(pool, run) == []
    line = (await year_of(pool, run))["lines"][hospital]
    assert await act(await submitter(pool, hospital), "statementConfirm", line["id"]) == []
    assert (await pool.pay(month["id"], hospital, 100))["userErrors"] == []
    assert (await pool.step("clearingRunApprove", run))["userErrors"] == []
    assert [e["code"] for e in (await pool.step("clearingRunPublish", run))["userErrors"]] == ["RUN_OUT_OF_DATE"]
    assert (await pool.step("clearingRunVoid", run))["userErrors"] == []
    assert int((await year_to_publication(pool))["lines"][hospital]["finalFen"]) == 1_000_000 - 100


async def test_entries_need_two_persons_and_count_once(world: World) -> None:
    pool = await open_pool(world, "85", **NO_BANDS)
    ground = {"insurance": "EMPLOYEE", "poolScope": "LOCAL", "year": 2025, "document": "文", "reason": "由"}
    rows = [{"hospital": pool.place.hospital, "coefficient": "0.9"}]
    ids = await enter(pool, "assessmentsEnter", "AssessmentsEnterInput", "assessments", ground | {"rows": rows})
    both = await same_person(world, pool.place.city, Role.CITY_SETTLEMENT_CLERK, Role.CITY_SETTLEMENT_APPROVER)
    assert await decide(pool, "assessmentsApprove", "assessments", ids, both) == ["SAME_PERSON"]
    query = "{ assessmentResults(first: 5, year: 2025) { nodes { hospitalCode coefficient state } } }"
    hospital = await submitter(pool, pool.place.hospital)
    assert (await hospital.gql(query))["assessmentResults"]["nodes"] == []
    assert await decide(pool, "assessmentsApprove", "assessments", ids) == []
    assert await decide(pool, "assessmentsReject", "assessments", ids) == ["ENTRY_NOT_DRAFT"]
    seen = (await hospital.gql(query))["assessmentResults"]["nodes"]
    assert seen == [{"hospitalCode": pool.place.hospital, "coefficient": "0.9", "state": "APPROVED"}]
    other = await world.client(pool.place.county_hospital, Role.HOSPITAL_VIEWER)
    assert (await other.gql(query))["assessmentResults"]["nodes"] == []
    document = """mutation($i: AssessmentsEnterInput!) { assessmentsEnter(input: $i) { userErrors { code path } } }"""
    wrong = ground | {
        "idempotencyKey": new_key(),
        "year": 1999,
        "document": " ",
        "rows": [*rows, {"hospital": pool.place.hospital, "coefficient": "2.1"}],
    }
    faults = (await (await pool.clerk()).gql(document, {"i": wrong}))["assessmentsEnter"]["userErrors"]
    assert [(f["code"], f["path"]) for f in faults] == [
        ("YEAR_RANGE", ["year"]),
        ("DOCUMENT_MISSING", ["document"]),
        ("HOSPITAL_TWICE", ["rows"]),
        ("COEFFICIENT_RANGE", ["rows", "1", "coefficient"]),
    ]
    refused = await (await pool.approver()).raw(document, {"i": ground | {"idempotencyKey": new_key(), "rows": rows}})
    assert refused["errors"][0]["extensions"]["code"] == "FORBIDDEN"
