"""Special cases from the application to the money of the year, every number worked out by hand."""

from __future__ import annotations

from datetime import date, timedelta

from builders.clearing_place import Pool, line, open_pool
from builders.review_place import (
    REVIEW_POLICY,
    apply,
    close,
    crowd,
    decide,
    do,
    enter_experts,
    hear,
    look,
    members,
    value,
    vote,
)
from builders.world import World
from builders.year_place import assess, books, submitter, year_to_publication
from fenzhi.access.roles import Role
from fenzhi.rules.review.panel import order_of

DEAR = 5_000_000


async def review_pool(world: World, stem: str, **policy: str) -> Pool:
    pool = await open_pool(world, stem, deposit__rate="0", bands__applies="false", **REVIEW_POLICY, **policy)
    await pool.price(10, last_year=(7, 10))
    await pool.budget(10_000_000)
    await crowd(pool, 400)
    await enter_experts(pool, 7)
    return pool


async def test_a_special_case_is_paid_beside_the_pool_once(world: World) -> None:
    pool = await review_pool(world, "7A", special_case__funding="off_pool")
    a, b = pool.place.hospital, pool.place.county_hospital
    clerk = await pool.clerk()
    special_a = await pool.put(a, 1, total_fen=DEAR)
    plain = await pool.put(a, 1)
    special_b = await pool.put(b, 1, total_fen=DEAR)
    late_b = await pool.put(b, 1, total_fen=DEAR)
    # A hospital applies for its own cases, once, with everything that is wrong told at once.
    _, errors = await apply(pool, b, special_a)
    assert errors == ["NOT_FOUND"]
    _, errors = await apply(pool, a, special_a, reasons=[], evidence=[{"title": "", "sha256": "x"}], statement=" ")
    assert errors == ["REASON_MISSING", "SPECIAL_CASE_NO_REASON", "EVIDENCE_TITLE", "EVIDENCE_DIGEST"]
    one = (await apply(pool, a, special_a))[0]["id"]
    assert (await apply(pool, a, special_a))[1] == ["SPECIAL_CASE_EXISTS"]
    cheap = (await apply(pool, a, plain))[0]["id"]
    two = (await apply(pool, b, special_b))[0]["id"]
    three = (await apply(pool, b, late_b))[0]["id"]
    # 404 discharges × 5‰ = 2: the dear ones in order of application; the plain one does not exceed twice its standard.
    closed, errors = await close(pool, 1)
    assert errors == []
    assert closed == {
        "cap": 2,
        "discharges": 404,
        "admittedBefore": 0,
        "applied": 4,
        "admitted": 2,
        "waiting": 1,
        "lapsed": 0,
        "ineligible": 1,
        "passedToDate": 0,
        "offPoolToDateFen": "0",
    }
    assert (await close(pool, 1))[1] == ["CYCLE_CLOSED"]
    refused = await look(clerk, cheap)
    assert (refused["state"], refused["costFen"], refused["paymentStandardFen"]) == ("INELIGIBLE", "1000000", "997500")
    assert [(await look(clerk, x))["state"] for x in (one, two, three)] == ["ADMITTED", "ADMITTED", "WAITING"]
    # A year is not begun while cases are heard; a quarter keeps them on a named list.
    assert [e["code"] for e in (await pool.start("YEAR", 1))["userErrors"]] == ["REVIEWS_OPEN"]
    quarter = await pool.computed("QUARTER", 1)
    summary = (await pool.look(quarter))["summary"]
    assert summary["pending"] == [{"reason": "in_review", "cases": 2}]
    assert (await pool.step("clearingRunVoid", quarter))["userErrors"] == []
    await _hear_with_a_recusal(pool, one)
    await _award(pool, one)
    # The other one is refused, appeals within five working days, and is refused by three others.
    await hear(pool, two, "NO")
    seen = await look(await submitter(pool, b), two)
    due = date.fromisoformat(seen["appealDueOn"])
    # Five working days on a calendar without holidays end seven days on, counted from the Friday before a weekend.
    decided = date.fromisoformat(seen["decidedOn"])
    friday = decided - timedelta(days=max(0, decided.weekday() - 4))
    assert (seen["state"], due - friday) == ("REFUSED", timedelta(days=7))
    assert seen["hearing"] == {"draws": [], "votes": []}
    first_panel = members(await look(clerk, two))
    appeal = {"specialCase": two, "reason": "病情特殊"}
    assert (await do(clerk, "specialCaseAppeal", "SpecialCaseAppealInput", appeal))[1] == ["FORBIDDEN"]
    other = await submitter(pool, a)
    assert (await do(other, "specialCaseAppeal", "SpecialCaseAppealInput", appeal))[1] == ["NOT_FOUND"]
    again, errors = await do(await submitter(pool, b), "specialCaseAppeal", "SpecialCaseAppealInput", appeal)
    assert (again["state"], errors) == ("ADMITTED", [])
    await hear(pool, two, "NO")
    final = await look(clerk, two)
    assert (final["state"], final["round"], final["appealDueOn"]) == ("REFUSED", 2, None)
    assert not set(members(final)) & set(first_panel)
    # What waited a cycle lapses: a refusal freed nothing.
    closed, _ = await close(pool, 2)
    assert (closed["admittedBefore"], closed["lapsed"], closed["passedToDate"], closed["offPoolToDateFen"]) == (
        2, 1, 1, "1000000",
    )  # fmt: skip
    # The year: 100,000.00 − 10,000.00 beside the pool, over three cases of equal points.
    await assess(pool, **{a: ("1", "", ""), b: ("1", "", "")})
    found = await year_to_publication(pool)
    assert found["summary"]["unexplainedFen"] == "0"
    assert {code: int(node["grossFen"]) for code, node in found["lines"].items()} == {a: 3_000_000, b: 6_000_000}
    statement = await clerk.gql(
        "query($id: ID!) { hospitalStatement(id: $id) { offPoolFen steps { rule values { name value } } } }",
        {"id": found["lines"][a]["id"]},
    )
    assert statement["hospitalStatement"]["offPoolFen"] == "1000000"
    steps = {s["rule"]: s["values"] for s in statement["hospitalStatement"]["steps"]}
    assert steps["review.special_cases"] == [{"name": f"off_pool {special_a}", "value": "10000.00"}]
    assert await books(pool) == {"pool": 9_000_000, "off_pool": 1_000_000, "payable": -9_000_000, "paid": -1_000_000}
    # The statistics are public below the city; the workload is not.
    hospital = await submitter(pool, a)
    rows = (await hospital.gql("{ reviewCycles(year: 2025) { cycle admitted } }"))["reviewCycles"]
    assert rows == [{"cycle": 1, "admitted": 2}, {"cycle": 2, "admitted": 0}]
    work = (await clerk.gql("{ reviewerYears(year: 2025) { expertCode panels votes agreed } }"))["reviewerYears"]
    assert sum(r["panels"] for r in work) == 9
    assert (sum(r["votes"] for r in work), sum(r["agreed"] for r in work)) == (6, 6)
    assert "errors" in await hospital.raw("{ reviewerYears(year: 2025) { expertCode } }")


