"""Out-of-area cases through the API: priced where they are treated, claimed of where the patient is insured, cleared between the areas."""

from __future__ import annotations

from typing import Any

import pytest

from builders.between_areas_place import (
    cleared_between,
    decide_between,
    province_client,
    start_between,
    statements,
)
from builders.clearing_place import Pool, open_other, open_pool
from builders.one_person import same_person
from builders.world import World
from builders.year_place import assess, year_to_publication
from fenzhi.access.roles import Role
from fenzhi.services.clearing.between_areas import NothingBetweenAreas

BOOKS = "{ fundBooks(insurance: EMPLOYEE, poolScope: %s, year: 2025) { account balanceFen } }"
AREAS = """
query($id: ID!) { clearingRun(id: $id) { statements(first: 5) { nodes { insuredAreas { insuredArea cases shareFen } } } } }
"""
ELSEWHERE = {"poolScope": "OUT_OF_AREA"}


async def books_of(pool: Pool, scope: str) -> dict[str, int]:
    found: dict[str, int] = {}
    for row in (await (await pool.clerk()).gql(BOOKS % scope))["fundBooks"]:
        found[row["account"]] = found.get(row["account"], 0) + int(row["balanceFen"])
    assert sum(found.values()) == 0
    return {name: fen for name, fen in found.items() if fen}


CHANGES = """
query($id: ID!) { clearingRun(id: $id) { statements(first: 10) { nodes { changes { beforeFen } changesRefused { code en } } } } }
"""


async def two_cities(world: World, stem: str, *, other_kind: str = "city", **policy: Any) -> tuple[Pool, Pool]:
    """A shares 20,000.00 a quarter over three cases, B 10,000.01 over two; each treats the other's insured."""
    a = await open_pool(world, stem, other_kind=other_kind, deposit__rate="0", **policy)
    b = await open_other(a, deposit__rate="0", **policy)
    composition = {
        "method": "ITEMISED",
        "inpatientFen": "8450000",
        "setAsides": [{"part": "OUT_OF_AREA", "fen": "300000"}, {"part": "ADJUSTMENT", "fen": "150000"}],
    }
    await a.budget(8_000_000, annualFen=None, composition=composition)
    await b.budget(4_000_004)
    await b.budget(2_000_000, **ELSEWHERE)
    for hospital in (a.place.hospital, a.place.hospital, a.place.county_hospital):
        await a.put(hospital, 1)
    for _ in range(2):
        await b.put(b.place.hospital, 1)
    return a, b


