"""Payment modes in runs: one mode per case, purses the budget set aside, nothing paid twice, books that balance."""

from __future__ import annotations

from typing import Any

import pytest

from builders.clearing_place import Pool, enter_area_policy, open_pool
from builders.world import World, new_key
from builders.year_place import book_of, books
from fenzhi.access.roles import Role
from fenzhi.rules.refusals import FenzhiError

MODES = """
query($id: ID!) { clearingRun(id: $id) { summary { poolFen unexplainedFen purses { name paidFen setAsideFen fromPoolFen } }
  statements(first: 5) { nodes { hospitalCode grossFen payableFen transferFen besideFen
    modes { mode cases costFen fundFen otherFen hospitalFen } steps { rule } } } } }
"""
PAY = """
mutation($i: PaymentRecordInput!) { paymentRecord(input: $i) { payment { amountFen part } userErrors { code } } }
"""
AGREE = """
mutation($i: HospitalStandingRegisterInput!) { hospitalStandingRegister(input: $i) { userErrors { code path } } }
"""
SINGLE = {
    "payment_mode.table": [
        {"groups": "I63.9:88.4101", "levels": "", "departments": "", "agreement_modes": "", "mode": "single_disease"},
        {
            "groups": "J18:conservative",
            "levels": "",
            "departments": "",
            "agreement_modes": "",
            "mode": "per_diem_points",
        },
        {"groups": "", "levels": "", "departments": "", "agreement_modes": "per_diem", "mode": "per_diem"},
        {"groups": "", "levels": "", "departments": "", "agreement_modes": "drg", "mode": "drg"},
        {"groups": "", "levels": "", "departments": "", "agreement_modes": "", "mode": "dip"},
    ],
    "payment_mode.single_disease_standards": {"I63.9:88.4101": "9000"},
    "payment_mode.single_disease_below": "standard",
    "payment_mode.per_diem_rates": [{"from_day": "1", "rate": "500"}],
    "payment_mode.per_diem_points": {"J18:conservative": "50"},
}


async def agree(pool: Pool, hospital: str, mode: str, since: str = "2025-02-01") -> list[str]:
    order = {
        "idempotencyKey": new_key(),
        "hospital": hospital,
        "effectiveFrom": since,
        "level": "secondary",
        "coefficients": [{"insurance": "employee", "coefficient": "1.05"}],
        "agreementInsurances": ["employee"],
        "agreementUntil": "2026-12-31",
        "agreementMode": mode,
        "document": "协议〔2025〕1号",
    }
    answer = (await (await pool.clerk()).gql(AGREE, {"i": order}))["hospitalStandingRegister"]
    return [error["code"] for error in answer["userErrors"]]


async def look(pool: Pool, run: str) -> dict[str, Any]:
    found = (await (await pool.clerk()).gql(MODES, {"id": run}))["clearingRun"]
    assert found["summary"]["unexplainedFen"] == "0"
    for node in found["statements"]["nodes"]:
        for one in node["modes"]:
            assert int(one["costFen"]) == sum(int(one[f"{part}Fen"]) for part in ("fund", "other", "hospital"))
    return found | {"lines": {n["hospitalCode"]: n for n in found["statements"]["nodes"]}}