async def _hear_with_a_recusal(pool: Pool, one: str) -> None:
    clerk = await pool.clerk()
    assert (await do(clerk, "specialCaseDraw", "SpecialCaseStepInput", {"specialCase": one}))[1] == []
    assert (await do(clerk, "specialCaseDraw", "SpecialCaseStepInput", {"specialCase": one}))[1] == [
        "SPECIAL_CASE_STATE"
    ]
    drawn = (await look(clerk, one))["hearing"]["draws"]
    candidates = drawn[0]["candidates"]
    # The hospital's own expert cannot be drawn; anyone who has the seed draws the same panel again.
    assert sorted(candidates) == sorted([f"E{n}" for n in range(1, 8)] + ["OWN2"])
    assert order_of(drawn[0]["seed"], sorted(candidates)) == candidates
    assert [line["expertCode"] for line in drawn] == candidates[:3]
    gone = {"specialCase": one, "expertCode": candidates[0], "reason": "近亲属在该机构任职"}
    assert (await do(clerk, "specialCaseRecuse", "SpecialCaseRecuseInput", gone))[1] == []
    assert (await do(clerk, "specialCaseRecuse", "SpecialCaseRecuseInput", gone))[1] == ["NOT_ON_PANEL"]
    assert members(await look(clerk, one)) == [candidates[3], candidates[1], candidates[2]]
    assert await vote(pool, one, candidates[0], 1, "YES") == ["NOT_ON_PANEL"]
    assert await vote(pool, one, candidates[1], 2, "ITEM") == ["VOTE_REFUSED"]
    assert await vote(pool, one, candidates[1], 1, "ITEM") == ["VOTE_CHOICE"]
    assert await vote(pool, one, candidates[1], 1, "YES") == []
    assert await vote(pool, one, candidates[1], 1, "NO") == ["VOTE_TWICE"]
    assert await vote(pool, one, candidates[2], 1, "YES") == []
    assert await vote(pool, one, candidates[2], 2, "ITEM") == []
    assert (await look(clerk, one))["state"] == "HEARING"
    assert await vote(pool, one, candidates[3], 2, "ITEM") == []
    assert (await look(clerk, one))["state"] == "VOTED"


