"""History: every discharge is kept, used or set aside with a reason, and counted once."""

from __future__ import annotations

import json
from typing import Any

import pytest_asyncio
from sqlalchemy import text

from builders.submission_place import Place, ndjson, open_place
from builders.world import World
from fenzhi.access.roles import Role
from fenzhi.access.scope import DatabaseRole, Scope
from fenzhi.store.repositories import registry


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def place(world: World) -> Place:
    return await open_place(world, "54")


def discharge(place: Place, case_id: str, **changes: Any) -> dict[str, Any]:
    return {
        "case_id": case_id,
        "seg_no": 1,
        "fixmedins_code": place.hospital,
        "insutype": "310",
        "year": 2024,
        "dscg_time": "2024-03-05",
        "los_days": 6,
        "diag_codes": ["I63.900", "I10.x00x002"],
        "oprn_codes": ["88.4101"],
        "medfee_sumamt": "10000.01",
        "fund_amt": "7000.00",
        "raw_diag_codes": ["43491"],
    } | changes


async def import_history(place: Place, lines: list[Any]) -> dict[str, Any]:
    clerk = await place.client(place.city, Role.CITY_SETTLEMENT_CLERK)
    batch = await place.create(clerk, purpose="HISTORY")
    assert batch["hospitalCode"] is None
    assert (await clerk.http.put(batch["uploadPath"] + "1", content=ndjson(lines))).status_code == 201
    assert (await place.seal(clerk, batch["id"]))["userErrors"] == []
    await place.world.work_off()
    return await place.look(clerk, batch["id"])


async def stored(place: Place) -> list[Any]:
    database = place.world.platform.database
    async with database.unit_of_work(Scope(role=DatabaseRole.OPERATOR, tenant="operator")) as uow:
        area = await registry.area_by_code(uow, place.city)
    assert area is not None
    scope = Scope(role=DatabaseRole.WORKER, tenant="t", province_id=area.province_id, area_id=area.area_id)
    async with database.unit_of_work(scope) as uow:
        return list(await uow.rows(text("select * from history_discharge order by batch_id, row_no")))


async def test_every_row_is_used_or_set_aside_by_reason(place: Place) -> None:
    batch = await import_history(
        place,
        [
            discharge(place, "H1"),
            discharge(place, "H2", seg_no=2),
            discharge(place, "H3", fixmedins_code="H99999999999"),
            discharge(place, "H4", insutype="999"),
            discharge(place, "H5", diag_codes=["43491", "I63.900"]),
            discharge(place, "H6", diag_codes=[]),
            discharge(place, "H7", medfee_sumamt="0.00", fund_amt="0.00"),
            discharge(place, "H8", fund_amt="10000.02"),
            discharge(place, "H9", medfee_sumamt=10000.5),
            discharge(place, "H1"),
            b"not json",
            b"",
            discharge(place, "H10", dscg_time="2022-05-01", year=2022),
        ],
    )
    assert (batch["state"], batch["counts"]["rows"], batch["counts"]["accepted"]) == ("JUDGED", 12, 2)
    assert {one["code"]: one["rows"] for one in batch["counts"]["setAside"]} == {
        "continuation": 1,
        "duplicate": 1,
        "fund_out_of_range": 1,
        "principal_diagnosis_missing": 1,
        "principal_diagnosis_unknown": 1,
        "total_not_positive": 1,
        "unknown_hospital": 1,
        "unknown_insurance": 1,
        "unreadable": 2,
    }
    named = {(one["row"], one["code"]) for one in batch["verdicts"]["nodes"]}
    assert (9, "HISTORY_UNREADABLE") in named
    assert (10, "HISTORY_DUPLICATE") in named
    assert len(named) == 10
    rows = {row.row_no: row for row in await stored(place)}
    assert len(rows) == 12
    first = rows[1]
    assert (first.total_fen, first.fund_fen, first.level, first.insurance) == (
        1_000_001,
        700_000,
        "tertiary",
        "employee",
    )
    assert (first.year, first.diagnoses, first.procedures) == (2024, ["I63.900", "I10.x00x002"], ["88.4101"])
    assert (rows[13].year, rows[13].level, rows[13].set_aside) == (2022, "tertiary", "")
    assert (rows[5].diagnoses[0], rows[5].set_aside) == ("43491", "principal_diagnosis_unknown")


async def test_the_same_history_again_counts_nothing(place: Place) -> None:
    batch = await import_history(place, [discharge(place, "H1"), discharge(place, "H20")])
    assert batch["counts"]["accepted"] == 1
    assert batch["counts"]["setAside"] == [{"code": "duplicate", "rows": 1}]


async def test_history_is_the_areas_and_no_other_sees_it(place: Place) -> None:
    clerk = await place.client(place.city, Role.CITY_SETTLEMENT_CLERK)
    batch = await place.create(clerk, purpose="HISTORY")
    look = "query($id: ID!) { batch(id: $id) { state } }"
    for tenant, role in (
        (place.hospital, Role.HOSPITAL_SUBMITTER),
        (place.other_city, Role.CITY_SETTLEMENT_CLERK),
        ("540122", Role.COUNTY_AUDITOR),
    ):
        stranger = await place.client(tenant, role)
        assert await stranger.gql(look, {"id": batch["id"]}) == {"batch": None}, tenant
    hospital = await place.submitter()
    response = await hospital.http.put(batch["uploadPath"] + "1", content=json.dumps({}))
    assert response.status_code == 404
