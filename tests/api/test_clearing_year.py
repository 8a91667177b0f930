"""A pool through its year, every number worked out by hand: two months on account, payments, two cumulative quarters."""

from __future__ import annotations

from typing import Any

import pytest_asyncio

from builders.clearing_place import Pool, line, open_pool
from builders.world import World

MONTH = ("grossFen", "notPrepaidFen", "deductionsFen", "clearedFen", "depositWithheldFen", "payableFen", "transferFen")
QUARTER = (
    "grossFen",
    "deductionsFen",
    "clearedFen",
    "depositHeldBeforeFen",
    "depositTargetFen",
    "depositPostingFen",
    "payableFen",
    "priorPaidFen",
    "transferFen",
)


def accounts(run: dict[str, Any]) -> dict[str, int]:
    return {a["name"]: int(a["fen"]) for a in run["summary"]["accounts"] if int(a["fen"])}


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def pool(world: World) -> Pool:
    """P0 = 10.00 yuan, φ of last year 0.7, prepay ratio 0.9, deposit 5%, fund of the year 200,000.00 yuan."""
    pool = await open_pool(world, "61")
    await pool.price(10, last_year=(7, 10))
    await pool.budget(20_000_000)
    a, b = pool.place.hospital, pool.place.county_hospital
    for _ in range(3):
        await pool.put(a, 1)  # 950.0 × 1.05 = 997.5 points
    await pool.put(b, 1)
    await pool.put(b, 1, "I10.x00x002")  # no group
    await pool.put(a, 2, procedures=("88.4101",))  # 1,200.5 × 1.05 = 1,260.525 points
    await pool.put(b, 2)
    await pool.put(b, 2)
    await pool.deduct(b, 1, 10_000)
    return pool


async def test_a_year_to_the_fen(pool: Pool) -> None:
    a, b = pool.place.hospital, pool.place.county_hospital
    january = await pool.published("MONTH", 1)
    # A: 2,992.5 × 10 × 0.7 = 20,947.50; × 0.9 = 18,852.75; 5% = 942.6375 → 942.64.
    assert line(january, a, *MONTH) == {
        "grossFen": 2_094_750,
        "notPrepaidFen": 209_475,
        "deductionsFen": 0,
        "clearedFen": 1_885_275,
        "depositWithheldFen": 94_264,
        "payableFen": 1_791_011,
        "transferFen": 1_791_011,
    }
    # B: 997.5 × 7 = 6,982.50; × 0.9 − 100.00 = 6,184.25; 5% = 309.2125 → 309.21.
    assert line(january, b, *MONTH) == {
        "grossFen": 698_250,
        "notPrepaidFen": 69_825,
        "deductionsFen": 10_000,
        "clearedFen": 618_425,
        "depositWithheldFen": 30_921,
        "payableFen": 587_504,
        "transferFen": 587_504,
    }
    assert january["summary"]["pending"] == [{"reason": "ungrouped:no_group_for_diagnosis", "cases": 1}]
    assert (january["summary"]["poolFen"], january["summary"]["unexplainedFen"]) == ("2793000", "0")
    february = await pool.published("MONTH", 2)
    # A: 1,260.525 × 7 = 8,823.675 → 8,823.68; × 0.9 = 7,941.3075 → 7,941.31; 5% of 26,794.06 = 1,339.70, held 942.64.
    assert line(february, a, *MONTH) == {
        "grossFen": 882_368,
        "notPrepaidFen": 88_237,
        "deductionsFen": 0,
        "clearedFen": 794_131,
        "depositWithheldFen": 39_706,
        "payableFen": 754_425,
        "transferFen": 754_425,
    }
    # B: 1,995 × 7 = 13,965.00; × 0.9 = 12,568.50; 5% of 18,752.75 = 937.64, held 309.21.
    assert line(february, b, *MONTH) == {
        "grossFen": 1_396_500,
        "notPrepaidFen": 139_650,
        "deductionsFen": 0,
        "clearedFen": 1_256_850,
        "depositWithheldFen": 62_843,
        "payableFen": 1_194_007,
        "transferFen": 1_194_007,
    }
    assert (await pool.pay(january["id"], a, 1_791_011))["userErrors"] == []
    assert (await pool.pay(january["id"], b, 587_504))["userErrors"] == []
    assert (await pool.pay(february["id"], a, 754_425))["userErrors"] == []
    # B was paid 6,000.00 too much, of which 1,000.00 came back: paid 5,875.04 + 17,940.07 − 1,000.00 = 22,815.11.
    assert (await pool.pay(february["id"], b, 1_794_007))["userErrors"] == []
    assert (await pool.pay(february["id"], b, 0, returned_fen=100_000))["userErrors"] == []

    first = await pool.published("QUARTER", 1)
    # 50,000.00 over 4,253.025 and 2,992.5 of 7,245.525 points: 29,349.3225… and 20,650.6774…
    assert line(first, a, *QUARTER) == {
        "grossFen": 2_934_932,
        "deductionsFen": 0,
        "clearedFen": 2_934_932,
        "depositHeldBeforeFen": 133_970,
        "depositTargetFen": 146_747,
        "depositPostingFen": 12_777,
        "payableFen": 2_788_185,
        "priorPaidFen": 2_545_436,
        "transferFen": 242_749,
    }
    # B owes 3,292.22: a negative result is never clipped.
    assert line(first, b, *QUARTER) == {
        "grossFen": 2_065_068,
        "deductionsFen": 10_000,
        "clearedFen": 2_055_068,
        "depositHeldBeforeFen": 93_764,
        "depositTargetFen": 102_753,
        "depositPostingFen": 8_989,
        "payableFen": 1_952_315,
        "priorPaidFen": 2_281_511,
        "transferFen": -329_196,
    }
    assert accounts(first) == {
        "pool": 5_000_000,
        "gross": 5_000_000,
        "deductions": 10_000,
        "deposit": 249_500,
        "payable": 4_740_500,
        "payments": 4_826_947,
        "transfer": -86_447,
    }
    assert first["summary"]["points"] == "7245.5250"
    assert (await pool.pay(first["id"], a, 242_749))["userErrors"] == []

    # April: one more case each.
    await pool.put(a, 4)
    await pool.put(b, 4)
    second = await pool.published("QUARTER", 2)
    # 100,000.00 over 5,250.525 and 3,990 of 9,240.525 points: 56,820.6351… and 43,179.3648…; all terms year to date.
    assert line(second, a, *QUARTER) == {
        "grossFen": 5_682_064,
        "deductionsFen": 0,
        "clearedFen": 5_682_064,
        "depositHeldBeforeFen": 146_747,
        "depositTargetFen": 284_103,
        "depositPostingFen": 137_356,
        "payableFen": 5_397_961,
        "priorPaidFen": 2_788_185,
        "transferFen": 2_609_776,
    }
    assert line(second, b, *QUARTER)["transferFen"] == 4_317_936 - 10_000 - 215_397 - 2_281_511
    assert sum(line(second, h, "grossFen")["grossFen"] for h in (a, b)) == 10_000_000