async def test_each_case_is_paid_where_it_was_treated_and_borne_where_the_patient_is_insured(world: World) -> None:
    a, b = await two_cities(world, "M1")
    elsewhere: dict[str, Any] = {"pool_scope": "out_of_area"}
    await a.put(a.place.hospital, 2, insured_area=b.place.city, **elsewhere)
    await a.put(a.place.county_hospital, 2, insured_area=b.place.city, **elsewhere)
    # Insured in a county of A, treated in B; and one who is insured in another province.
    county = f"{a.place.city[:4]}22"
    await b.put(b.place.hospital, 2, insured_area=county, **elsewhere)
    await b.put(b.place.hospital, 3, insured_area="990100", **elsewhere)
    # Without the local pool's clearing there is no price.
    early = await a.start("QUARTER", 1, **ELSEWHERE)
    assert [error["code"] for error in early["userErrors"]] == ["LOCAL_POOL_NOT_CLEARED"]
    nothing = await start_between(a, 1)
    assert [error["code"] for error in nothing["userErrors"]] == ["NOTHING_BETWEEN_AREAS"]
    for pool in (a, b):
        await pool.published("QUARTER", 1)
    run = await a.published("QUARTER", 1, **ELSEWHERE)
    # 20,000.00 over three equal cases: 6,666.666… a case, half up; a closed pool would have given .67, .67, .66.
    assert {n["hospitalCode"]: (n["grossFen"], n["payableFen"], n["cases"]["nodes"][0]["shareFen"]) for n in run["statements"]["nodes"]} == {
        a.place.hospital: ("666667", "666667", "666667"),
        a.place.county_hospital: ("666667", "666667", "666667"),
    }  # fmt: skip
    assert (run["summary"]["poolFen"], run["summary"]["unexplainedFen"]) == ("1333334", "0")
    steps = run["statements"]["nodes"][0]["steps"]
    assert steps[0]["rule"] == "clearing.out_of_area"
    hospital = await world.client(a.place.hospital, Role.HOSPITAL_VIEWER)
    own = await hospital.gql(AREAS, {"id": run["id"]})
    assert [n["insuredAreas"] for n in own["clearingRun"]["statements"]["nodes"]] == [
        [{"insuredArea": b.place.city, "cases": 1, "shareFen": "666667"}]
    ]
    run_b = await b.published("QUARTER", 1, **ELSEWHERE)
    # 5,000.005 a case, half up.
    assert [n["grossFen"] for n in run_b["statements"]["nodes"]] == ["1000002"]
    before = await books_of(a, "OUT_OF_AREA")
    assert before == {"pool": 1_333_334, "payable": -1_333_334}

    found = await cleared_between(a, 1)
    sides = [(s["areaCode"], s["counterpart"], s["cases"], s["receivableFen"], s["payableFen"], s["netFen"]) for s in found["sides"]]  # fmt: skip
    assert sides == [
        (a.place.city, b.place.city, 3, "1333334", "500001", "833333"),
        (b.place.city, a.place.city, 3, "500001", "1333334", "-833333"),
    ]
    assert (found["receivableFen"], found["payableFen"], found["unexplainedFen"]) == ("1833335", "1833335", "0")
    assert found["outside"] == [{"insuredArea": "990100", "cases": 1, "amountFen": "500001"}]
    # A owes 5,000.01: its out-of-area fund has 3,000.00, its adjustment fund 1,500.00, and 500.01 is uncovered and said so.
    assert await books_of(a, "OUT_OF_AREA") == {
        "pool": 300_000,
        "payable": -1_333_334,
        "inter_area_receivable": 1_333_334,
        "inter_area_payable": -350_001,
        "inter_area_uncovered": 50_001,
    }
    local = await books_of(a, "LOCAL")
    assert (local.get("adjustment", 0), local["inter_area_payable"]) == (0, -150_000)
    assert await books_of(b, "OUT_OF_AREA") == {
        "pool": 1_000_002 - 500_001 + 1_333_334,
        "payable": -1_000_002,
        "inter_area_receivable": 500_001,
        "inter_area_payable": -1_333_334,
    }

    # Each city sees its own side, and the claims it pays.
    (mine,) = await statements(await a.clerk())
    assert [(s["areaCode"], s["netFen"]) for s in mine["sides"]] == [(a.place.city, "833333")]
    assert (mine["outside"], mine["unexplainedFen"]) == ([], None)
    assert [(c["insuredArea"], c["treatmentArea"], c["hospitalCode"], c["settlementMonth"], c["points"], c["amountFen"]) for c in mine["claims"]["nodes"]] == [
        (a.place.city, b.place.city, b.place.hospital, 202502, "997.5000", "500001")
    ]  # fmt: skip
    (theirs,) = await statements(await b.approver())
    assert sum(int(c["amountFen"]) for c in theirs["claims"]["nodes"]) == 1_333_334
    for tenant, role in (
        (a.place.hospital, Role.HOSPITAL_VIEWER),
        (f"{a.place.city[:4]}22", Role.COUNTY_SETTLEMENT_CLERK),
        (a.place.province, Role.PROVINCE_ANALYST),
    ):
        refused = await (await world.client(tenant, role)).raw("{ areaClearings(first: 1) { nodes { id } } }")
        assert refused["errors"][0]["extensions"]["code"] == "FORBIDDEN"
    stranger = await world.client("370000", Role.PROVINCE_SETTLEMENT_CLERK)
    assert await statements(stranger) == []
    query = "query($id: ID!) { areaClearing(id: $id) { id } }"
    assert (await stranger.gql(query, {"id": found["id"]}))["areaClearing"] is None

    again = await start_between(a, 1)
    assert [error["code"] for error in again["userErrors"]] == ["INTER_AREA_STATEMENT_OPEN"]
    await a.published("QUARTER", 2)
    await a.published("QUARTER", 2, **ELSEWHERE)
    # B claimed in the first quarter and has not cleared the second: its claims would be taken back.
    assert (await start_between(a, 2))["userErrors"] == []
    with pytest.raises(NothingBetweenAreas, match=b.place.city):
        await world.work_off()
    assert len(await statements(await a.clerk())) == 1


