"""A pool of the province's own level (省本级): opened, budgeted, cleared and paid like any other, walled like any other, one in a province."""

from __future__ import annotations

from typing import Any

from builders.between_areas_place import cleared_between
from builders.clearing_place import Pool, line, open_other, open_pool
from builders.world import World, new_key
from fenzhi.access.roles import Role

OPEN = "mutation($i: TenantOpenInput!) { tenantOpen(input: $i) { tenant userErrors { code } } }"
AREAS = "{ poolingAreas { code kind } }"
RUNS = "{ clearingRuns(first: 50) { nodes { id } } }"
RUN = "query($id: ID!) { clearingRun(id: $id) { id statements(first: 5) { nodes { hospitalCode grossFen } } } }"
ELSEWHERE = {"poolScope": "OUT_OF_AREA"}


async def seen(pool: Pool, tenant: str, role: Role, run: str) -> tuple[bool, list[str]]:
    """Whether somebody finds a run by its id, and the hospitals whose statements stand in it."""
    client = await pool.world.client(tenant, role)
    found = (await client.gql(RUN, {"id": run}))["clearingRun"]
    return found is not None, [node["hospitalCode"] for node in found["statements"]["nodes"]] if found else []


async def test_the_province_s_own_pool(world: World) -> None:
    city = await open_pool(world, "PF", other_kind="province_level", deposit__rate="0")
    own = await open_other(city, deposit__rate="0")
    clerk = await world.client(city.place.province, Role.PROVINCE_SETTLEMENT_CLERK)
    kinds = {area["code"]: area["kind"] for area in (await clerk.gql(AREAS))["poolingAreas"]}
    assert kinds == {city.place.city: "city", own.place.city: "province"}
    # One to a province, and only an area can be of that level.
    operator = await world.client("operator", Role.OPERATOR_ADMIN)
    order: dict[str, Any] = {"kind": "CITY", "areaKind": "PROVINCE", "code": "PF9999", "name": "另一省本级"}
    asked = (
        (order | {"parent": city.place.province}, ["PROVINCE_LEVEL_EXISTS"]),
        (order | {"parent": city.place.city, "kind": "COUNTY"}, ["AREA_KIND_SHAPE"]),
    )
    for wanted, refused in asked:
        answer = await operator.gql(OPEN, {"i": wanted | {"idempotencyKey": new_key()}})
        assert [error["code"] for error in answer["tenantOpen"]["userErrors"]] == refused
    # Its budget, its contracted hospital, its price, its months and quarters.
    for pool in (city, own):
        await pool.price(10, last_year=(7, 10))
        await pool.budget(8_000_000)
        await pool.put(pool.place.hospital, 1)
    month = await own.published("MONTH", 1)
    # 997.5 points at 10.00 × 0.7 × 0.9.
    assert line(month, own.place.hospital, "payableFen") == {"payableFen": 628_425}
    assert (await own.pay(month["id"], own.place.hospital, 628_425))["userErrors"] == []
    run = await own.published("QUARTER", 1)
    assert line(run, own.place.hospital, "grossFen", "transferFen") == {
        "grossFen": 2_000_000,
        "transferFen": 2_000_000 - 628_425,
    }
    assert run["summary"]["unexplainedFen"] == "0"
    # Its hospital and the province see it; the city, its hospitals and its county know nothing of it, and the other way round.
    assert await seen(own, own.place.hospital, Role.HOSPITAL_VIEWER, run["id"]) == (True, [own.place.hospital])
    theirs = await city.published("QUARTER", 1)
    county = f"{city.place.city[:4]}22"
    for tenant, role, foreign in (
        (city.place.city, Role.CITY_SETTLEMENT_CLERK, run["id"]),
        (city.place.hospital, Role.HOSPITAL_VIEWER, run["id"]),
        (county, Role.COUNTY_SETTLEMENT_CLERK, run["id"]),
        (own.place.city, Role.CITY_SETTLEMENT_CLERK, theirs["id"]),
        (own.place.hospital, Role.HOSPITAL_VIEWER, theirs["id"]),
    ):
        assert await seen(own, tenant, role, foreign) == (False, [])
        listed = (await (await world.client(tenant, role)).gql(RUNS))["clearingRuns"]["nodes"]
        assert foreign not in [node["id"] for node in listed]
    # Treated in the city without a contract of the province's own: the case is paid there and borne by the province's own pool.
    await own.budget(1_500_000, **ELSEWHERE)
    await city.put(city.place.hospital, 2, insured_area=own.place.city, pool_scope="out_of_area")
    await city.published("QUARTER", 1, **ELSEWHERE)
    found = await cleared_between(city, 1)
    assert [(s["areaCode"], s["netFen"]) for s in found["sides"]] == [
        (city.place.city, "2000000"),
        (own.place.city, "-2000000"),
    ]
    assert found["unexplainedFen"] == "0"
