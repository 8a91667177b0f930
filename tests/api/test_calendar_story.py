"""A pool through its calendar, and into the next: twelve months, four quarters, the year; whatever goes wrong on the way is put right.

docs/story.md tells the same story. Every reconciliation is 0 fen; every account is moved at least once, in this pool or in those of its neighbours.
"""

from __future__ import annotations

from typing import Any

import pytest

from builders import review_place
from builders.between_areas_place import cleared_between
from builders.clearing_place import Pool, line, open_other, open_pool
from builders.review_place import REVIEW_POLICY, apply, close, crowd, do, enter_experts, hear, value
from builders.world import World
from builders.year_place import (
    act,
    advance,
    assess,
    book_of,
    books,
    decide,
    enter,
    issue,
    open_account,
    owe,
    submitter,
    year_of,
    year_to_publication,
)
from fenzhi.access.roles import Role
from fenzhi.rules.clearing.annual_clearing import AnnualAccount
from fenzhi.rules.clearing.statement import Account
from fenzhi.rules.fund.ledger import LedgerAccount
from fenzhi.services.verification.findings import Verification
from fenzhi.services.verification.money import verify_money

POLICY: dict[str, Any] = {
    "clearing__share_method": "account",
    "clearing__pay_by": "printed_point_value",
    "clearing__printed_decimals": "2",
    "presettlement__cash_cap_amount": "15000",
    "bands__applies": "true",
    "bands__measure": "booked_over_payable",
    "bands__mode": "marginal",
    "bands__table": [
        {"upto": "0.5", "inclusive": "true", "share": "0"},
        {"upto": "1", "inclusive": "true", "share": "0.6"},
        {"upto": "1.5", "inclusive": "true", "share": "0.5"},
        {"upto": "", "inclusive": "false", "share": "0"},
    ],
    "bands__sources": ["adjustment", "risk", "reserve"],
    "assessment__acts_at": "coefficient",
    "delegation__counties": [{"county": "8S0122", "duties": "payment|deduction"}],
    "special_case__funding": "off_pool",
    **REVIEW_POLICY,
}
CHANGES = """
query($id: ID!) { clearingRun(id: $id) { statements(first: 50) { nodes { hospitalCode changes { beforeFen afterFen causes { cause fen } }
  changesRefused { code } } } } }
"""
ALWAYS_0 = "unexplainedFen"
COUNTY_TOTALS = """
query($id: ID!) { clearingRun(id: $id) { countyTotals { countyCode hospitals transferFen paidFen } } }
"""


@pytest.fixture(scope="module")
def moved() -> set[str]:
    """The accounts that were not 0 at some time, of runs and of the books, over the tests of this module."""
    return set()


async def cases(pool: Pool, month: int, *, a: int = 1, b: int = 1) -> None:
    """The cases of a month: A's fund pays 0.75 of the cost, B's 0.60."""
    for _ in range(a):
        await pool.put(pool.place.hospital, month, fund_fen=750_000)
    for _ in range(b):
        await pool.put(pool.place.county_hospital, month, fund_fen=600_000)


async def paid(pool: Pool, run: dict[str, Any]) -> None:
    """Pay every positive transfer of a run: the city its own hospital, the county that settles the hospital of its own."""
    county = await pool.world.client("8S0122", Role.COUNTY_SETTLEMENT_CLERK)
    for node in run["statements"]["nodes"]:
        if int(node["transferFen"]) > 0:
            client = county if node["hospitalCode"] == pool.place.county_hospital else None
            recorded = await pool.pay(run["id"], node["hospitalCode"], int(node["transferFen"]), client=client)
            assert recorded["userErrors"] == []
    (own,) = (await county.gql(COUNTY_TOTALS, {"id": run["id"]}))["clearingRun"]["countyTotals"]
    assert (own["countyCode"], own["hospitals"]) == ("8S0122", 1)
    assert int(own["paidFen"]) == max(0, int(own["transferFen"]))