async def test_a_year_to_date_statement_claims_only_what_changed(world: World) -> None:
    a, b = await two_cities(world, "M2")
    elsewhere: dict[str, Any] = {"pool_scope": "out_of_area"}
    await a.put(a.place.hospital, 2, insured_area=b.place.city, **elsewhere)
    old = await b.put(b.place.hospital, 2, insured_area=a.place.city, **elsewhere)
    for scope in ({}, ELSEWHERE):
        for pool in (a, b):
            await pool.published("QUARTER", 1, **scope)
    await cleared_between(a, 1)
    await b.put(b.place.hospital, 2, insured_area=a.place.city, replaces=old, **elsewhere)
    for scope in ({}, ELSEWHERE):
        for pool in (a, b):
            run = await pool.published("QUARTER", 2, **scope)
    # What changed against the first quarter is said without causes, and why there are none is said as well.
    nodes = (await (await b.clerk()).gql(CHANGES, {"id": run["id"]}))["clearingRun"]["statements"]["nodes"]
    assert [(n["changes"], n["changesRefused"]["code"]) for n in nodes] == [(None, "SETTLED_UNREADABLE")]
    assert "priced one by one at the local pool's value" in nodes[0]["changesRefused"]["en"]
    found = await cleared_between(a, 2)
    # 40,000.00 over three: 13,333.33 to date. B: 20,000.02 over two: 10,000.01.
    assert [(s["receivableFen"], s["payableFen"]) for s in found["sides"]] == [
        ("1333333", "1000001"),
        ("1000001", "1333333"),
    ]
    amounts = sorted((c["insuredArea"], int(c["amountFen"])) for c in found["claims"]["nodes"])
    assert amounts == [
        (a.place.city, -500_001),
        (a.place.city, 1_000_001),
        (b.place.city, 1_333_333 - 666_667),
    ]
    books = await books_of(a, "OUT_OF_AREA")
    assert (books["inter_area_receivable"], books["inter_area_payable"]) == (1_333_333, -(1_000_001 - 150_000))
    assert books["inter_area_uncovered"] == 1_000_001 - 300_000 - 150_000


async def test_a_draft_is_published_by_another_person_or_voided(world: World) -> None:
    a, b = await two_cities(world, "M3")
    await a.put(a.place.hospital, 2, insured_area=b.place.city, pool_scope="out_of_area")
    for scope in ({}, ELSEWHERE):
        await a.published("QUARTER", 1, **scope)
    assert (await start_between(a, 1))["userErrors"] == []
    await world.work_off()
    clerk = await province_client(a, Role.PROVINCE_SETTLEMENT_CLERK)
    (draft,) = await statements(clerk)
    assert (draft["state"], await statements(await a.clerk())) == ("DRAFT", [])
    both = await same_person(world, a.place.province, Role.PROVINCE_SETTLEMENT_CLERK, Role.PROVINCE_SETTLEMENT_APPROVER)
    assert await decide_between(both, "areaClearingPublish", draft["id"]) == ["SAME_PERSON"]
    assert await decide_between(clerk, "areaClearingVoid", draft["id"]) == []
    assert (await start_between(a, 1))["userErrors"] == []
    await world.work_off()
    draft = (await statements(clerk))[0]
    approver = await province_client(a, Role.PROVINCE_SETTLEMENT_APPROVER)
    assert await decide_between(approver, "areaClearingPublish", draft["id"]) == []
    assert await decide_between(approver, "areaClearingPublish", draft["id"]) == ["INTER_AREA_NOT_DRAFT"]
    assert await decide_between(clerk, "areaClearingVoid", draft["id"]) == ["INTER_AREA_NOT_DRAFT"]
    # The voided draft counts for nothing: the claim stands once.
    assert [(n["state"], n["claims"]["nodes"] != []) for n in await statements(await b.clerk())] == [
        ("PUBLISHED", True)
    ]