async def _award(pool: Pool, one: str) -> None:
    clerk, hospital = await pool.clerk(), await submitter(pool, pool.place.hospital)
    assert await value(pool, one, awardPoints="1") == ["AWARD_FEN"]
    assert await value(pool, one, awardFen=str(DEAR + 1)) == ["AWARD_ABOVE_COST"]
    assert await value(pool, one, awardFen="1000000") == []
    assert (await look(hospital, one))["awardFen"] is None
    assert await decide(pool, one, client=clerk) == ["FORBIDDEN"]
    assert await decide(pool, one, "specialCaseSendBack") == []
    assert await value(pool, one, awardFen="1000000") == []
    assert await decide(pool, one) == []
    assert await decide(pool, one) == ["SPECIAL_CASE_STATE"]
    shown = await look(hospital, one)
    assert (shown["state"], shown["funding"], shown["awardFen"]) == ("APPROVED", "OFF_POOL", "1000000")
    assert await books(pool) == {"off_pool": 1_000_000, "payable": -1_000_000}
    order = {"specialCase": one, "voucher": "V-70-1", "paidOn": "2025-12-30"}
    assert (await do(clerk, "specialCasePay", "SpecialCasePayInput", order))[1] == []
    assert (await do(clerk, "specialCasePay", "SpecialCasePayInput", order))[1] == ["SPECIAL_CASE_STATE"]


async def test_awards_in_score_become_points_once(world: World) -> None:
    pool = await review_pool(world, "7B", special_case__funding="in_score")
    a, b = pool.place.hospital, pool.place.county_hospital
    special_a = await pool.put(a, 1, total_fen=DEAR)
    special_b = await pool.put(b, 1, total_fen=DEAR)
    await pool.put(b, 1)
    one = (await apply(pool, a, special_a))[0]["id"]
    two = (await apply(pool, b, special_b))[0]["id"]
    assert (await close(pool, 1))[0]["admitted"] == 2
    await hear(pool, one, "YES", "ITEM")
    await hear(pool, two, "YES", "ADJUSTED")
    # 19,950.00 at 10.00 a point are 1,995 points; the panel gives the other one 500 instead of its 997.5.
    assert await value(pool, one, awardFen="1995000") == []
    assert await value(pool, two, awardFen="1") == ["AWARD_POINTS"]
    assert await value(pool, two, awardPoints="500") == []
    assert await decide(pool, one) == []
    assert await decide(pool, two) == []
    first = await pool.published("QUARTER", 1)
    # Q1 of 100,000.00 is 25,000.00 over 1,995 + 500 + 997.5 points.
    assert first["summary"]["points"] == "3492.5000"
    assert line(first, a, "grossFen") == {"grossFen": 1_428_060}
    assert line(first, b, "grossFen") == {"grossFen": 1_071_940}
    cases = {c["caseId"]: c["points"] for n in first["statements"]["nodes"] for c in n["cases"]["nodes"]}
    assert sorted(cases.values()) == ["1995.0000", "500.0000", "997.5000"]
    # The cumulative second quarter holds the same outcomes, not twice.
    second = await pool.published("QUARTER", 2)
    assert second["summary"]["points"] == first["summary"]["points"]
    assert second["summary"]["unexplainedFen"] == "0"


async def test_a_year_begun_takes_no_more(world: World) -> None:
    pool = await review_pool(world, "7C", special_case__funding="off_pool")
    a = pool.place.hospital
    await pool.put(a, 1)
    late = await pool.put(a, 1, total_fen=DEAR)
    await assess(pool, **{a: ("1", "", "")})
    run = await pool.computed("YEAR", 1)
    one = (await apply(pool, a, late))[0]["id"]
    closed, _ = await close(pool, 1)
    assert (closed["admitted"], closed["lapsed"]) == (0, 1)
    assert (await look(await pool.clerk(), one))["whyZh"] == "该年度清算已发起，申请失效。"
    assert (await pool.step("clearingRunVoid", run))["userErrors"] == []
    again = (await apply(pool, a, late))[0]["id"]
    assert again != one
    county = await world.client("7C0122", Role.COUNTY_AUDITOR)
    assert await look(county, again) is None
