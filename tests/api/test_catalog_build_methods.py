"""A build by the other choices of policy: trimming, related procedures, the base disease; and what moved against the edition before."""

from __future__ import annotations

from typing import Any

import pytest
import pytest_asyncio

from builders.catalog_province import CatalogProvince, discharges, open_catalog_province
from builders.world import World
from fenzhi.rules.refusals import Conflict

JOB = "job { id kind state }"
FIELDS = """buildReport { usedCases setAside { reason cases } scoreMethod baseGroup relatedSetsMerged missingYears }
  adequacy { movedGroups moved(first: 9) { groupCode why before after } }
  groups(first: 10) { nodes { groupCode score cases } }"""


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def province(world: World) -> CatalogProvince:
    province = await open_catalog_province(world, "360000")
    await province.enter_policy(
        {"catalog.trim_low": "0.025", "catalog.trim_high": "0.975", "catalog.score_method": "base_disease"}
    )
    await province.remember(
        0,
        [
            *discharges(1, 2024, "tertiary", "A01.000", [], 1),
            *discharges(38, 2024, "tertiary", "A01.000", [], 200_000),
            *discharges(1, 2024, "tertiary", "A01.000", [], 90_000_000),
            *discharges(20, 2024, "tertiary", "A01.100", ["47.0100"], 400_000),
            *discharges(20, 2024, "tertiary", "A01.100", ["47.0100", "39.9500"], 439_999),
        ],
    )
    return province


async def built(province: CatalogProvince, edition: str, years: list[int], **more: object) -> Any:
    editor = await province.editor()
    started = await province.act(editor, "catalogEditionBuild", {"edition": edition, "years": years, **more}, JOB)
    assert started["userErrors"] == [], started
    await province.world.work_off()
    query = f"query($id: ID!) {{ catalogEdition(id: $id) {{ {FIELDS} }} }}"
    return (await editor.gql(query, {"id": edition}))["catalogEdition"]


async def test_trimming_uplift_and_the_base_disease(province: CatalogProvince) -> None:
    edition = await province.draft("methods", "2025-01-01")
    editor = await province.editor()
    order = {"edition": edition, "years": [2023, 2024]}
    refused = await province.act(editor, "catalogEditionBuild", order, JOB)
    assert refused["userErrors"] == [{"code": "BASE_GROUP_MISSING", "path": ["baseGroup"]}]
    wrong = await province.draft("wrong-base", "2026-01-01")
    with pytest.raises(Conflict, match="was not formed"):
        await built(province, wrong, [2023, 2024], baseGroup="Z99.9")
    found = await built(province, edition, [2023, 2024], baseGroup="A01.0")
    assert found["buildReport"] == {
        "usedCases": 78,
        "setAside": [{"reason": "cost_trimmed_low", "cases": 1}, {"reason": "cost_trimmed_high", "cases": 1}],
        "scoreMethod": "base_disease",
        "baseGroup": "A01.0",
        "relatedSetsMerged": 1,
        "missingYears": [2023],
    }
    assert found["groups"]["nodes"] == [
        {"groupCode": "A01.0", "score": "1000.00", "cases": 40},
        {"groupCode": "A01.1:47.0100", "score": "2100.00", "cases": 40},
    ]
    assert found["adequacy"]["movedGroups"] is None
    assert (await province.publish(edition))["userErrors"] == []


async def test_the_next_edition_says_what_moved(province: CatalogProvince) -> None:
    await province.remember(1, [*discharges(40, 2025, "tertiary", "A01.000", [], 400_000)])
    edition = await province.draft("next", "2026-01-01", title="次年目录")
    found = await built(province, edition, [2024, 2025], baseGroup="A01.0")
    moved = {one["groupCode"]: one["why"] for one in found["adequacy"]["moved"]}
    assert found["adequacy"]["movedGroups"] == 2
    assert moved == {"A01.0": "own_cost", "A01.1:47.0100": "overall_cost"}
