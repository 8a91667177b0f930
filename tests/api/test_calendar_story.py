"""A pool through its calendar, and into the next: twelve months, four quarters, the year; whatever goes wrong on the way is put right.

docs/story.md tells the same story. Every reconciliation is 0 fen; every account that this pool's policy can move is moved at least once.
"""

from __future__ import annotations

from typing import Any

from builders.between_areas_place import cleared_between
from builders.clearing_place import Pool, open_other, open_pool
from builders.world import World
from builders.year_place import (
    act,
    assess,
    book_of,
    books,
    issue,
    open_account,
    owe,
    submitter,
    year_of,
)
from fenzhi.access.roles import Role

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
}
ALWAYS_0 = "unexplainedFen"
COUNTY_TOTALS = """
query($id: ID!) { clearingRun(id: $id) { countyTotals { countyCode hospitals transferFen paidFen } } }
"""


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


async def reconciled(pool: Pool, run: dict[str, Any]) -> None:
    """The run explains its pool to the fen, and the books of the year sum to 0 (asserted inside `books`)."""
    assert run["summary"][ALWAYS_0] == "0"
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
    await books(pool)


async def _across_the_border(pool: Pool) -> set[str]:
    """A treats a patient of the city next door, whose hospital treats one of ours: each is paid where it was treated, and the
    cities clear what they owe one another. The accounts that moved."""
    elsewhere = {"poolScope": "OUT_OF_AREA"}
    other = await open_other(pool, deposit__rate="0")
    await other.budget(4_000_000)
    await other.budget(900_000, **elsewhere)
    await other.put(other.place.hospital, 2)
    await other.put(other.place.hospital, 2, insured_area=pool.place.city, pool_scope="out_of_area")
    await pool.put(pool.place.hospital, 2, insured_area=other.place.city, pool_scope="out_of_area")
    await other.published("QUARTER", 1)
    runs = [await one.published("QUARTER", 1, **elsewhere) for one in (pool, other)]
    # A quarter of 200,000.00 over 8 equal cases, A's and B's and the late one: 7,142.857… a case; next door 10,000.00 for its one.
    gross = [[n["grossFen"] for n in run["statements"]["nodes"]] for run in runs]
    assert gross == [["714286"], ["1000000"]]
    assert [run["summary"][ALWAYS_0] for run in runs] == ["0", "0"]
    cleared = await cleared_between(pool, 1)
    assert [side["netFen"] for side in cleared["sides"]] == ["-285714", "285714"]
    assert cleared["unexplainedFen"] == "0"
    moved: set[str] = set()
    for one in (pool, other):
        query = "{ fundBooks(insurance: EMPLOYEE, poolScope: OUT_OF_AREA, year: 2025) { account balanceFen } }"
        rows = (await (await one.clerk()).gql(query))["fundBooks"]
        assert sum(int(row["balanceFen"]) for row in rows) == 0
        moved |= {row["account"] for row in rows if int(row["balanceFen"])}
    return moved


async def test_twelve_months_four_quarters_and_the_year(world: World) -> None:
    pool = await open_pool(world, "8S", **POLICY)
    a, b = pool.place.hospital, pool.place.county_hospital
    seen: set[str] = set()
    await pool.price(10, last_year=(7, 10))
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

    for month in range(1, 13):
        await cases(pool, month, a=3 if month == 6 else 1)
        if month == 2:
            await pool.deduct(b, 1, 7_700)
        run = await pool.published("MONTH", month)
        await reconciled(pool, run)
        await paid(pool, run)
        seen |= {name for name, fen in (await books(pool)).items() if fen}
        if month == 3:
            # A late list of January, and a January list corrected: both enter the quarter, no run is touched.
            await pool.put(a, 1, fund_fen=750_000)
        if month == 8:
            # The budget changes within the year; its effect on the second quarter is shown before.
            await pool.budget(24_000_000, changeGround="BENEFIT_CHANGE")
        if month % 3 == 0:
            run = await pool.published("QUARTER", month // 3)
            await reconciled(pool, run)
            await paid(pool, run)
            seen |= {name for name, fen in (await books(pool)).items() if fen}
        if month == 3:
            seen |= await _across_the_border(pool)
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
    await reconciled(pool, run)
    found = await year_of(pool, run_id)
    seen |= {name for name, fen in (await books(pool)).items() if fen} | set(found["accounts"])
    # The county keeps the books of its own hospital, the same as the city reads of it.
    county = await world.client("8S0122", Role.COUNTY_SETTLEMENT_APPROVER)
    query = "{ fundBooks(insurance: EMPLOYEE, poolScope: LOCAL, year: 2025) { hospitalCode account balanceFen } }"
    kept = (await county.gql(query))["fundBooks"]
    assert kept == [r for r in (await (await pool.clerk()).gql(query))["fundBooks"] if r["hospitalCode"] == b]
    assert len(kept) > 5
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
    quarter_accounts = {"pool", "gross", "payable", "deposit", "deductions", "payments", "transfer", "phi", "rounding"}
    assert (
        quarter_accounts | {"assessment", "bands", "deposit_released", "final", "reserve", "adjustment", "risk", "paid"}
        <= seen
    )
    assert {"receivable", "opening", "not_prepaid", "cash_cut"} <= seen
    assert {"inter_area_receivable", "inter_area_payable"} <= seen
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
