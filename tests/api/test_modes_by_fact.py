"""Modes by what a list says: ICU days, department, total control, rare diseases; paid beside the points, booked, verified again."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from typing import Any

import pytest

from builders.clearing_place import Pool, open_pool
from builders.world import World
from builders.year_place import assess, book_of, books, year_to_publication
from fenzhi.rules.payment_modes import controlled_months
from fenzhi.rules.refusals import FenzhiError, InvariantBroken
from fenzhi.services.verification.findings import Verification
from fenzhi.services.verification.money import verify_money
from fenzhi_graphql.paging import global_id, key_of

LOOK = """
query($id: ID!) { clearingRun(id: $id) { kind
  summary { poolFen unexplainedFen purses { name paidFen setAsideFen fromPoolFen } pending { reason cases } }
  manifest { resultSha256 }
  statements(first: 5) { nodes { hospitalCode grossFen payableFen besideFen controlWithheldFen points
    modes { mode cases costFen fundFen otherFen hospitalFen withheldFen unjudged }
    steps { rule document values { name value } }
    cases(first: 50) { nodes { caseId disposition mode points shareFen besideFen controlFen } } } } } }
"""
EXPLAIN = """
query($id: ID!) { caseExplain(id: $id) { disposition points
  paidBy { mode restsOn document zh en unjudged refusal icuDays costFen fundFen otherFen hospitalFen payers { payer fen } } } }
