"""Clinical codes mapped by an imported crosswalk: nonsense refused at the door, mappings told, the original kept, grouping by the target."""

from __future__ import annotations

from typing import Any

import pytest_asyncio

from builders.submission_place import Place, enter_policy, open_place
from builders.world import World, new_key
from fenzhi.access.roles import Role

HEAD = "kind,source_code,target_code,reviewed\n"


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def place(world: World) -> Place:
    return await open_place(world, "95")


async def put(place: Place, version: str, rows: str, role: Role = Role.PROVINCE_CATALOG_EDITOR) -> Any:
    client = await place.client(place.province, role)
    return await client.http.put(
        f"/v1/code-tables/crosswalk/{version}?document=%E6%9E%84%E9%80%A0&constructed=1",
        content=(HEAD + rows).encode(),
        headers={"idempotency-key": new_key(), "content-type": "text/csv"},
    )


async def named(place: Place, version: str) -> None:
    await enter_policy(place.world, place.province, {"submission.crosswalk": version})


async def test_a_crosswalk_is_held_against_the_edition_in_force(place: Place) -> None:
    nonsense = await put(
        place, "W0", "diagnosis,I63.9,J18.900,\ndiagnosis,I63.901,Z51.800,\nprocedure,88.41,36.0600,\n"
    )
    assert nonsense.status_code == 422
    assert [(r["code"], r["path"]) for r in nonsense.json()["error"]["refusals"]] == [
        ("crosswalk_chapter", "row 2"),
        ("crosswalk_target", "row 3"),
        ("crosswalk_chapter", "row 4"),
    ]
    assert (await put(place, "W1", "diagnosis,I63.9,I63.900,\nprocedure,88.41,88.4101,\n")).json()["entries"] == 2
    again = await put(place, "W1", "diagnosis,I63.9,I63.900,\n")
    assert again.json()["error"]["code"] == "CODE_TABLE_EXISTS"
    analyst = await put(place, "W2", "diagnosis,I63.9,I63.900,\n", Role.PROVINCE_ANALYST)
    assert analyst.status_code == 403


async def test_clinical_codes_are_mapped_and_told(place: Place) -> None:
    changes: dict[str, Any] = {
        "diseinfo": [{"diag_code": "I63.9", "maindiag_flag": "1", "adm_cond_type": "1"}],
        "oprninfo": [{"oprn_oprt_code": "88.41", "main_oprn_flag": "1", "oprn_oprt_begntime": "2025-01-04"}],
    }
    before = await place.submit([place.listed("X1", **changes)])
    assert before["counts"]["refused"] == 1
    await named(place, "W1")
    after = await place.submit([place.listed("X2", **changes), place.listed("X3")])
    told = [(one["row"], one["code"], one["path"], one["saw"]) for one in after["verdicts"]["nodes"]]
    assert [one for one in told if one[1] == "CODE_MAPPED"] == [
        (1, "CODE_MAPPED", "diseinfo[0].diag_code", "I63.9"),
        (1, "CODE_MAPPED", "oprninfo[0].oprn_oprt_code", "88.41"),
    ]
    cases = {one["setlId"]: one for one in await place.cases(await place.submitter())}
    assert cases["X2"]["diagnoses"] == ["I63.900"] and cases["X2"]["procedures"] == ["88.4101"]
    assert cases["X3"]["diagnoses"] == ["I63.900"]


async def test_a_crosswalk_that_policy_names_must_be_there(place: Place) -> None:
    await named(place, "W9")
    batch = await place.create(await place.submitter())
    client = await place.submitter()
    assert (await client.http.put(batch["uploadPath"] + "1", content=b"{}\n")).status_code == 201
    await place.seal(client, batch["id"])
    try:
        await place.world.work_off()
    except Exception as exc:
        assert getattr(exc, "code", "") == "CROSSWALK_MISSING"
    assert (await place.look(client, batch["id"]))["job"]["errorCode"] == "CROSSWALK_MISSING"
    await named(place, "W1")