async def reconciled(*pools: Pool) -> dict[str, int]:
    """The books of all areas and both scopes together: what areas are to receive of one another is what they are to pay, to the fen."""
    total: dict[str, int] = {}
    for pool in pools:
        for scope in ("LOCAL", "OUT_OF_AREA"):
            for name, fen in (await books_of(pool, scope)).items():
                total[name] = total.get(name, 0) + fen
    assert total["inter_area_receivable"] + total["inter_area_payable"] == 0
    return total


async def test_the_year_is_cleared_between_areas_and_both_sides_reconcile(world: World) -> None:
    a, b = await two_cities(world, "PG", bands__applies="false")
    elsewhere: dict[str, Any] = {"pool_scope": "out_of_area"}
    hospitals = {pool.place.city: {pool.place.hospital, pool.place.county_hospital} for pool in (a, b)}
    for pool, other in ((a, b), (b, a)):
        await pool.put(pool.place.hospital, 2, insured_area=other.place.city, **elsewhere)
    for scope in ({}, ELSEWHERE):
        for pool in (a, b):
            await pool.published("QUARTER", 1, **scope)
    await cleared_between(a, 1)
    # Before the year of the local pool there is no price of the year.
    early = await a.start("YEAR", 1, **ELSEWHERE)
    assert [error["code"] for error in early["userErrors"]] == ["LOCAL_POOL_NOT_CLEARED"]
    await a.put(a.place.county_hospital, 11, insured_area=b.place.city, **elsewhere)
    await b.put(b.place.hospital, 12)
    for scope in ("LOCAL", "OUT_OF_AREA"):
        for pool in (a, b):
            codes = {code: ("1", "", "") for code in hospitals[pool.place.city]}
            await assess(pool, pool_scope=scope, **codes)
    for scope in ({}, ELSEWHERE):
        for pool in (a, b):
            run = await year_to_publication(pool, **scope)
            assert run["summary"]["unexplainedFen"] == "0"
    # A: 80,000.00 over three, 26,666.67 a case, of B's insured two. B: 40,000.04 over three, 13,333.35 for A's one.
    found = await cleared_between(a, 1, "YEAR")
    assert [(s["areaCode"], s["cases"], s["receivableFen"], s["payableFen"], s["netFen"]) for s in found["sides"]] == [
        (a.place.city, 3, "5333334", "1333335", "3999999"),
        (b.place.city, 3, "1333335", "5333334", "-3999999"),
    ]
    assert (found["receivableFen"], found["payableFen"], found["unexplainedFen"]) == ("6666669", "6666669", "0")
    total = await reconciled(a, b)
    # A has 4,500.00 for it, B 20,000.00; what neither has is said to be uncovered.
    assert total["inter_area_receivable"] == 6_666_669
    assert total["inter_area_uncovered"] == (1_333_335 - 450_000) + (5_333_334 - 2_000_000)
    # A year ends the quarters: none is cleared after it.
    assert [error["code"] for error in (await start_between(a, 4))["userErrors"]] == ["INTER_AREA_STATEMENT_OPEN"]
    # The claims of all statements together are what stands, case by case.
    theirs = [c for s in await statements(await b.clerk()) for c in s["claims"]["nodes"]]
    assert sum(int(c["amountFen"]) for c in theirs) == 5_333_334