async def test_the_cases_of_a_statement_add_up_to_its_gross(pool: Pool) -> None:
    runs = (
        await (await pool.clerk()).gql("{ clearingRuns(first: 10, filter: {kind: QUARTER}) { nodes { id period } } }")
    )["clearingRuns"]["nodes"]
    run = await pool.look(next(r["id"] for r in runs if r["period"] == 1))
    for node in run["statements"]["nodes"]:
        shares = [int(case["shareFen"]) for case in node["cases"]["nodes"]]
        assert sum(shares) == int(node["grossFen"])
        assert len(shares) == node["caseCount"] + node["pendingCases"]
    a = next(n for n in run["statements"]["nodes"] if n["hospitalCode"] == pool.place.hospital)
    # 29,349.32 over 997.5 (three times) and 1,260.525: 6,883.559… each, the rest 8,698.641…
    assert [int(case["shareFen"]) for case in a["cases"]["nodes"]] == [688_356, 688_356, 688_356, 869_864]
    remainder = next(step for step in a["steps"] if step["rule"] == "clearing.remainder")
    assert "尾差" in remainder["zh"]


async def test_every_run_leaves_a_balanced_ledger(pool: Pool) -> None:
    from fenzhi.store.repositories import clearing

    async with pool.world.platform.database.unit_of_work(pool.scope) as uow:
        runs = await clearing.runs_of_pool(uow, ("employee", "local", 2025), ("published",))
        balances: dict[str, int] = {}
        for run in runs:
            entries = await clearing.entries(uow, run.run_id)
            assert sum(entry.amount_fen for entry in entries) == 0
            for entry in entries:
                balances[entry.account] = balances.get(entry.account, 0) + entry.amount_fen
    # After the second quarter the year's accounts stand at its cumulative amounts: only differences were posted.
    assert {name: fen for name, fen in balances.items() if fen} == {
        "pool": 10_000_000,
        "payable": -(10_000_000 - 10_000 - 284_103 - 215_397),
        "deposit": -(284_103 + 215_397),
        "deductions": -10_000,
    }