async def causes_of(pool: Pool, run_id: str) -> dict[str, dict[str, int]]:
    """Per hospital the causes of its change that are not 0; they are the change to the fen, and none was left out for a reason."""
    nodes = (await (await pool.clerk()).gql(CHANGES, {"id": run_id}))["clearingRun"]["statements"]["nodes"]
    found = {}
    for node in nodes:
        assert node["changesRefused"] is None
        change = node["changes"]
        amounts = {one["cause"]: int(one["fen"]) for one in change["causes"]}
        assert int(change["afterFen"]) - int(change["beforeFen"]) == sum(amounts.values())
        found[node["hospitalCode"]] = {cause: fen for cause, fen in amounts.items() if fen}
    return found


async def reconciled(pool: Pool, run: dict[str, Any], moved: set[str]) -> None:
    """The run explains its pool to the fen, and the books of the year sum to 0 (asserted inside `books`)."""
    assert run["summary"][ALWAYS_0] == "0"
    moved |= {one["name"] for one in run["summary"]["accounts"] if int(one["fen"])}
    for node in run["statements"]["nodes"]:
        withheld = sum(
            int(node[name])
            for name in (
                "depositWithheldFen",
                "deductionsFen",
                "assessmentWithheldFen",
                "bandWithheldFen",
                "notPrepaidFen",
                "cashCutFen",
            )
        )
        assert int(node["grossFen"]) == int(node["payableFen"]) + withheld - int(node["bonusFen"])
    moved |= set(await books(pool))


async def _across_the_border(pool: Pool) -> set[str]:
    """A treats a patient of the city next door, whose hospital treats one of ours: each is paid where it was treated, and the
    cities clear what they owe one another. The accounts that moved."""
    elsewhere = {"poolScope": "OUT_OF_AREA"}
    other = await open_other(pool, deposit__rate="0")
    await other.budget(4_000_000)
    # Too little: what the city next door owes beyond it shows as a gap until its budget is changed.
    await other.budget(300_000, **elsewhere)
    await other.put(other.place.hospital, 2)
    await other.put(other.place.hospital, 2, insured_area=pool.place.city, pool_scope="out_of_area")
    await pool.put(pool.place.hospital, 2, insured_area=other.place.city, pool_scope="out_of_area")
    await other.published("QUARTER", 1)
    runs = [await one.published("QUARTER", 1, **elsewhere) for one in (pool, other)]
    # A quarter of 200,000.00 over 9 equal cases, A's 5 and B's 4: 5,555.56 a case; next door 10,000.00 for its one.
    gross = [[n["grossFen"] for n in run["statements"]["nodes"]] for run in runs]
    assert gross == [["555556"], ["1000000"]]
    assert [run["summary"][ALWAYS_0] for run in runs] == ["0", "0"]
    cleared = await cleared_between(pool, 1)
    assert [side["netFen"] for side in cleared["sides"]] == ["-444444", "444444"]
    assert cleared["unexplainedFen"] == "0"
    moved: set[str] = set()
    for one in (pool, other):
        query = "{ fundBooks(insurance: EMPLOYEE, poolScope: OUT_OF_AREA, year: 2025) { account balanceFen } }"
        rows = (await (await one.clerk()).gql(query))["fundBooks"]
        assert sum(int(row["balanceFen"]) for row in rows) == 0
        moved |= {row["account"] for row in rows if int(row["balanceFen"])}
    return moved


async def reviewed(pool: Pool, special: Any) -> None:
    """A's dear case of January goes before the panel, is paid 20,000.00 beside the pool, and that is paid out."""
    clerk, a = await pool.clerk(), pool.place.hospital
    applied = (await apply(pool, a, special))[0]["id"]
    assert (await close(pool, 1))[0]["admitted"] == 1
    await hear(pool, applied, "YES", "ITEM")
    assert await value(pool, applied, awardFen="2000000") == []
    assert await review_place.decide(pool, applied) == []
    order = {"specialCase": applied, "voucher": "V-8S-1", "paidOn": "2025-05-30"}
    assert (await do(clerk, "specialCasePay", "SpecialCasePayInput", order))[1] == []


