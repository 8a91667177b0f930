"""What a policy names is what is paid: share methods, prices, months less what patients paid, quarters alone, typed refusals."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Any

import pytest

from builders.clearing_place import Pool, line, open_pool
from builders.world import World
from fenzhi.access.scope import DatabaseRole, Scope
from fenzhi.rules.refusals import FenzhiError
from fenzhi.store.repositories import catalog, clearing
from fenzhi.store.session import new_id

POOL = ("employee", "local", 2025)


async def balances(pool: Pool) -> dict[str, int]:
    """What the ledger of the published runs stands at, by account."""
    async with pool.world.platform.database.unit_of_work(pool.scope) as uow:
        runs = await clearing.runs_of_pool(uow, POOL, ("published",))
        found: dict[str, int] = {}
        for row in await clearing.balances(uow, [run.run_id for run in runs]):
            found[row.account] = found.get(row.account, 0) + int(row.amount_fen)
    assert sum(found.values()) == 0
    return {name: fen for name, fen in found.items() if fen}


async def refused(pool: Pool, kind: str, period: int) -> str:
    """The code with which a run refuses; it stops and its period is free."""
    started = await pool.start(kind, period)
    assert started["userErrors"] == []
    with pytest.raises(FenzhiError) as refusal:
        await pool.world.work_off()
    assert (await pool.look(started["run"]["id"]))["state"] == "STOPPED"
    return refusal.value.code


async def test_own_fund_ratios_renormalised(world: World) -> None:
    pool = await open_pool(world, "66", clearing__share_method="renormalise")
    a, b = pool.place.hospital, pool.place.county_hospital
    await pool.budget(3_600_000)
    await pool.put(a, 1, fund_fen=750_000)
    await pool.put(b, 1, fund_fen=600_000)
    run = await pool.published("QUARTER", 1)
    # 9,000.00 by equal points × 0.75 and 0.60: 5,000.00 and 4,000.00 instead of 4,500.00 each.
    names = ("grossFen", "depositWithheldFen", "payableFen")
    assert line(run, a, *names) == {"grossFen": 500_000, "depositWithheldFen": 25_000, "payableFen": 475_000}
    assert line(run, b, *names) == {"grossFen": 400_000, "depositWithheldFen": 20_000, "payableFen": 380_000}
    assert run["summary"]["unexplainedFen"] == "0"
    assert await balances(pool) == {"pool": 900_000, "payable": -855_000, "deposit": -45_000}


async def test_paid_at_the_budget_point_value(world: World) -> None:
    pool = await open_pool(world, "67", point_value__method="budget")
    await pool.budget(8_000_000)
    early = await pool.start("QUARTER", 1)
    assert early["userErrors"] == []
    with pytest.raises(FenzhiError, match="no cases"):
        await world.work_off()
    await pool.put(pool.place.hospital, 1)
    await pool.put(pool.place.county_hospital, 1)
    assert await refused(pool, "QUARTER", 1) == "POINT_VALUE_NOT_APPROVED"
    await pool.price(10, last_year=(7, 10))
    run = await pool.published("QUARTER", 1)
    # 1,995 points × 10.00 × 0.7 = 13,965.00 of the 20,000.00; the rest returns to the point-value account.
    summary = run["summary"]
    assert (summary["poolFen"], summary["grossFen"], summary["returnsFen"]) == ("2000000", "1396500", "603500")
    assert line(run, pool.place.hospital, "grossFen")["grossFen"] == 698_250
    assert await balances(pool) == {
        "pool": 2_000_000,
        "point_value": -603_500,
        "payable": -1_326_674,
        "deposit": -69_826,
    }


async def test_a_month_less_what_others_paid(world: World) -> None:
    pool = await open_pool(world, "68", presettlement__method="sp_minus_patient", presettlement__cash_cap_amount="9000")
    a = pool.place.hospital
    await pool.price(10, last_year=(7, 10))
    await pool.put(a, 1)
    await pool.put(a, 1, procedures=("88.4101",))
    await pool.put(a, 1, discharge=date(2023, 12, 31))
    run = await pool.published("MONTH", 1)
    # (9,975.00 − 3,000.00) + (12,605.25 − 3,000.00) = 16,580.25; × 0.9 = 14,922.225 → 14,922.23; the cap leaves 9,000.00.
    assert line(
        run, a, "grossFen", "notPrepaidFen", "cashCutFen", "clearedFen", "depositWithheldFen", "payableFen"
    ) == {
        "grossFen": 1_658_025,
        "notPrepaidFen": 165_802,
        "cashCutFen": 592_223,
        "clearedFen": 900_000,
        "depositWithheldFen": 45_000,
        "payableFen": 855_000,
    }
    assert run["summary"]["pending"] == [{"reason": "no_standing", "cases": 1}]
    cases = run["statements"]["nodes"][0]["cases"]["nodes"]
    assert [(case["disposition"], case["shareFen"]) for case in cases] == [
        ("cleared", "697500"),
        ("cleared", "960525"),
        ("pending:no_standing", "0"),
    ]


async def test_quarters_standing_alone(world: World) -> None:
    pool = await open_pool(world, "69", quarter__mode="stand_alone")
    a, b = pool.place.hospital, pool.place.county_hospital
    await pool.price(10, last_year=(7, 10))
    await pool.budget(4_000_000)
    await pool.put(a, 1)
    await pool.put(b, 1)
    month = await pool.published("MONTH", 1)
    assert line(month, a, "payableFen")["payableFen"] == 597_004
    for hospital in (a, b):
        await pool.pay(month["id"], hospital, 597_004)
    names = ("grossFen", "depositHeldBeforeFen", "depositWithheldFen", "payableFen", "priorPaidFen", "transferFen")
    first = await pool.published("QUARTER", 1)
    # 5,000.00 each; the quarter withholds its own 5% in place of its month's.
    assert line(first, a, *names) == {
        "grossFen": 500_000,
        "depositHeldBeforeFen": 0,
        "depositWithheldFen": 25_000,
        "payableFen": 475_000,
        "priorPaidFen": 597_004,
        "transferFen": -122_004,
    }
    assert await balances(pool) == {"pool": 1_000_000, "payable": -950_000, "deposit": -50_000}
    await pool.put(a, 4)
    for _ in range(2):
        await pool.put(b, 4)
    second = await pool.published("QUARTER", 2)
    # 10,000.00 over one and two cases: 3,333.33 and 6,666.67; deposit of both quarters 416.67 and 583.33, held 250.00 each.
    assert line(second, a, *names) == {
        "grossFen": 333_333,
        "depositHeldBeforeFen": 25_000,
        "depositWithheldFen": 16_667,
        "payableFen": 316_666,
        "priorPaidFen": 0,
        "transferFen": 316_666,
    }
    assert line(second, b, *names)["payableFen"] == 666_667 - 33_333
    assert await balances(pool) == {"pool": 2_000_000, "payable": -1_900_000, "deposit": -100_000}
    await pool.put(a, 2)
    await pool.put(a, 7)
    assert await refused(pool, "QUARTER", 3) == "LATE_LISTS_NEED_CUMULATIVE"


@pytest.mark.parametrize(
    ("stem", "policy"),
    [
        (
            "71",
            {
                "point_value__method": "elastic",
                "point_value__fixed_value": "10",
                "point_value__elastic_split": "drugs_and_consumables",
            },
        ),
        (
            "72",
            {
                "point_value__scope": "month",
                "point_value__method": "elastic",
                "point_value__fixed_value": "10",
                "point_value__elastic_split": "volume",
            },
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
async def test_what_a_run_cannot_carry_out_is_refused_not_replaced(
    world: World, stem: str, policy: dict[str, Any]
) -> None:
    pool = await open_pool(world, stem, **policy)
    await pool.budget(1_000_000)
    await pool.put(pool.place.hospital, 1)
    assert await refused(pool, "QUARTER", 1) == "METHOD_NOT_SUPPORTED"


async def test_points_of_editions_of_another_scale_do_not_add_up(world: World) -> None:
    pool = await open_pool(world, "74")
    await pool.budget(1_000_000)
    await pool.put(pool.place.hospital, 1)
    await publish_another_scale(pool)
    await pool.put(pool.place.hospital, 3)
    assert await refused(pool, "QUARTER", 1) == "EDITIONS_NOT_ADDABLE"


async def publish_another_scale(pool: Pool) -> None:
    """An edition of scale 500 in force from March on."""
    assert pool.scope.province_id is not None
    scope = Scope(role=DatabaseRole.PROVINCE, tenant=pool.place.province, province_id=pool.scope.province_id)
    edition_id = new_id()
    async with pool.world.platform.database.unit_of_work(scope) as uow:
        first = await catalog.edition_by_id(uow, pool.place.edition_id)
        assert first is not None
        await catalog.change_edition(uow, first.edition_id, "published", {"effective_to": date(2025, 2, 28)})
        await catalog.add_edition(
            uow,
            {
                "edition_id": edition_id,
                "code": "T2025B",
                "title": "测试目录乙",
                "state": "draft",
                "effective_from": date(2025, 3, 1),
                "scale": 500,
                "points_decimals": 5,
                "score_decimals": 1,
                "diagnosis_table_id": first.diagnosis_table_id,
                "procedure_table_id": first.procedure_table_id,
                "document": "测试目录文件乙",
                "groups": 1,
                "content_sha256": b"z" * 32,
                "drafted_by_person": new_id(),
            },
        )
        group = (
            "I63.9:",
            "I63.9",
            "I63.9",
            4,
            "",
            "",
            "",
            "",
            "core",
            "",
            None,
            "2",
            Decimal("475.0"),
            None,
            False,
            "imported",
        )
        await catalog.add_groups(uow, edition_id, 1, [group])
        await catalog.change_edition(uow, edition_id, "draft", {"state": "in_review"})
        published = {"state": "published", "published_by_person": new_id()}
        await catalog.change_edition(uow, edition_id, "in_review", published)
