"""One case explains itself: group, points, every step with its document, and the same numbers as a run would freeze."""

from __future__ import annotations

from typing import Any

import pytest_asyncio

from builders.submission_place import Place, open_place
from builders.world import World
from fenzhi.access.roles import Role
from fenzhi.access.scope import DatabaseRole, Scope
from fenzhi.store.repositories import catalog, registry

EXPLAIN = """
query($id: ID!) { caseExplain(id: $id) {
  disposition reason editionCode groupCode score level coefficient band costRatio outlierFactor referenceSource points
  isProvisional steps { rule zh en document values { name value } } rejected { groupCode cause zh en } } }
"""


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def place(world: World) -> Place:
    place = await open_place(world, "52")
    database = world.platform.database
    async with database.unit_of_work(Scope(role=DatabaseRole.OPERATOR, tenant="operator")) as uow:
        area = await registry.area_by_code(uow, place.city)
        assert area is not None
    scope = Scope(role=DatabaseRole.WORKER, tenant=place.city, province_id=area.province_id, area_id=area.area_id)
    async with database.unit_of_work(scope) as uow:
        await catalog.add_reference_costs(
            uow,
            [
                (place.edition_id, 2024, "I63.9:88.4101", "tertiary", 10, 13_000_000, 60),
                (place.edition_id, 2024, "I63.9:88.4101", "", 20, 20_000_000, 120),
                (place.edition_id, 2024, "I63.9:", "", 20, 54_136_000, 120),
            ],
        )
    return place


async def explained(
    place: Place, setl_id: str, tenant: str = "", role: Role = Role.HOSPITAL_SUBMITTER, **changes: Any
) -> Any:
    await place.submit([place.listed(setl_id, **changes)])
    (case,) = await place.cases(await place.submitter(), setlId=setl_id)
    client = await place.client(tenant or place.hospital, role)
    return (await client.gql(EXPLAIN, {"id": case["id"]}))["caseExplain"]


async def test_a_dear_case_is_scored_beyond_the_line(place: Place) -> None:
    found = await explained(place, "X1")
    # 27,068.00 over 13,000.00 is 6767/3250; beyond the line of 2: 267/3250 + 1; times 1.05; times 1,200.5.
    expected = {
        "disposition": "cleared",
        "reason": "core_matched",
        "editionCode": "T2025",
        "groupCode": "I63.9:88.4101",
        "score": "1200.5",
        "level": "tertiary",
        "coefficient": "1.0500",
        "band": "high",
        "costRatio": "6767/3250",
        "outlierFactor": "73857/65000",
        "referenceSource": "same_level",
        "points": "1364.0820",
        "isProvisional": False,
    }
    assert {name: found[name] for name in expected} == expected
    rules = [step["rule"] for step in found["steps"]]
    assert rules == [
        "catalog.edition_in_force",
        "registry.coefficient_in_force",
        "grouping.diagnosis_keys",
        "grouping.tie_break",
        "grouping.core_matched",
        "scoring.base_score",
        "scoring.cost_outlier",
        "scoring.points",
    ]
    assert all(step["document"] and step["zh"] and step["en"] for step in found["steps"])
    assert [(one["groupCode"], one["cause"]) for one in found["rejected"]] == [("I63.9:", "has_procedures")]


async def test_reference_of_all_levels_where_the_level_had_none(place: Place) -> None:
    found = await explained(place, "X2", oprninfo=[])
    # 950 × 1.05, the cost being exactly its reference of all levels.
    assert (found["groupCode"], found["band"], found["referenceSource"]) == ("I63.9:", "normal", "all_levels")
    assert (found["costRatio"], found["points"]) == ("1", "997.5000")


async def test_an_ungrouped_case_says_why(place: Place) -> None:
    found = await explained(place, "X3", oprninfo=[{"oprn_oprt_code": "99.1000", "main_oprn_flag": "1"}])
    assert found["disposition"] == "pending:ungrouped:no_group_for_procedures"
    assert (found["groupCode"], found["points"], found["band"]) == (None, None, None)
    assert [one["groupCode"] for one in found["rejected"]] == ["I63.9:88.4101", "I63.9:"]


async def test_every_level_that_sees_the_case_reads_the_same(place: Place) -> None:
    own = await explained(place, "X4")
    (case,) = await place.cases(await place.submitter(), setlId="X4")
    for tenant, role in (
        (place.city, Role.CITY_SETTLEMENT_APPROVER),
        (place.province, Role.PROVINCE_ANALYST),
        (place.hospital, Role.HOSPITAL_VIEWER),
    ):
        client = await place.client(tenant, role)
        assert (await client.gql(EXPLAIN, {"id": case["id"]}))["caseExplain"] == own, role
    for tenant, role in (
        (place.other_city, Role.CITY_SETTLEMENT_CLERK),
        (place.county_hospital, Role.HOSPITAL_VIEWER),
        ("370000", Role.PROVINCE_ANALYST),
    ):
        client = await place.client(tenant, role)
        assert (await client.gql(EXPLAIN, {"id": case["id"]}))["caseExplain"] is None, tenant
