"""A statement says why it differs from what was settled before: late lists, deductions, the fund's price, the ratio, the deposit."""

from __future__ import annotations

from typing import Any

from builders.clearing_place import Pool, open_pool
from builders.review_place import REVIEW_POLICY, apply, close, crowd, decide, enter_experts, hear, value
from builders.world import World, new_key
from builders.year_place import assess

CHANGES = """
query($id: ID!) { clearingRun(id: $id) { statements(first: 50) { nodes { hospitalCode payableFen depositForfeitedFen clearedFen
  changes { beforeFen afterFen causes { cause zh fen } } changesRefused { code zh en } steps { rule values { name value } } } } } }
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


async def heard(world: World, stem: str, **policy: str) -> tuple[Pool, list[str]]:
    """A first quarter settled while two dear cases are heard, A's and B's; A has a plain one and B two. 25,000.00 over three cases."""
    pool = await open_pool(world, stem, deposit__rate="0", bands__applies="false", **REVIEW_POLICY, **policy)
    a, b = pool.place.hospital, pool.place.county_hospital
    await pool.price(10, last_year=(7, 10))
    await pool.budget(10_000_000)
    await crowd(pool, 400)
    await enter_experts(pool, 7)
    dear = [await pool.put(code, 1, total_fen=5_000_000, fund_fen=3_500_000) for code in (a, b)]
    for code in (a, b, b):
        await pool.put(code, 1)
    asked = [(await apply(pool, code, case))[0]["id"] for code, case in zip((a, b), dear, strict=True)]
    assert (await close(pool, 1))[0]["admitted"] == 2
    first = await pool.published("QUARTER", 1)
    assert first["summary"]["pending"] == [{"reason": "in_review", "cases": 2}]
    gross = {node["hospitalCode"]: node["grossFen"] for node in first["statements"]["nodes"]}
    assert gross == {a: "833333", b: "1666667"}
    await assess(pool, **{a: ("1", "", ""), b: ("1", "", "")})
    return pool, asked


async def test_points_that_a_review_gave_are_the_cause_special_cases(world: World) -> None:
    pool, (one, two) = await heard(world, "Y1", special_case__funding="in_score")
    a, b = pool.place.hospital, pool.place.county_hospital
    await hear(pool, one, "YES", "ITEM")
    await hear(pool, two, "YES", "ADJUSTED")
    # 19,950.00 at 10.00 a point are 1,995 points for A's case; B's gets 498.75, half of its own.
    assert await value(pool, one, awardFen="1995000") == []
    assert await value(pool, two, awardPoints="498.75") == []
    assert await decide(pool, one) == []
    assert await decide(pool, two) == []
    await pool.budget(12_000_000)
    early = await pool.computed("YEAR", 1)
    found = await changes(pool, early)
    assert causes(found[a]) == {"BUDGET": 4_000_000 - 833_333, "SPECIAL_CASES": 6_545_455 - 4_000_000}
    assert causes(found[b]) == {"BUDGET": 8_000_000 - 1_666_667, "SPECIAL_CASES": 5_454_545 - 8_000_000}
    assert (await pool.step("clearingRunVoid", early))["userErrors"] == []
    second = await pool.published("QUARTER", 2)
    found = await changes(pool, second["id"])
    # The first half of 120,000.00 is 60,000.00. Over three cases: 20,000.00 and 40,000.00. With the reviews A has 2,992.5 of 5,486.25 points.
    assert causes(found[a]) == {"BUDGET": 2_000_000 - 833_333, "SPECIAL_CASES": 3_272_727 - 2_000_000}
    assert causes(found[b]) == {"BUDGET": 4_000_000 - 1_666_667, "SPECIAL_CASES": 2_727_273 - 4_000_000}
    # In the year both reviews stand as the quarter knew them: a cause once, never twice.
    run = await pool.computed("YEAR", 1)
    found = await changes(pool, run)
    assert causes(found[a]) == {"BUDGET": 6_545_455 - 3_272_727}
    assert causes(found[b]) == {"BUDGET": 5_454_545 - 2_727_273}


async def test_payments_beside_the_pool_are_the_cause_special_cases_too(world: World) -> None:
    pool, (one, two) = await heard(world, "Y2", special_case__funding="off_pool")
    a, b = pool.place.hospital, pool.place.county_hospital
    await hear(pool, one, "YES", "ITEM")
    assert await value(pool, one, awardFen="1000000") == []
    assert await decide(pool, one) == []
    # B's case is refused: it comes back to the pool with its own points. Lists and deductions change beside it.
    await hear(pool, two, "NO")
    await pool.put(a, 1)
    await pool.deduct(b, 1, 10_000)
    second = await pool.computed("QUARTER", 2)
    found = await changes(pool, second)
    # 50,000.00 over 2 + 2 cases; then 40,000.00 over 2 + 3.
    assert causes(found[a]) == {
        "LISTS": 1_250_000 - 833_333,
        "BUDGET": 1_250_000,
        "SPECIAL_CASES": 1_600_000 - 2_500_000,
    }
    assert causes(found[b]) == {
        "LISTS": 1_250_000 - 1_666_667,
        "BUDGET": 1_250_000,
        "SPECIAL_CASES": 2_400_000 - 2_500_000,
        "DEDUCTION": -10_000,
    }
    nodes = (await (await pool.clerk()).gql(CHANGES, {"id": second}))["clearingRun"]["statements"]["nodes"]
    assert [node["changesRefused"] for node in nodes] == [None, None]


async def test_a_quarter_that_cannot_be_computed_again_says_so(world: World) -> None:
    pool = await open_pool(
        world,
        "Y3",
        bands__applies="false",
        deposit__rate="0",
        point_value__method="elastic",
        point_value__elastic_split="volume",
        point_value__fixed_value="1",
        point_value__elastic_baseline_share="0.8",
        point_value__elastic_cap="1.2",
    )
    a = pool.place.hospital
    await pool.price(10, last_year=(7, 10))
    await pool.budget(10_000_000)
    await pool.put(a, 1)
    first = await pool.published("QUARTER", 1)
    query = (await (await pool.clerk()).gql(CHANGES, {"id": first["id"]}))["clearingRun"]["statements"]["nodes"]
    assert [(node["changes"], node["changesRefused"]) for node in query] == [(None, None)]
    await assess(pool, **{a: ("1", "", "")})
    run = await pool.computed("YEAR", 1)
    nodes = (await (await pool.clerk()).gql(CHANGES, {"id": run}))["clearingRun"]["statements"]["nodes"]
    assert [(node["changes"], node["changesRefused"]["code"]) for node in nodes] == [(None, "SETTLED_UNREADABLE")]
    assert "elastic" in nodes[0]["changesRefused"]["en"]
    step = next(step for step in nodes[0]["steps"] if step["rule"] == "clearing.changes_refused")
    assert step["values"] == [{"name": "code", "value": "SETTLED_UNREADABLE"}]


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
