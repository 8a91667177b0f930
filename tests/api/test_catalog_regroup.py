"""A year regrouped under another edition: beside what runs said, replayable, seen by its city and province alone; tasks of a rule change."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
import pytest_asyncio
from sqlalchemy import select

from builders.catalog_province import HEADER, CatalogProvince
from builders.clearing_place import Pool, enter_area_policy, open_pool
from builders.world import Client, World, new_key
from fenzhi.access.roles import Role
from fenzhi.services.catalog.regroup_tasks import state_of
from fenzhi.store.tables.clearing import run_case
from fenzhi_graphql.paging import global_id

GROUPS = f"{HEADER}\n1,I63.9,I63.9,脑梗死,4,,,,,core,2,1000.0,0\n2,J18.9,J18.9,肺炎,4,,,,,core,2,500.0,0\n"
NAMES = (
    "hospitalCode", "cases", "settledBefore", "changed", "groupedBefore", "groupedAfter", "pointsBefore", "pointsAfter",
    "pointsAfterOfSettled",
)  # fmt: skip
REGROUPING = f"""query($id: ID!) {{ regrouping(id: $id) {{
  areaCode editionCode year policyOn cases grouped settledBefore changed manifestSha256 resultSha256
  hospitals {{ insurance poolScope {" ".join(NAMES)} }}
  moves(first: 10) {{ beforeCode afterCode cases pointsBefore pointsAfter }} replays {{ sameInputs sameResults }} }} }}"""
TASKS = """{ regroupTasks(first: 20) { nodes {
  areaCode cause editionCode ruleFrom year openedOn dueOn doneOn regrouping state } } }"""


@dataclass
class Regrouped:
    """A settled month, then an edition published after it."""

    pool: Pool
    province: CatalogProvince
    edition: str

    async def order(self, client: Client, **changes: Any) -> dict[str, Any]:
        given = {"edition": self.edition, "year": 2025} | changes
        return await self.province.act(client, "casesRegroup", given, "job { id state }")

    async def tasks(self, client: Client) -> list[dict[str, Any]]:
        return (await client.gql(TASKS))["regroupTasks"]["nodes"]  # type: ignore[no-any-return]

    async def results(self) -> list[tuple[Any, ...]]:
        """What runs said, every column that could change."""
        async with self.pool.world.platform.database.unit_of_work(self.pool.scope) as uow:
            rows = await uow.rows(select(run_case).where(run_case.c.area_id == self.pool.scope.area))
            return sorted((str(r.run_id), str(r.case_id), r.disposition, r.group_code, r.points) for r in rows)


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def place(world: World) -> Regrouped:
    pool = await open_pool(world, "45")
    await pool.price(10, last_year=(7, 10))
    big, small = pool.place.hospital, pool.place.county_hospital
    for hospital, diagnosis, procedures in (
        (big, "I63.900", ("88.4101",)),
        (big, "I63.900", ()),
        (big, "I10.x00x002", ()),
        (small, "J18.900", ()),
    ):
        await pool.put(hospital, 1, diagnosis, procedures)
    await pool.published("MONTH", 1)
    await pool.put(small, 2, "J18.900")
    province = CatalogProvince(world, pool.place.province)
    edition = await province.draft("T2026", "2026-01-01", diagnosisTable="T1", procedureTable="T1", scoreDecimals=1)
    answer = await province.put(f"/v1/catalog-editions/{edition}/groups", GROUPS.encode())
    assert answer.status_code == 200, answer.text
    assert (await province.publish(edition))["userErrors"] == []
    return Regrouped(pool, province, edition)


async def test_an_edition_after_another_leaves_each_city_thirty_days(place: Regrouped) -> None:
    clerk, editor = await place.pool.clerk(), await place.province.editor()
    mine = await place.tasks(clerk)
    assert [(one["areaCode"], one["cause"], one["editionCode"], one["state"]) for one in mine] == [
        (place.pool.place.city, "EDITION", "T2026", "OPEN")
    ]
    opened, due = (date.fromisoformat(mine[0][name]) for name in ("openedOn", "dueOn"))
    assert (due - opened, mine[0]["ruleFrom"], mine[0]["year"]) == (timedelta(days=30), "2026-01-01", 2025)
    cities = {place.pool.place.city, place.pool.place.other_city}
    assert {one["areaCode"] for one in await place.tasks(editor)} == cities
    for tenant, role in (
        (place.pool.place.hospital, Role.HOSPITAL_VIEWER),
        ("370000", Role.PROVINCE_CATALOG_EDITOR),
    ):
        stranger = await place.tasks(await place.pool.world.client(tenant, role))
        assert [one for one in stranger if one["areaCode"] in cities] == []


async def test_a_year_regrouped_stands_beside_what_was_settled(place: Regrouped) -> None:
    clerk = await place.pool.clerk()
    settled = await place.results()
    started = await place.order(clerk)
    assert started["userErrors"] == []
    await place.pool.world.work_off()
    assert await place.results() == settled
    (task,) = await place.tasks(clerk)
    assert (task["state"], task["doneOn"]) == ("DONE", task["openedOn"])
    found = (await clerk.gql(REGROUPING, {"id": task["regrouping"]}))["regrouping"]
    head = ("areaCode", "editionCode", "year", "policyOn", "cases", "grouped", "settledBefore", "changed")
    assert [found[name] for name in head] == [place.pool.place.city, "T2026", 2025, "2026-01-01", 5, 3, 4, 3]
    assert {(one["insurance"], one["poolScope"]) for one in found["hospitals"]} == {("EMPLOYEE", "LOCAL")}
    assert [tuple(one[name] for name in NAMES) for one in found["hospitals"]] == [
        (place.pool.place.hospital, 3, 3, 2, 2, 1, "2258.0250", "1050.0000", "1050.0000"),
        (place.pool.place.county_hospital, 2, 1, 1, 1, 2, "420.0000", "1050.0000", "525.0000"),
    ]
    names = ("beforeCode", "afterCode", "cases", "pointsBefore", "pointsAfter")
    assert [tuple(one[name] for name in names) for one in found["moves"]] == [
        ("I63.9:", "I63.9", 1, "997.5000", "1050.0000"),
        ("I63.9:88.4101", "", 1, "1260.5250", "0.0000"),
        ("J18:conservative", "J18.9", 1, "420.0000", "525.0000"),
    ]
    listed = (await clerk.gql("{ regroupings(first: 5) { nodes { id } } }"))["regroupings"]["nodes"]
    assert listed == [{"id": task["regrouping"]}]


async def test_a_replay_takes_what_was_known_then_and_says_what_differs(place: Regrouped) -> None:
    clerk = await place.pool.clerk()
    (task,) = await place.tasks(clerk)
    hospital = place.pool.place.hospital

    async def replay() -> list[dict[str, bool]]:
        done = await place.province.act(clerk, "regroupingReplay", {"regrouping": task["regrouping"]}, "job { id }")
        assert done["userErrors"] == []
        await place.pool.world.work_off()
        found = (await clerk.gql(REGROUPING, {"id": task["regrouping"]}))["regrouping"]
        assert (found["cases"], len(found["hospitals"])) == (5, 2)
        return found["replays"]  # type: ignore[no-any-return]

    await place.pool.put(hospital, 3, submitted=datetime.now(UTC))
    same, other = ({"sameInputs": whether, "sameResults": whether} for whether in (True, False))
    assert await replay() == [same]
    await place.pool.put(hospital, 3)
    assert await replay() == [other, same]
    listed = (await clerk.gql("{ regroupings(first: 5) { nodes { id } } }"))["regroupings"]["nodes"]
    assert listed == [{"id": task["regrouping"]}]


async def test_nobody_else_sees_or_orders_it(place: Regrouped) -> None:
    (task,) = await place.tasks(await place.pool.clerk())
    world, there = place.pool.world, place.pool.place
    for tenant, role in (
        (there.other_city, Role.CITY_SETTLEMENT_CLERK),
        (there.hospital, Role.HOSPITAL_VIEWER),
        ("370000", Role.PROVINCE_CATALOG_EDITOR),
    ):
        stranger = await world.client(tenant, role)
        assert (await stranger.gql(REGROUPING, {"id": task["regrouping"]}))["regrouping"] is None
        assert (await stranger.gql("{ regroupings(first: 5) { nodes { id } } }"))["regroupings"]["nodes"] == []
        node = "query($id: ID!) { node(id: $id) { id } }"
        assert (await stranger.gql(node, {"id": task["regrouping"]}))["node"] is None
    province = await place.province.editor()
    assert (await province.gql(REGROUPING, {"id": task["regrouping"]}))["regrouping"]["cases"] == 5
    other = await world.client(there.other_city, Role.CITY_SETTLEMENT_CLERK)
    refused = await place.province.act(other, "regroupingReplay", {"regrouping": task["regrouping"]}, "job { id }")
    assert [one["code"] for one in refused["userErrors"]] == ["REGROUPING_NOT_FOUND"]
    for client in (province, await world.client(there.hospital, Role.HOSPITAL_SUBMITTER)):
        text = "mutation($i: CasesRegroupInput!) { casesRegroup(input: $i) { job { id } } }"
        given = {"idempotencyKey": new_key(), "edition": place.edition, "year": 2025}
        answer = await client.raw(text, {"i": given})
        assert answer["errors"][0]["extensions"]["code"] == "FORBIDDEN"


async def test_what_cannot_be_regrouped_is_refused(place: Regrouped) -> None:
    clerk = await place.pool.clerk()
    wrong = await place.order(clerk, year=1999)
    assert wrong["userErrors"] == [{"code": "REGROUP_YEAR", "path": ["year"]}]
    draft = await place.province.draft("T2031", "2031-01-01", diagnosisTable="T1", procedureTable="T1")
    unseen = await place.order(clerk, edition=draft)
    assert [one["code"] for one in unseen["userErrors"]] == ["EDITION_NOT_FOUND"]
    nothing = await place.province.act(
        clerk, "regroupingReplay", {"regrouping": global_id("Regrouping", "0" * 32)}, "job { id }"
    )
    assert [one["code"] for one in nothing["userErrors"]] == ["REGROUPING_NOT_FOUND"]


async def test_a_changed_choice_of_grouping_opens_a_task_and_the_first_does_not(place: Regrouped) -> None:
    """The place's own first choices opened none: the edition's task was alone."""
    clerk = await place.pool.clerk()
    before = await place.tasks(clerk)
    await enter_area_policy(place.pool.world, place.pool.place.city, {"clearing.printed_decimals": "5"})
    assert await place.tasks(clerk) == before
    order = ["most_matched", "most_parts", "group_code"]
    await enter_area_policy(place.pool.world, place.pool.place.city, {"grouping.tie_break": order})
    after = await place.tasks(clerk)
    assert after[1:] == before
    assert (after[0]["cause"], after[0]["editionCode"], after[0]["state"]) == ("POLICY", None, "OPEN")
    other = await place.pool.world.client(place.pool.place.other_city, Role.CITY_SETTLEMENT_CLERK)
    assert [one["cause"] for one in await place.tasks(other)] == ["EDITION"]
    await place.province.enter_policy({"catalog.regroup_days": "14"})
    await enter_area_policy(place.pool.world, place.pool.place.city, {"grouping.tie_break": order[1:]})
    latest = (await place.tasks(clerk))[0]
    opened, due = (date.fromisoformat(latest[name]) for name in ("openedOn", "dueOn"))
    assert due - opened == timedelta(days=14)


@pytest.mark.parametrize(
    ("done", "today", "state"),
    [
        (None, date(2026, 1, 31), "open"),
        (None, date(2026, 2, 1), "overdue"),
        (date(2026, 1, 31), date(2026, 3, 1), "done"),
        (date(2026, 2, 1), date(2026, 3, 1), "done_late"),
    ],
)
def test_a_task_is_in_time_on_its_last_day(done: date | None, today: date, state: str) -> None:
    assert state_of(date(2026, 1, 31), done, today) == state
