"""Judging under stress: two batches at once, a judge that dies before its end, a job nobody holds any more."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
import pytest_asyncio

from builders.submission_place import Place, ndjson, open_place
from builders.world import World
from fenzhi.outbox.jobs import Fenced
from fenzhi.services.jobs.execution import JobInHand, jobs_waiting, take
from fenzhi.services.submission import judge, judging_desk


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def place(world: World) -> Place:
    return await open_place(world, "55")


class Died(Exception):
    """The judge ends here, without a word."""


async def sealed(place: Place, lines: list[Any]) -> tuple[str, JobInHand]:
    """A sealed batch and its job, in this test's hands."""
    client = await place.submitter()
    batch = await place.create(client)
    assert (await client.http.put(batch["uploadPath"] + "1", content=ndjson(lines))).status_code == 201
    assert (await place.seal(client, batch["id"]))["userErrors"] == []
    ((job_id, *_),) = await jobs_waiting(place.world.platform)
    job = await take(place.world.platform, job_id)
    assert job is not None
    return batch["id"], job


async def test_two_batches_with_the_same_list_at_once_accept_it_once(place: Place) -> None:
    await place.world.work_off()
    platform = place.world.platform
    pairs = [await sealed(place, [place.listed("J1"), place.listed(f"J1-{n}")]) for n in range(3)]
    await asyncio.gather(*(judge.judge_batch(platform, job) for _, job in pairs))
    client = await place.submitter()
    counts = [(await place.look(client, batch))["counts"] for batch, _ in pairs]
    assert sorted(one["accepted"] for one in counts) == [1, 1, 2]
    assert [c for one in counts for c in one["refusedByCode"]] == [{"code": "DUPLICATE_LIST", "rows": 1}] * 2
    assert len(await place.cases(client, setlId="J1")) == 1


async def test_a_judge_that_dies_before_its_end_leaves_nothing(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    await place.world.work_off()
    platform, client = place.world.platform, await place.submitter()
    batch, job = await sealed(place, [place.listed("K1"), place.listed("K2", insutype="999")])

    def dies(name: str) -> None:
        if name == "submission.before_commit":
            raise Died

    monkeypatch.setattr(judge, "failpoint", dies)
    with pytest.raises(Died):
        await judge.judge_batch(platform, job)
    monkeypatch.undo()
    found = await place.look(client, batch)
    assert (found["state"], found["counts"], found["verdicts"]["nodes"]) == ("SEALED", None, [])
    assert await place.cases(client, setlId="K1") == []
    await judge.judge_batch(platform, job)
    found = await place.look(client, batch)
    assert (found["state"], found["counts"]["accepted"], found["counts"]["refused"]) == ("JUDGED", 1, 1)
    with pytest.raises(judge.BatchNotSealed):
        await judge.judge_batch(platform, job)
    assert len(await place.cases(client, setlId="K1")) == 1


async def test_a_judge_whose_job_was_taken_over_writes_nothing(place: Place) -> None:
    await place.world.work_off()
    platform, client = place.world.platform, await place.submitter()
    batch, job = await sealed(place, [place.listed("M1")])
    stale = JobInHand(platform, type(job.claimed)(**{**_fields(job.claimed), "attempt": 0}), job.scope)
    with pytest.raises(Fenced):
        await judge.judge_batch(platform, stale)
    assert (await place.look(client, batch))["state"] == "SEALED"
    assert await place.cases(client, setlId="M1") == []
    await judge.judge_batch(platform, job)
    assert len(await place.cases(client, setlId="M1")) == 1


def _fields(claimed: Any) -> dict[str, Any]:
    return {name: getattr(claimed, name) for name in type(claimed).__slots__}


async def test_a_batch_beyond_one_chunk_keeps_its_rows_in_order(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(judging_desk, "CHUNK_ROWS", 3)
    lines = [place.listed(f"O{n % 5}", version=1 + n // 5) for n in range(10)] + [place.listed("O0")]
    batch = await place.submit(lines)
    counts = batch["counts"]
    assert (counts["rows"], counts["accepted"], counts["superseding"]) == (11, 10, 5)
    errors = [(v["row"], v["code"]) for v in batch["verdicts"]["nodes"] if v["severity"] == "ERROR"]
    assert errors == [(11, "DUPLICATE_IN_BATCH")]
    found = await place.cases(await place.submitter(), setlId="O3")
    assert sorted((case["version"], case["supersededBy"] is None) for case in found) == [(1, False), (2, True)]