async def test_twelve_months_four_quarters_and_the_year(world: World, moved: set[str]) -> None:
    pool = await open_pool(world, "8S", **POLICY)
    a, b = pool.place.hospital, pool.place.county_hospital
    await pool.price(10, last_year=(7, 10))
    await crowd(pool, 400)
    await enter_experts(pool, 4)
    composition = {
        "method": "ITEMISED",
        "inpatientFen": "21600000",
        "setAsides": [
            {"part": "OUT_OF_AREA", "fen": "600000"},
            {"part": "RESERVE", "fen": "400000"},
            {"part": "ADJUSTMENT", "fen": "400000"},
            {"part": "RISK", "fen": "200000"},
        ],
    }
    await pool.budget(20_000_000, annualFen=None, composition=composition)
    # What the years before left: balances of accounts, and a debt of B's.
    await open_account(pool, "phi", 500_000)
    await open_account(pool, "rounding", 100_000)
    debt = await owe(pool, b, 30_000)
    special = await pool.put(a, 1, total_fen=5_000_000, fund_fen=3_750_000)
    wrong = await pool.put(b, 1, fund_fen=600_000)

    by_quarter: dict[int, set[str]] = {}
    for month in range(1, 13):
        await cases(pool, month, a=3 if month == 6 else 1)
        if month == 2:
            await pool.deduct(b, 1, 7_700)
        run = await pool.published("MONTH", month)
        await reconciled(pool, run, moved)
        await paid(pool, run)
        if month == 3:
            # A late list of January, and a January list corrected: both enter the quarter, no run is touched.
            await pool.put(a, 1, fund_fen=750_000)
            await pool.put(b, 1, fund_fen=610_000, replaces=wrong)
        if month == 5:
            await reviewed(pool, special)
        if month == 8:
            # The budget changes within the year; its effect on the second quarter is shown before.
            await pool.budget(24_000_000, changeGround="BENEFIT_CHANGE")
        if month % 3 == 0:
            run = await pool.published("QUARTER", month // 3)
            await reconciled(pool, run, moved)
            await paid(pool, run)
            by_quarter[month // 3] = {cause for found in (await causes_of(pool, run["id"])).values() for cause in found}
        if month == 3:
            moved |= await _across_the_border(pool)
    # Each quarter says what happened in it.
    assert {"LISTS", "DEDUCTION"} <= by_quarter[1] and "SPECIAL_CASES" not in by_quarter[1]
    assert "SPECIAL_CASES" in by_quarter[2] and "BUDGET" in by_quarter[3]
    query = "query($kind: ClearingKind!) { clearingRuns(first: 50, filter: {kind: $kind}) { nodes { poolScope period state } } }"
    for kind, periods in (("MONTH", range(1, 13)), ("QUARTER", range(1, 5))):
        nodes = (await (await pool.clerk()).gql(query, {"kind": kind}))["clearingRuns"]["nodes"]
        assert sorted(n["period"] for n in nodes if (n["state"], n["poolScope"]) == ("PUBLISHED", "LOCAL")) == list(
            periods
        )
    # B was paid far too much in December by mistake, and it stays with B.
    december = (await (await pool.clerk()).gql("{ clearingRuns(first: 1, filter: {kind: MONTH}) { nodes { id } } }"))[
        "clearingRuns"
    ]["nodes"][0]["id"]
    assert (await pool.pay(december, b, 9_000_000))["userErrors"] == []

    await assess(pool, **{a: ("0.97", "", ""), b: ("1", "", "")})
    run_id = await pool.computed("YEAR", 1)
    assert await issue(pool, run_id) == []
    found = await year_of(pool, run_id)
    assert await act(await submitter(pool, a), "statementConfirm", found["lines"][a]["id"]) == []
    # B disputes: a case of November is missing. It is right; the year is cleared anew.
    assert await act(await submitter(pool, b), "statementDispute", found["lines"][b]["id"], "漏报11月一例") == []
    assert await act(await pool.clerk(), "statementDisputeUphold", found["lines"][b]["id"], "属实") == []
    await cases(pool, 11, a=0, b=1)
    run_id = await pool.computed("YEAR", 1)
    assert await issue(pool, run_id) == []
    found = await year_of(pool, run_id)
    for code in (a, b):
        assert await act(await submitter(pool, code), "statementConfirm", found["lines"][code]["id"]) == []
    for name in ("clearingRunApprove", "clearingRunPublish"):
        assert (await pool.step(name, run_id))["userErrors"] == []
    run = await pool.look(run_id)
    await reconciled(pool, run, moved)
    found = await year_of(pool, run_id)
    # The county keeps the books of its own hospital, the same as the city reads of it.
    county = await world.client("8S0122", Role.COUNTY_SETTLEMENT_APPROVER)
    query = "{ fundBooks(insurance: EMPLOYEE, poolScope: LOCAL, year: 2025) { hospitalCode account balanceFen } }"
    kept = (await county.gql(query))["fundBooks"]
    assert kept == [r for r in (await (await pool.clerk()).gql(query))["fundBooks"] if r["hospitalCode"] == b]
    assert len(kept) > 5
    assert {"ASSESSMENT", "BANDS"} <= {cause for one in (await causes_of(pool, run_id)).values() for cause in one}
    last = {code: int(line["finalFen"]) for code, line in found["lines"].items()}
    assert last[b] < 0
    if last[a] > 0:
        assert (await pool.pay(run_id, a, last[a]))["userErrors"] == []
    for code in (a, b):
        assert await act(await pool.approver(), "statementLock", found["lines"][code]["id"]) == []
        assert await book_of(pool, code, "payable") == 0
    assert await book_of(pool, b, "receivable") == -last[b] - sum(
        int(n["offsetFen"]) for c, n in found["lines"].items() if c == b
    )
    assert {
        "phi",
        "rounding",
        "assessment",
        "bands",
        "off_pool",
        "receivable",
        "cash_cut",
        "final",
        "inter_area_payable",
    } <= moved
    # What B owes is a receivable now; the next year takes it back in dated order, the older debt first.
    owed = (
        await (await pool.clerk()).gql(
            "{ receivables(first: 10) { nodes { id year amountFen openFen hospitalCode } } }"
        )
    )["receivables"]["nodes"]
    of_b = [r for r in owed if r["hospitalCode"] == b]
    assert [r["year"] for r in of_b] == [2024, 2025]
    assert of_b[0]["id"] == debt and int(of_b[1]["amountFen"]) == -last[b]
    assert {r["hospitalCode"]: int(r["openFen"]) for r in owed if r["year"] == 2025} == {
        code: -final for code, final in last.items() if final < 0
    }
    opened = await books(pool, 2026)
    closing = await books(pool)
    for name in ("phi", "rounding", "reserve", "adjustment", "risk"):
        assert opened.get(name, 0) == closing.get(name, 0)


async def test_a_negative_transfer_is_offset_the_year_after(world: World) -> None:
    pool = await open_pool(world, "8T", deposit__rate="0", bands__applies="false")
    a, b = pool.place.hospital, pool.place.county_hospital
    await owe(pool, b, 150_000, since="2023-12-31")
    await owe(pool, b, 400_000, since="2024-12-31")
    await pool.budget(8_000_000)
    await pool.put(a, 1)
    await pool.put(b, 1)
    first = await pool.published("QUARTER", 1)
    line = next(n for n in first["statements"]["nodes"] if n["hospitalCode"] == b)
    # 10,000.00 each; B's two debts of 1,500.00 and 4,000.00 leave first.
    assert (line["payableFen"], line["offsetFen"], line["transferFen"]) == ("1000000", "550000", "450000")
    assert (await pool.pay(first["id"], b, 450_000))["userErrors"] == []
    await pool.put(a, 4)
    second = await pool.published("QUARTER", 2)
    line = next(n for n in second["statements"]["nodes"] if n["hospitalCode"] == b)
    # Year to date: what was offset stays offset, not twice.
    assert (line["priorPaidFen"], line["offsetFen"]) == ("450000", "550000")
    assert int(line["transferFen"]) == int(line["payableFen"]) - 450_000 - 550_000
    assert await book_of(pool, b, "receivable") == -550_000
    query = "{ receivables(first: 5) { nodes { openFen } } }"
    assert [r["openFen"] for r in (await (await pool.clerk()).gql(query))["receivables"]["nodes"]] == ["0", "0"]


async def test_a_neighbour_with_a_fixed_price_an_advance_and_grades(world: World, moved: set[str]) -> None:
    """A fixed point value, a capped φ account, an advance, overspend shared, a deposit that returns by grade."""
    pool = await open_pool(
        world,
        "Y5",
        point_value__method="fixed",
        point_value__fixed_value="10",
        clearing__share_method="account",
        clearing__phi_account_cap="100",
        assessment__acts_at="deposit",
        annual__deposit_release="grade_table",
        annual__deposit_grades={"A": "1", "B": "0.5"},
        advance__months="1",
        bands__applies="true",
        bands__measure="booked_over_payable",
        bands__mode="marginal",
        bands__table=[
            {"upto": "1", "inclusive": "true", "share": "1"},
            {"upto": "", "inclusive": "false", "share": "0.5"},
        ],
        bands__sources=["adjustment"],
    )
    a, b = pool.place.hospital, pool.place.county_hospital
    await pool.budget(8_000_000)
    await open_account(pool, "adjustment", 10_000)
    await advance(pool, b, 100_000)
    await pool.put(a, 1, fund_fen=300_000)
    await pool.put(b, 1, total_fen=3_000_000, fund_fen=2_700_000)
    await open_account(pool, "phi", 5_000)
    run = await pool.published("QUARTER", 1)
    await reconciled(pool, run, moved)
    # 997.5 points each at 10.00: φ of the pool 0.75 gives 7,481.25, their own 0.3 and 0.9 give 2,992.50 and 8,977.50.
    assert line(run, a, "grossFen") == {"grossFen": 299_250}
    assert line(run, b, "grossFen") == {"grossFen": 897_750}
    accounts = {one["name"]: int(one["fen"]) for one in run["summary"]["accounts"]}
    # The pool shared 14,962.50 of 20,000.00; of 2,992.50 for the φ account, which holds 50.00 of at most 100.00, 50.00 fit.
    assert (accounts["point_value"], accounts["phi"], accounts["phi_cap_excess"]) == (503_750, 5_000, 294_250)
    await assess(pool, **{a: ("1", "", "A"), b: ("1", "", "B")})
    found = await year_to_publication(pool)
    await reconciled(pool, await pool.look(found["id"]), moved)
    # Half of what A and B booked beyond their gross, 3.75 and 9,011.25, of the 100.00 there are: 0.04 and 99.96.
    names = "bonusFen clearedFen advanceFen depositForfeitedFen finalFen".split()
    assert [int(found["lines"][a][name]) for name in names[:2]] == [4, 299_254]
    # B: cleared 9,077.46 less an advance of 1,000.00 and half of its deposit of 453.87.
    assert [int(found["lines"][b][name]) for name in names] == [9_996, 907_746, 100_000, 22_694, 785_052]


async def test_a_neighbour_with_an_elastic_price(world: World, moved: set[str]) -> None:
    """An agreed volume at a fixed value, the rest capped: what the cap leaves over has an account."""
    pool = await open_pool(
        world,
        "Y6",
        deposit__rate="0",
        bands__applies="false",
        point_value__method="elastic",
        point_value__fixed_value="10",
        point_value__elastic_split="volume",
        point_value__elastic_cap="1",
    )
    a, b = pool.place.hospital, pool.place.county_hospital
    await pool.budget(4_000_000)
    await pool.put(a, 1)
    await pool.put(b, 1)
    order = {
        "insurance": "EMPLOYEE",
        "poolScope": "LOCAL",
        "year": 2025,
        "rows": [{"hospital": a, "points": "3192"}],
        "document": "协议量〔2025〕1号",
        "reason": "协议工作量",
    }
    ids = await enter(pool, "volumeBaselinesEnter", "VolumeBaselinesEnterInput", "baselines", order)
    assert await decide(pool, "volumeBaselinesApprove", "baselines", ids) == []
    run = await pool.published("QUARTER", 1)
    await reconciled(pool, run, moved)
    # 798 points at 10.00 × 0.7 = 5,586.00; 199.5 and 997.5 at no more than 1.00 × 0.7: 139.65 and 698.25.
    assert line(run, a, "grossFen") == {"grossFen": 558_600 + 13_965}
    assert line(run, b, "grossFen") == {"grossFen": 69_825}
    accounts = {one["name"]: int(one["fen"]) for one in run["summary"]["accounts"]}
    assert accounts["cap_excess"] == 1_000_000 - 558_600 - 13_965 - 69_825


async def test_a_neighbour_whose_cases_have_a_floor(world: World, moved: set[str]) -> None:
    """S·P less what others paid, no case below 0: the floor account pays as far as it holds, in the quarter and again in the year."""
    pool = await open_pool(
        world,
        "PB",
        deposit__rate="0",
        bands__applies="false",
        clearing__share_method="account",
        clearing__claim="sp_minus_patient",
        clearing__case_floor="true",
    )
    a, b = pool.place.hospital, pool.place.county_hospital
    await pool.budget(8_000_000)
    await open_account(pool, "floor", 500_000)
    await pool.put(a, 1)
    await pool.put(a, 1, total_fen=2_000_000, fund_fen=100_000)
    for _ in range(2):
        await pool.put(b, 1)
    run = await pool.published("QUARTER", 1)
    await reconciled(pool, run, moved)
    # φ is 0.44, so that 20,000.00 price each of four equal cases at 11,363.636…; others paid 3,000.00 three times and 19,000.00 once.
    # A claims 22,727.27 − 22,000.00; its second case lacks 7,636.36 to its floor, of which the account holds 5,000.00.
    assert line(run, a, "grossFen") == {"grossFen": 72_727 + 500_000}
    assert line(run, b, "grossFen") == {"grossFen": 1_672_727}
    accounts = {one["name"]: int(one["fen"]) for one in run["summary"]["accounts"]}
    assert (accounts["floor"], accounts["phi"]) == (-500_000, 2_000_000 - 72_727 - 1_672_727)
    (step,) = [one for one in node_of(run, a)["steps"] if one["rule"] == "clearing.floor"]
    assert step["values"] == [{"name": "floor", "value": "5000.00"}]
    assert sum(int(one["shareFen"]) for one in node_of(run, a)["cases"]["nodes"]) == 572_727
    await pool.put(b, 4)
    await assess(pool, **{a: ("1", "", ""), b: ("1", "", "")})
    found = await year_to_publication(pool)
    whole = await pool.look(found["id"])
    await reconciled(pool, whole, moved)
    # The year shares 80,000.00 over five cases at φ 2.9 / 6: what others paid for A's second case is less than a case is worth now.
    accounts = {one["name"]: int(one["fen"]) for one in whole["summary"]["accounts"]}
    assert accounts["floor"] == 0
    database = world.platform.database
    async with database.snapshot(pool.scope) as uow:
        seen = Verification()
        await verify_money(seen, database, uow, pool.place.city)
    assert seen.found == []


async def test_a_neighbour_under_total_control(world: World, moved: set[str]) -> None:
    """Item payment may grow by 5 % in the mean: what is over is held back in an account of its own."""
    anyone = {"groups": "", "levels": "", "departments": "", "agreement_modes": ""}
    pool = await open_pool(
        world,
        "PH",
        deposit__rate="0",
        bands__applies="false",
        payment_mode__table=[anyone | {"mode": "item", "groups": "J18:conservative"}, anyone | {"mode": "dip"}],
        total_control__table=[{"method": "mean_cost_growth", "levels": "", "limit": "0.05"}],
        total_control__prior_means={"HPH010001": "8000", "HPH010002": "8000"},
    )
    a, b = pool.place.hospital, pool.place.county_hospital
    await pool.budget(8_000_000)
    await pool.put(a, 1, "J18.900", total_fen=849_600, fund_fen=600_000)
    await pool.put(b, 1)
    run = await pool.published("QUARTER", 1)
    await reconciled(pool, run, moved)
    # WE-56: a mean of 8,496.00 against 8,000.00 × 1.05 = 8,400.00, so that 96.00 of the 6,000.00 paid are held back.
    held = await books(pool)
    assert (held["off_pool"], held["control_withheld"]) == (600_000, -9_600)


def node_of(run: dict[str, Any], hospital: str) -> dict[str, Any]:
    return next(node for node in run["statements"]["nodes"] if node["hospitalCode"] == hospital)


def test_every_account_was_moved(moved: set[str]) -> None:
    """Over the year of the story and those of its neighbours no account of a run, of a year or of the books stayed 0."""
    every = {one.value for chart in (Account, AnnualAccount, LedgerAccount) for one in chart}
    assert every - moved == set()
