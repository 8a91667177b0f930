"""Judging at a desk: the same rows and findings as in the worker itself, and a desk that dies costs an attempt, nothing else."""

from __future__ import annotations

import datetime as dt
import uuid
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio
from sqlalchemy import text

from builders.submission_place import Place, ndjson, open_place
from builders.world import World
from fenzhi.access.scope import DatabaseRole, Scope
from fenzhi.services.jobs.execution import JobInHand, jobs_waiting, take
from fenzhi.services.submission import judging_desks
from fenzhi.services.submission.check_book import submitter
from fenzhi.services.submission.judge import judge_batch
from fenzhi.services.submission.judged_rows import KnownLists, ListJudge, Tally
from fenzhi.services.submission.judging_desk import octets_of
from fenzhi.services.submission.judging_desks import OF_THIS_PROCESS, DeskLost
from fenzhi.services.submission.parse_part import parse_part
from fenzhi.services.submission.parts import PartUnreadable
from fenzhi.store.repositories import registry
from fenzhi.store.repositories import submission as store
from fenzhi.store.tables import submission as tables


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def place(world: World) -> Place:
    return await open_place(world, "YA")


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def desks(world: World) -> AsyncIterator[None]:
    OF_THIS_PROCESS.open(1, 0, world.platform.keyring)
    await OF_THIS_PROCESS.ready()
    yield
    await OF_THIS_PROCESS.close()


def lines(place: Place, mark: str) -> list[Any]:
    return [
        place.listed(f"{mark}1"),
        place.listed(f"{mark}2", insutype="999", psn_cashpay="1.00"),
        b'{"setl_id": ',
        place.listed(f"{mark}1"),
        place.listed(f"{mark}3", dscg_time="2031-01-01"),
    ]


async def judged_there(place: Place, monkeypatch: pytest.MonkeyPatch, mark: str) -> dict[str, Any]:
    with monkeypatch.context() as patched:
        patched.setattr(judging_desks, "LARGE_BYTES", 1)
        return await place.submit(lines(place, mark))


async def test_a_desk_and_the_worker_find_the_same(place: Place, desks: None, monkeypatch: pytest.MonkeyPatch) -> None:
    there = await judged_there(place, monkeypatch, "T")
    here = await place.submit(lines(place, "H"))
    assert there["counts"] == here["counts"]
    assert (here["counts"]["rows"], here["counts"]["accepted"]) == (5, 1)
    assert str(there["verdicts"]["nodes"]).replace("T", "H") == str(here["verdicts"]["nodes"]).replace("T", "H")
    assert {one["row"] for one in here["verdicts"]["nodes"]} >= {2, 3, 4, 5}
    client = await place.submitter()
    pair = [await place.cases(client, setlId=setl_id) for setl_id in ("T1", "H1")]
    same = [[{name: one[name] for name in one if name not in ("id", "setlId")} for one in cases] for cases in pair]
    assert len(same[0]) == 1
    assert same[0] == same[1]


