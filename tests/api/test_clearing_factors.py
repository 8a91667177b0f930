"""What policy names as a factor acts in a run as in an explanation: age, model groups, the payment standard, blank groups."""

from __future__ import annotations

from typing import Any

from builders.clearing_place import Pool, open_pool
from builders.world import World
from fenzhi.store.repositories import catalog
from fenzhi_graphql.paging import global_id

ELDERLY: dict[str, Any] = {
    "scoring__age_factors": [
        {"name": "65 岁以上", "kind": "elderly", "age_days": "23741-", "value": "1.2"},
        {"name": "6 岁以下", "kind": "child", "age_days": "-2555", "value": "0.15"},
    ],
    "scoring__elderly_range": ["1.1", "1.3"],
    "scoring__child_bonus_range": ["0.1", "0.3"],
}


async def cleared(pool: Pool, kind: str = "QUARTER") -> list[tuple[str, str, str]]:
    run = await pool.published(kind, 1)
    return [
        (case["disposition"], case["groupCode"] or "", case["points"])
        for node in run["statements"]["nodes"]
        for case in node["cases"]["nodes"]
    ]


async def explained(pool: Pool, case_id: Any) -> dict[str, Any]:
    clerk = await pool.clerk()
    found = await clerk.gql(
        "query($c: ID!) { caseExplain(id: $c) { points disposition chosen candidates { name points } "
        "steps { rule document } } }",
        {"c": global_id("InpatientCase", case_id)},
    )
    return dict(found["caseExplain"])


async def test_the_age_factor_acts_alike_in_run_and_explanation(world: World) -> None:
    pool = await open_pool(world, "77", **ELDERLY)
    await pool.budget(1_000_000)
    case = await pool.put(pool.place.hospital, 1)
    ((disposition, group, points),) = await cleared(pool)
    told = await explained(pool, case)
    plain, adjusted = (next(c["points"] for c in told["candidates"] if c["name"] == n) for n in ("normal", "adjusted"))
    assert (disposition, group, told["chosen"]) == ("cleared", "I63.9:", "adjusted")
    assert points == told["points"] == adjusted
    assert int(adjusted.replace(".", "")) * 10 == int(plain.replace(".", "")) * 12
    assert "scoring.age" in [step["rule"] for step in told["steps"]]


async def test_a_case_without_a_group_is_scored_as_a_blank_group_where_policy_says_so(world: World) -> None:
    pool = await open_pool(world, "78", scoring__ungrouped_method="blank_group", scoring__ungrouped_discount="0.7")
    async with world.platform.database.unit_of_work(pool.scope) as uow:
        await catalog.add_reference_costs(uow, [(pool.place.edition_id, 2024, "I63.9:", "", 4, 4_000_000, 28)])
    await pool.budget(1_000_000)
    case = await pool.put(pool.place.hospital, 1, "I10.x00x002", total_fen=800_000)
    # 1000 × 8,000 ÷ 10,000 × 0.7, as worked example WE-23.
    assert await cleared(pool) == [("cleared", "", "560.0000")]
    told = await explained(pool, case)
    assert (told["points"], told["chosen"]) == ("560.0000", "blank_group")