"""
STENT = ("88.4101",)


def row(mode: str, **wanted: str) -> dict[str, str]:
    return {"groups": "", "levels": "", "departments": "", "agreement_modes": "", "mode": mode} | wanted


async def look(pool: Pool, run: str) -> dict[str, Any]:
    found = (await (await pool.clerk()).gql(LOOK, {"id": run}))["clearingRun"]
    assert found["summary"]["unexplainedFen"] == "0"
    for node in found["statements"]["nodes"]:
        cases = node["cases"]["nodes"]
        assert sum(int(one["shareFen"]) for one in cases) == int(node["grossFen"])
        assert sum(int(one["besideFen"]) for one in cases) == int(node["besideFen"])
        assert sum(int(one["controlFen"]) for one in cases) == int(node["controlWithheldFen"])
        for one in node["modes"]:
            assert int(one["costFen"]) == sum(int(one[f"{part}Fen"]) for part in ("fund", "other", "hospital"))
    return found | {"lines": {n["hospitalCode"]: n for n in found["statements"]["nodes"]}}


async def verified(pool: Pool) -> Verification:
    found = Verification()
    database = pool.world.platform.database
    async with database.snapshot(pool.scope) as uow:
        await verify_money(found, database, uow, pool.place.city)
    return found


async def explain(pool: Pool, case: Any) -> dict[str, Any]:
    found = (await (await pool.clerk()).gql(EXPLAIN, {"id": global_id("InpatientCase", case)}))["caseExplain"]
    return found | {"paidBy": {name: value for name, value in found["paidBy"].items() if value not in (None, [])}}


def modes_of(line: dict[str, Any]) -> dict[str, tuple[int, int, int]]:
    """Mode → cases, what the fund pays, cases that cannot be judged."""
    return {one["mode"]: (one["cases"], int(one["fundFen"]), one["unjudged"]) for one in line["modes"]}


def step(line: dict[str, Any], rule: str) -> dict[str, str]:
    return next({v["name"]: v["value"] for v in s["values"]} for s in line["steps"] if s["rule"] == rule)


async def test_icu_days_and_departments_in_a_month_a_quarter_and_a_year(world: World) -> None:
    policy = {
        "payment_mode__table": [
            row("dip_icu_days", groups="I63.9:88.4101"),
            row("per_diem", departments="A28|A29"),
            row("dip"),
        ],
        "payment_mode__icu_day_rate": "1500",
        "payment_mode__icu_days_included": "2",
        "payment_mode__per_diem_rates": [{"from_day": "1", "rate": "500"}],
    }
    pool = await open_pool(
        world, "D8", deposit__rate="0", bands__applies="false", assessment__acts_at="coefficient", **policy
    )
    a, b = pool.place.hospital, pool.place.county_hospital
    await pool.price(10, last_year=(7, 10))
    aside = [{"part": "ICU_DAYS", "fen": "500000"}]
    await pool.budget(8_000_000, annualFen=None, composition={"method": "ITEMISED", "inpatientFen": "8500000", "setAsides": aside})  # fmt: skip
    # Six days and 23 hours are six days, two of them in the score: 4 × 1,500.00 (WE-59). One day is in the score. One list does not say.
    icu = await pool.put(a, 1, procedures=STENT, icu_minutes=6 * 1_440 + 1_439, discharge_department="A03")
    await pool.put(a, 1, procedures=STENT, icu_minutes=1_440, discharge_department="A03")
    await pool.put(a, 1, procedures=STENT, discharge_department="A03")
    await pool.put(b, 1, discharge_department="A03")
    day = await pool.put(b, 1, discharge_department="A28", total_fen=600_000, fund_fen=400_000)
    untold = await pool.put(b, 1)
    month = await pool.published("MONTH", 1)
    found = await look(pool, month["id"])
    assert modes_of(found["lines"][a]) == {"dip_icu_days": (1, 600_000, 1)}
    assert modes_of(found["lines"][b]) == {"dip": (0, 0, 1), "per_diem": (1, 350_000, 0)}
    assert found["summary"]["pending"] == [
        {"reason": "beside:per_diem", "cases": 1}, {"reason": "department_unstated", "cases": 1},
    ]  # fmt: skip
    cases = {c["caseId"]: c for n in found["lines"].values() for c in n["cases"]["nodes"]}
    by_id = {
        key: next(c for name, c in cases.items() if key_of(name, "InpatientCase", "id") == str(key))
        for key in (icu, day, untold)
    }
    assert (by_id[icu]["disposition"], by_id[icu]["mode"], by_id[icu]["besideFen"]) == (
        "cleared",
        "dip_icu_days",
        "600000",
    )
    assert (by_id[day]["disposition"], by_id[day]["mode"], by_id[day]["besideFen"]) == (
        "beside:per_diem",
        "per_diem",
        "350000",
    )
    assert (by_id[untold]["disposition"], by_id[untold]["mode"]) == (
        "pending:department_unstated",
        "dip:department_unstated",
    )
    assert sorted(c["mode"] for c in found["lines"][a]["cases"]["nodes"]) == [
        "dip_icu_days", "dip_icu_days", "dip_icu_days:icu_days_unstated",
    ]  # fmt: skip
    assert step(found["lines"][a], "payment_modes.beside_points")["dip_icu_days icu_days_unstated"] == "1"
    # The explanation of a case, before any run, says the same.
    told = {"restsOn": "payment_mode.table #1", "document": "测试结算办法〔2021〕1号"}
    assert await explain(pool, icu) == {
        "disposition": "cleared", "points": "1260.5250",
        "paidBy": told | {"mode": "dip_icu_days", "zh": "病种分值加重症监护床日", "en": "dip icu days", "icuDays": 6, "costFen": "0",
                          "fundFen": "600000", "otherFen": "0", "hospitalFen": "-600000"},
    }  # fmt: skip
    by_day = await explain(pool, day)
    assert (by_day["disposition"], by_day["points"], by_day["paidBy"]["fundFen"]) == ("beside:per_diem", None, "350000")
    assert by_day["paidBy"]["restsOn"] == "payment_mode.table #2"
    waits = await explain(pool, untold)
    assert (waits["disposition"], waits["paidBy"]["unjudged"]) == ("pending:department_unstated", "department_unstated")
    # The books owe the supplement beside the points; the points were priced as any.
    assert await book_of(pool, a, "off_pool") == 600_000
    assert await book_of(pool, a, "payable") == -int(found["lines"][a]["payableFen"]) - 600_000
    quarter = await look(pool, (await pool.published("QUARTER", 1))["id"])
    # 6,000.00 against 5,000.00 set aside, and 3,500.00 by the day of which nothing was: 4,500.00 leave the fund first.
    assert quarter["summary"]["purses"] == [
        {"name": "icu_days", "paidFen": "600000", "setAsideFen": "500000", "fromPoolFen": "100000"},
        {"name": "per_diem", "paidFen": "350000", "setAsideFen": "0", "fromPoolFen": "350000"},
    ]
    assert quarter["summary"]["poolFen"] == str(2_000_000 - 450_000)
    await assess(pool, **{a: ("1", "", ""), b: ("1", "", "")})
    year = await look(pool, (await year_to_publication(pool))["id"])
    assert (year["kind"], year["lines"][a]["besideFen"], year["lines"][b]["besideFen"]) == ("YEAR", "600000", "350000")
    assert await book_of(pool, a, "off_pool") == 600_000
    await books(pool)
    assert (await verified(pool)).found == []


SUQIAN: dict[str, Any] = {
    "payment_mode__table": [
        row("item", groups="J18:conservative"),
        row("per_diem", departments="A28"),
        row("dip"),
    ],
    "payment_mode__per_diem_rates": [{"from_day": "1", "rate": "500"}],
    "total_control__table": [
        {"method": "critical_share", "levels": "", "limit": "0.5"},
        {"method": "mean_cost_growth", "levels": "", "limit": "0.05"},
        {"method": "total_and_mean", "levels": "", "limit": "1"},
    ],
}


async def suqian(world: World, stem: str, **policy: Any) -> Pool:
    amounts = {
        f"total_control__{name}": {f"H{stem}010001": yuan, f"H{stem}010002": yuan}
        for name, yuan in (("prior_means", "8000"), ("total_quotas", "15000"), ("mean_quotas", "5000"))
    }
    pool = await open_pool(world, stem, deposit__rate="0", **(SUQIAN | amounts | policy))
    a = pool.place.hospital
    await pool.budget(8_000_000)
    # Four cases in January, three of them critical: two are paid by the day, the last to leave falls back to its group.
    for discharge in (5, 7, 6):
        await pool.put(a, 1, discharge=date(2025, 1, discharge), discharge_department="A28")
    # Item payment: mean 8,496.00 against 8,000.00 × 1.05 = 8,400.00, so 96.00 a case are over (WE-56).
    await pool.put(a, 1, "J18.900", total_fen=849_600, fund_fen=600_000, discharge_department="A01")
    await pool.put(pool.place.county_hospital, 1, discharge_department="A01")
    return pool


async def test_suqians_checks_hold_back_what_is_over_in_an_account_of_its_own(world: World) -> None:
    pool = await suqian(world, "D2")
    a = pool.place.hospital
    found = await look(pool, (await pool.published("QUARTER", 1))["id"])
    line = found["lines"][a]
    assert modes_of(line) == {"item": (1, 600_000, 0), "per_diem": (2, 700_000, 0)}
    assert sorted((c["disposition"], c["mode"], c["besideFen"], c["controlFen"]) for c in line["cases"]["nodes"]) == [
        ("beside:item", "item", "600000", "9600"),
        ("beside:per_diem", "per_diem", "350000", "0"),
        ("beside:per_diem", "per_diem", "350000", "0"),
        ("cleared", "dip:over_the_share", "0", "0"),
    ]
    said = step(line, "payment_modes.total_control")
    assert {name.split(maxsplit=2)[2]: value for name, value in said.items() if "cases" in name or "withheld" in name} == {
        "critical_share cases": "4", "critical_share withheld": "0.00", "critical_share over_cases": "1",
        "mean_cost_growth cases": "1", "mean_cost_growth withheld": "96.00", "mean_cost_growth over_cases": "0",
        "total_and_mean cases": "3", "total_and_mean withheld": "0.00", "total_and_mean over_cases": "0",
    }  # fmt: skip
    assert await book_of(pool, a, "off_pool") == 1_300_000
    assert await book_of(pool, a, "control_withheld") == -9_600
    assert await book_of(pool, a, "payable") == -int(line["payableFen"]) - 1_300_000 + 9_600
    await books(pool)
    # The whole approved amount has left the fund: what is held back waits in its account, it is not shared.
    assert found["summary"]["poolFen"] == str(2_000_000 - 1_300_000)
    # February under a quota of 5,000.00 a case: 12,000.00 claimed by two, 10,000.00 allowed. January stays as it was judged.
    await pool.put(a, 2, "J18.900", total_fen=800_000, fund_fen=600_001, discharge_department="A01")
    await pool.put(a, 2, "J18.900", total_fen=800_000, fund_fen=600_000, discharge_department="A01")
    second = await look(pool, (await pool.published("QUARTER", 2))["id"])
    assert second["lines"][a]["controlWithheldFen"] == str(9_600 + 200_001)
    held = sorted(int(c["controlFen"]) for c in second["lines"][a]["cases"]["nodes"])
    assert held == [0, 0, 0, 9_600, 100_000, 100_001]
    assert await book_of(pool, a, "control_withheld") == -209_601
    await books(pool)
    assert (await verified(pool)).found == []


@pytest.mark.parametrize("changed", ["fen", "case"])
async def test_a_fen_held_back_that_no_rule_says_stops_the_run(
    world: World, changed: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    pool = await suqian(world, "D3" if changed == "fen" else "D4")
    honest = controlled_months.held_back

    def a_fen_more(*given: Any) -> Any:
        findings, held = honest(*given)
        if changed == "fen":
            return findings, {name: fen + (fen > 0) for name, fen in held.items()}
        return tuple(replace(one, withheld_fen=one.withheld_fen + 1) for one in findings[:1]) + findings[1:], held

    monkeypatch.setattr("fenzhi.services.clearing.modes.held_back", a_fen_more)
    started = await pool.start("QUARTER", 1)
    with pytest.raises(InvariantBroken) as broken:
        await world.work_off()
    assert (broken.value.law, broken.value.account, abs(broken.value.unexplained_fen)) == (
        controlled_months.HELD_BACK, "control_withheld", 1,
    )  # fmt: skip
    run = await pool.look(started["run"]["id"])
    assert run["state"] == "STOPPED" and "control_withheld" in run["error"]
    await books(pool)
    assert await book_of(pool, pool.place.hospital, "off_pool") == 0


async def test_a_check_without_its_base_is_refused(world: World) -> None:
    pool = await suqian(world, "D5", total_control__prior_means={"H0": "8000"})
    await pool.start("QUARTER", 1)
    with pytest.raises(FenzhiError) as refused:
        await world.work_off()
    assert refused.value.code == "TOTAL_CONTROL_TERMS_MISSING"


async def test_three_payers_of_a_rare_disease_pay_the_whole_cost(world: World) -> None:
    layers = [
        {"payer": "basic", "rate": "0.7", "deductible": "0", "cap": "2800"},
        {"payer": "major_illness", "rate": "0.6", "deductible": "100", "cap": ""},
        {"payer": "special_fund", "rate": "0.8", "deductible": "0", "cap": ""},
    ]
    pool = await open_pool(world, "D6", deposit__rate="0", rare_disease__layers=layers, rare_disease__diagnoses=["J18"])
    a = pool.place.hospital
    await pool.budget(8_000_000)
    # The golden case, a hundredth of it: 10,000.00, 9,000.00 of it covered: 2,800.00, 3,660.00, 2,032.00 and 1,508.00 the patient's.
    rare = await pool.put(a, 1, "J18.900", own_paid_fen=100_000)
    await pool.put(a, 1, "J18.900")
    await pool.put(a, 1)
    found = await look(pool, (await pool.published("QUARTER", 1))["id"])
    line = found["lines"][a]
    assert line["modes"] == [
        {"mode": "rare_disease", "cases": 1, "costFen": "1000000", "fundFen": "280000", "otherFen": "720000", "hospitalFen": "0",
         "withheldFen": "0", "unjudged": 1}
    ]  # fmt: skip
    said = step(line, "payment_modes.beside_points")
    parts = {name.removeprefix("rare_disease "): value for name, value in said.items()}
    assert [parts[payer] for payer in ("basic", "major_illness", "special_fund", "patient")] == [
        "2800.00", "3660.00", "2032.00", "1508.00",
    ]  # fmt: skip
    assert sorted((c["disposition"], c["mode"]) for c in line["cases"]["nodes"]) == [
        ("beside:rare_disease", "rare_disease"), ("cleared", ""),
        ("pending:own_paid_unstated", "rare_disease:own_paid_unstated"),
    ]  # fmt: skip
    assert found["summary"]["purses"] == [
        {"name": "rare_disease", "paidFen": "280000", "setAsideFen": "0", "fromPoolFen": "280000"}
    ]
    explained = (await explain(pool, rare))["paidBy"]
    assert (explained["mode"], explained["restsOn"]) == ("rare_disease", "rare_disease.diagnoses")
    assert sum(int(one["fen"]) for one in explained["payers"]) == int(explained["costFen"]) == 1_000_000
    assert await book_of(pool, a, "off_pool") == 280_000
    await books(pool)
    assert (await verified(pool)).found == []