async def test_a_dead_desk_costs_an_attempt_and_the_next_one_is_a_new_process(
    place: Place, desks: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(judging_desks, "LARGE_BYTES", 1)
    batch, job = await sealed(place, lines(place, "D"))
    (desk,) = OF_THIS_PROCESS._desks
    asked = desk.ask

    async def ask(*question: Any) -> Any:
        if question[0] == "judge" and desk._process is not None:
            desk._process.kill()
        return await asked(*question)

    monkeypatch.setattr(type(desk), "ask", lambda _self, *question: ask(*question))
    with pytest.raises(DeskLost):
        await judge_batch(place.world.platform, job)
    monkeypatch.setattr(type(desk), "ask", lambda _self, *question: asked(*question))
    client = await place.submitter()
    assert (await place.look(client, batch))["state"] == "SEALED"
    await judge_batch(place.world.platform, job)
    assert (await place.look(client, batch))["counts"]["accepted"] == 1


async def test_what_a_desk_refuses_arrives_as_what_it_is(
    place: Place, desks: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(judging_desks, "LARGE_BYTES", 1)
    batch, job = await sealed(place, [place.listed("B1")])
    key = place.world.platform.keyring
    sealed_elsewhere = key.seal(1, b"x", b"another place")
    found = store.part_sealed
    with monkeypatch.context() as patched:
        patched.setattr(store, "part_sealed", lambda *asked: _altered(found, sealed_elsewhere, *asked))
        with pytest.raises(PartUnreadable) as refused:
            await judge_batch(place.world.platform, job)
    assert (refused.value.code, bool(refused.value.zh)) == ("PART_SEAL_BROKEN", True)
    await judge_batch(place.world.platform, job)
    assert (await place.look(await place.submitter(), batch))["counts"]["accepted"] == 1


async def test_rows_in_copy_s_own_form_are_the_rows_the_driver_writes(place: Place) -> None:
    """Every column of every table that judging fills, with and without a value."""
    await place.world.work_off()
    platform = place.world.platform
    operator = Scope(role=DatabaseRole.OPERATOR, tenant="operator")
    async with platform.database.unit_of_work(operator) as uow:
        area = await registry.area_by_code(uow, place.city)
        assert area is not None
    scope = Scope(role=DatabaseRole.WORKER, tenant=place.city, province_id=area.province_id, area_id=area.area_id)
    async with platform.database.unit_of_work(scope) as uow:
        hospital = (
            await uow.rows(text("select hospital_id from hospital where code = :code"), {"code": place.hospital})
        )[0]
        of_whom = await submitter(uow, hospital.hospital_id, await uow.today())
        judge = ListJudge(of_whom, platform.keyring, uuid.uuid4(), dt.datetime.now(dt.UTC), Tally())
        told = [
            *lines(place, "C"),
            place.listed(
                "C1", version=2, nwb_bir_wt="3200", icuinfo=[{"scs_cutd_sum_dura": "1/0/0"}], psn_ownpay="1.00"
            ),
        ]
        chunk = judge.judge(list(parse_part(ndjson(told))), KnownLists(), 1, 0)
        octets = octets_of(chunk)
        for table, records in (
            (tables.intake_row, chunk.intake),
            (tables.verdict, chunk.verdicts),
            (tables.inpatient_case, chunk.cases),
            (tables.case_personal, chunk.personal),
            (tables.list_key, chunk.keys),
            (tables.case_supersession, chunk.supersessions),
        ):
            assert records, table.name
            seen = []
            for way in ("driver", "octets"):
                await store.open_staging(uow, [table])
                if way == "driver":
                    await store.stage(uow, table, records)
                else:
                    await store.stage_octets(uow, table, octets[table.name])
                seen.append([tuple(row) for row in await uow.rows(text(f"select * from judged_{table.name}"))])
                await uow.execute(text(f"drop table judged_{table.name}"))
            assert seen[0] == seen[1]
            assert len(seen[0]) == len(records)


async def _altered(found: Any, sealed_bytes: bytes, uow: Any, batch_id: uuid.UUID, number: int) -> Any:
    row = await found(uow, batch_id, number)
    return type("Kept", (), {"key_id": row.key_id, "sealed_bytes": sealed_bytes})


async def sealed(place: Place, told: list[Any]) -> tuple[str, JobInHand]:
    """A sealed batch and its job, in this test's hands."""
    await place.world.work_off()
    client = await place.submitter()
    batch = await place.create(client)
    assert (await client.http.put(batch["uploadPath"] + "1", content=ndjson(told))).status_code == 201
    assert (await place.seal(client, batch["id"]))["userErrors"] == []
    ((job_id, *_),) = await jobs_waiting(place.world.platform)
    job = await take(place.world.platform, job_id)
    assert job is not None
    return batch["id"], job
