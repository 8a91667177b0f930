"""A statement says why it differs from what was settled before: late lists, deductions, the fund's price, the ratio, the deposit."""

from __future__ import annotations

from typing import Any

from builders.clearing_place import Pool, open_pool
from builders.world import World, new_key
from builders.year_place import assess

CHANGES = """
query($id: ID!) { clearingRun(id: $id) { statements(first: 50) { nodes { hospitalCode payableFen depositForfeitedFen clearedFen
  changes { beforeFen afterFen causes { cause zh fen } } } } } }
"""


async def changes(pool: Pool, run: str) -> dict[str, Any]:
    nodes = (await (await pool.clerk()).gql(CHANGES, {"id": run}))["clearingRun"]["statements"]["nodes"]
    for node in nodes:
        if node["changes"]:
            moved = sum(int(c["fen"]) for c in node["changes"]["causes"])
            assert moved == int(node["changes"]["afterFen"]) - int(node["changes"]["beforeFen"])
    return {node["hospitalCode"]: node["changes"] for node in nodes}


def causes(found: dict[str, Any]) -> dict[str, int]:
    return {c["cause"]: int(c["fen"]) for c in found["causes"] if int(c["fen"])}


async def test_from_a_month_to_a_quarter_to_the_year(world: World) -> None:
    pool = await open_pool(world, "86", bands__applies="false")
    a, b = pool.place.hospital, pool.place.county_hospital
    await pool.price(10, last_year=(7, 10))
    await pool.budget(8_000_000)
    await pool.put(a, 1)
    await pool.put(b, 1)
    month = await pool.published("MONTH", 1)
    assert (await changes(pool, month["id"])) == {a: None, b: None}
    await pool.put(a, 1)
    await pool.deduct(b, 1, 10_000)
    first = await pool.published("QUARTER", 1)
    found = await changes(pool, first["id"])
    # A month: 9,975.00 × 0.7 × 0.9 = 6,284.25, deposit 314.21. Now 1,995 points of 2,992.5, fund 20,000.00: 13,333.33.
    # P = 20,000 / 0.7 / 2,992.5; lists 6,284.25; price 2 × 6,284.25 → 13,333.33 × 0.9; φ 0.7 is the same.
    assert causes(found[a]) == {
        "LISTS": 628_425,
        "POINT_VALUE": 1_200_000 - 1_256_850,
        "PREPAY": 133_333,
        "DEPOSIT": 31_421 - 66_667,
    }
    assert (found[a]["beforeFen"], found[a]["afterFen"]) == ("597004", str(1_333_333 - 66_667))
    assert [c["cause"] for c in found[a]["causes"]] == [
        "LISTS", "GROUP", "COEFFICIENT", "BUDGET", "POINT_VALUE", "PHI", "SPECIAL_CASES", "DEDUCTION", "BANDS", "ASSESSMENT",
        "PREPAY", "DEPOSIT",
    ]  # fmt: skip
    assert causes(found[b])["DEDUCTION"] == -10_000
    # The budget grows, a case comes late, the coefficient of one hospital is corrected; then the year.
    await pool.budget(9_000_000)
    await pool.put(b, 2)
    await assess(pool, **{a: ("0.9", "", ""), b: ("1", "", "")})
    run = await pool.computed("YEAR", 1)
    found = await changes(pool, run)
    # Quarter 1 with the late list: 20,000.00 over 1,995 and 1,995: −3,333.33 for A; then the year's 90,000.00: +35,000.00.
    assert causes(found[a]) == {
        "LISTS": 1_000_000 - 1_333_333,
        "BUDGET": 4_500_000 - 1_000_000,
        "ASSESSMENT": -450_000,
        "DEPOSIT": 66_667,
    }
    assert causes(found[b])["LISTS"] == 1_000_000 - 666_667


async def test_a_corrected_coefficient_is_a_cause_of_its_own(world: World) -> None:
    pool = await open_pool(world, "87", bands__applies="false")
    a, b = pool.place.hospital, pool.place.county_hospital
    await pool.price(10, last_year=(7, 10))
    await pool.budget(8_000_000)
    await pool.put(a, 1)
    await pool.put(b, 1)
    await pool.published("MONTH", 1)
    await register(pool, a, "1.10")
    run = await pool.computed("QUARTER", 1)
    found = await changes(pool, run)
    # 950.0 × 1.10 = 1,045 in place of 997.5 points: 1,045 × 10 × 0.7 × 0.9 = 6,583.50 in place of 6,284.25.
    assert causes(found[a])["COEFFICIENT"] == 658_350 - 628_425
    assert "COEFFICIENT" not in causes(found[b])
    assert "GROUP" not in causes(found[a])
    lines = {n["hospitalCode"]: n for n in (await pool.look(run))["statements"]["nodes"]}
    printed = next(step for step in lines[a]["steps"] if step["rule"] == "clearing.changes")
    values = {value["name"]: value["value"] for value in printed["values"]}
    assert (values["before"], values["coefficient"]) == ("5970.04", "299.25")


async def register(pool: Pool, hospital: str, coefficient: str) -> None:
    """A coefficient corrected from the first of January on."""
    order = {
        "idempotencyKey": new_key(),
        "hospital": hospital,
        "effectiveFrom": "2025-01-01",
        "level": "tertiary",
        "coefficients": [{"insurance": "employee", "coefficient": coefficient}],
        "agreementInsurances": ["employee"],
        "agreementUntil": "2026-12-31",
        "document": "系数更正〔2025〕1号",
    }
    answer = await (await pool.clerk()).gql(
        "mutation($i: HospitalStandingRegisterInput!) { hospitalStandingRegister(input: $i) { userErrors { code path } } }",
        {"i": order},
    )
    assert answer["hospitalStandingRegister"]["userErrors"] == [], answer