async def test_a_single_disease_is_paid_from_its_purse_and_the_excess_is_the_hospitals(world: World) -> None:
    pool = await open_pool(world, "M6", deposit__rate="0")
    a, b = pool.place.hospital, pool.place.county_hospital
    await enter_area_policy(world, pool.place.city, SINGLE, effective_from="2025-02-01")
    composition = {
        "method": "ITEMISED",
        "inpatientFen": "8500000",
        "setAsides": [{"part": "SINGLE_DISEASE", "fen": "500000"}],
    }
    await pool.budget(8_000_000, annualFen=None, composition=composition)
    stent = ("88.4101",)
    # January is before the table: the same disease is paid by its points then, 1,200.5 × 1.05 = 1,260.525.
    await pool.put(a, 1, procedures=stent)
    await pool.put(a, 2, procedures=stent, total_fen=1_200_000, fund_fen=900_000)
    await pool.put(b, 2)
    # A group paid by the day inside the pool: seven days at 50 points.
    await pool.put(b, 2, "J18.900")
    run = await pool.published("QUARTER", 1)
    found = await look(pool, run["id"])
    # The standard of 9,000.00 less the 3,000.00 of other payers is the fund's; 3,000.00 of the cost are the hospital's.
    assert found["lines"][a]["modes"] == [
        {"mode": "single_disease", "cases": 1, "costFen": "1200000", "fundFen": "600000", "otherFen": "300000", "hospitalFen": "300000"}
    ]  # fmt: skip
    # 6,000.00 against 5,000.00 set aside: 1,000.00 leave the fund before the point value, so 19,000.00 are shared.
    assert found["summary"]["purses"] == [
        {"name": "single_disease", "paidFen": "600000", "setAsideFen": "500000", "fromPoolFen": "100000"}
    ]
    assert found["summary"]["poolFen"] == "1900000"
    points = {n["hospitalCode"]: n["points"] for n in run["statements"]["nodes"]}
    assert points == {a: "1260.5250", b: "1347.5000"}
    gross = {code: int(line["grossFen"]) for code, line in found["lines"].items()}
    assert gross == {a: 918_318, b: 981_682} and sum(gross.values()) == 1_900_000
    cases = {c["disposition"] for n in run["statements"]["nodes"] for c in n["cases"]["nodes"]}
    assert cases == {"cleared", "beside:single_disease"}
    assert "payment_modes.beside_points" in [s["rule"] for s in found["lines"][a]["steps"]]
    # The books owe both; the transfer is paid, then what stands beside it, and no later run deducts that.
    assert await book_of(pool, a, "payable") == -(918_318 + 600_000)
    assert await book_of(pool, a, "off_pool") == 600_000
    assert (await pool.pay(run["id"], a, 918_318))["userErrors"] == []
    order = {
        "idempotencyKey": new_key(),
        "run": run["id"],
        "hospital": a,
        "voucher": "BESIDE-1",
        "paidOn": "2025-06-30",
        "amountFen": "600000",
        "part": "BESIDE",
    }
    paid = (await (await pool.clerk()).gql(PAY, {"i": order}))["paymentRecord"]
    assert paid == {"payment": {"amountFen": "600000", "part": "BESIDE"}, "userErrors": []}
    assert await book_of(pool, a, "payable") == 0
    await books(pool)
    # The next quarter counts the year again: the payment beside is not deducted from the transfer, nor posted twice.
    second = await look(pool, (await pool.published("QUARTER", 2))["id"])
    assert second["lines"][a]["besideFen"] == "600000"
    assert second["summary"]["poolFen"] == "3900000"
    assert int(second["lines"][a]["transferFen"]) == int(second["lines"][a]["payableFen"]) - 918_318
    assert await book_of(pool, a, "off_pool") == 600_000
    viewer = await world.client(b, Role.HOSPITAL_VIEWER)
    own = (await viewer.gql(MODES, {"id": run["id"]}))["clearingRun"]["statements"]["nodes"]
    assert [n["hospitalCode"] for n in own] == [b]


async def test_the_agreement_of_the_day_of_discharge_decides(world: World) -> None:
    pool = await open_pool(world, "M7", deposit__rate="0", **{k.replace(".", "__"): v for k, v in SINGLE.items()})
    a, b = pool.place.hospital, pool.place.county_hospital
    assert await agree(pool, b, "nonsense") == ["PAYMENT_MODE_UNKNOWN"]
    assert await agree(pool, b, "per_diem") == []
    await pool.budget(8_000_000)
    await pool.put(a, 1)
    await pool.put(b, 1)
    await pool.put(b, 2, total_fen=800_000, fund_fen=600_000)
    # Not grouped, and paid by the day all the same.
    await pool.put(b, 3, "I64.x00", total_fen=500_000, fund_fen=400_000)
    run = await pool.published("QUARTER", 1)
    found = await look(pool, run["id"])
    # Two stays of seven days at 500.00: 7,000.00, nothing set aside, so all of it leaves the fund first.
    assert found["lines"][b]["modes"] == [
        {"mode": "per_diem", "cases": 2, "costFen": "1300000", "fundFen": "700000", "otherFen": "300000", "hospitalFen": "300000"}
    ]  # fmt: skip
    assert (found["summary"]["poolFen"], found["lines"][a]["grossFen"], found["lines"][b]["grossFen"]) == (
        "1300000", "650000", "650000",
    )  # fmt: skip
    assert await agree(pool, b, "drg", since="2025-04-01") == []
    await pool.put(b, 4)
    second = await pool.published("QUARTER", 2)
    dispositions = [c["disposition"] for n in second["statements"]["nodes"] for c in n["cases"]["nodes"]]
    assert sorted(dispositions) == ["beside:per_diem", "beside:per_diem", "cleared", "cleared", "recorded:drg"]


async def test_a_mode_without_its_terms_is_refused(world: World) -> None:
    rows = [{"groups": "", "levels": "", "departments": "", "agreement_modes": "", "mode": "dip_icu_days"}]
    pool = await open_pool(world, "M8", deposit__rate="0", payment_mode__table=rows)
    await pool.budget(8_000_000)
    await pool.put(pool.place.hospital, 1)
    assert (await pool.start("QUARTER", 1))["userErrors"] == []
    with pytest.raises(FenzhiError) as refused:
        await world.work_off()
    assert refused.value.code == "PAYMENT_MODE_TERMS_MISSING"
