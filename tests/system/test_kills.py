"""kill -9 and FLUSHALL at named moments of submission and clearing: nothing is lost, nothing is doubled, nothing is half there.

Each moment is struck once; the work then goes on by itself (another worker, the same idempotency key), and the outcome must be the one
that an undisturbed platform reaches.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import date
from fractions import Fraction
from pathlib import Path
from typing import Any

import httpx
import pytest
import pytest_asyncio
import redis.asyncio as redis
from rich.console import Console
from rich.progress import Progress

from builders.processes import Processes, processes
from fenzhi.access.roles import Role
from fenzhi.cli.demo.sources import DemoSource
from fenzhi.cli.demo.steps import Demonstration
from fenzhi.cli.flow import clearing, submission
from fenzhi.cli.flow.client import Cast, fresh_key
from fenzhi.cli.synthetic import lists as synthetic_lists
from fenzhi.cli.synthetic.province import synthetic_province

PLAN = synthetic_province(7, cities=1, counties=1, hospitals=5)
CITY = PLAN.cities[0].code
YEAR = PLAN.settlement_year
LISTS = 60


@dataclass
class Stage:
    """A prepared platform, and the result an undisturbed month run reached."""

    processes: Processes
    cast: Cast
    undisturbed: str
    hospital: str
    sent: int = 0


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def stage(new_stage_database: Any, open_folder: Path) -> AsyncIterator[Stage]:
    """A province prepared up to its budget, with January's lists judged and one undisturbed month run, voided again."""
    folder = open_folder / "kills"
    folder.mkdir()
    with processes(new_stage_database, folder) as running:
        cast = running.cast()
        source = DemoSource(
            plan=PLAN,
            history=lambda: synthetic_lists.history(PLAN, 400),
            lists=lambda: synthetic_lists.settlement_lists(PLAN, 200, date(YEAR, 1, 1), date(YEAR, 1, 20)),
            months=(),
            quarters=(),
            fund_share_of_last_year=Fraction(1),
            curve=("0.25", "0.5", "0.75", "1"),
        )
        with Progress(console=Console(quiet=True), disable=True) as progress:
            await Demonstration(cast, source, progress).prepare()
        run = await compute_month(cast, fresh_key())
        await void(cast, run["id"])
        yield Stage(running, cast, run["manifest"]["resultSha256"], PLAN.hospitals[0].code)


async def compute_month(cast: Cast, key: str) -> dict[str, Any]:
    """January of the employee pool, computed; the same key gives the same run."""
    clerk = cast.actor(CITY, Role.CITY_SETTLEMENT_CLERK)
    order = {
        "idempotencyKey": key,
        "kind": "MONTH",
        "insurance": "EMPLOYEE",
        "poolScope": "LOCAL",
        "year": YEAR,
        "period": 1,
    }
    run = (await clerk.do("clearingRunStart", "ClearingRunStartInput", order, "run { id jobId }"))["run"]
    await clerk.wait(run["jobId"], limit_s=60)
    found: dict[str, Any] = (await clerk.ask(clearing.RUN, {"id": run["id"]}))["clearingRun"]
    return found


async def void(cast: Cast, run: str) -> None:
    clerk = cast.actor(CITY, Role.CITY_SETTLEMENT_CLERK)
    await clerk.do("clearingRunVoid", "ClearingRunStepInput", {"run": run}, "run { state }")


async def flush(stage: Stage) -> None:
    client = redis.from_url(stage.processes.addresses.redis_url)
    await client.flushall()
    await client.aclose()


def fresh_lists(stage: Stage) -> list[bytes]:
    """Lists nobody has sent yet, of one hospital, all of them good."""
    stage.sent += 1
    # Ids carry the first day of the window: another day, other ids.
    day = date(YEAR, 2, stage.sent)
    made = synthetic_lists.labelled_lists(PLAN, LISTS * 8, day, day)
    return [m.line for m in made if m.hospital_code == stage.hospital and not m.fault][:LISTS]


async def stored_cases(stage: Stage) -> int:
    actor = stage.cast.actor(stage.hospital, Role.HOSPITAL_VIEWER)
    query = (
        "query($after: String) { cases(first: 100, after: $after) { nodes { id } pageInfo { hasNextPage endCursor } } }"
    )
    nodes = await actor.all_nodes(query, "cases")
    assert len({node["id"] for node in nodes}) == len(nodes)
    return len(nodes)


CLEARING_POINTS = [
    "clearing.after_freeze",
    "clearing.after_compute",
    "clearing.mid_write",
    "clearing.before_commit",
    "clearing.after_commit",
]


@pytest.mark.parametrize("point", CLEARING_POINTS)
async def test_a_worker_killed_in_clearing(stage: Stage, point: str, tmp_path: Path) -> None:
    stage.processes.restart_worker(f"{point}@{tmp_path / 'struck'}")
    key = fresh_key()
    computing = asyncio.create_task(compute_month(stage.cast, key))
    assert await asyncio.to_thread(stage.processes.worker.wait_for_death), f"{point} never struck"
    stage.processes.restart_worker()
    run = await computing
    assert run["state"] == "COMPUTED"
    assert run["manifest"]["resultSha256"] == stage.undisturbed
    assert run["summary"]["unexplainedFen"] == "0"
    await void(stage.cast, run["id"])


async def test_redis_flushed_while_clearing(stage: Stage) -> None:
    key = fresh_key()
    computing = asyncio.create_task(compute_month(stage.cast, key))
    for _ in range(5):
        await flush(stage)
        await asyncio.sleep(0.05)
    run = await computing
    assert run["manifest"]["resultSha256"] == stage.undisturbed
    await void(stage.cast, run["id"])


@pytest.mark.parametrize("point", ["act.before_commit", "act.after_commit"])
async def test_the_api_killed_while_a_run_starts(stage: Stage, point: str, tmp_path: Path) -> None:
    stage.processes.restart_api(f"{point}@{tmp_path / 'struck'}")
    key = fresh_key()
    starting = asyncio.create_task(compute_month(stage.cast, key))
    assert await asyncio.to_thread(stage.processes.api.wait_for_death), f"{point} never struck"
    stage.processes.restart_api()
    run = await starting
    again = await compute_month(stage.cast, key)
    assert again["id"] == run["id"]
    assert run["manifest"]["resultSha256"] == stage.undisturbed
    await void(stage.cast, run["id"])


SUBMISSION_POINTS = ["submission.mid_judge", "submission.before_commit", "submission.after_commit"]


@pytest.mark.parametrize("point", SUBMISSION_POINTS)
async def test_a_worker_killed_in_judging(stage: Stage, point: str, tmp_path: Path) -> None:
    before = await stored_cases(stage)
    stage.processes.restart_worker(f"{point}@{tmp_path / 'struck'}")
    actor = submission.hospital(stage.cast, stage.hospital)
    batch = await submission.send_batch(actor, "LISTS", point, fresh_lists(stage))
    assert await asyncio.to_thread(stage.processes.worker.wait_for_death), f"{point} never struck"
    stage.processes.restart_worker()
    counts = await submission.judged(actor, batch)
    assert (counts["rows"], counts["accepted"]) == (LISTS, LISTS)
    assert await stored_cases(stage) == before + LISTS


@pytest.mark.parametrize("point", ["act.before_commit", "act.after_commit"])
async def test_the_api_killed_while_a_batch_is_sealed(stage: Stage, point: str, tmp_path: Path) -> None:
    before = await stored_cases(stage)
    actor = submission.hospital(stage.cast, stage.hospital)
    batch = (
        await actor.do(
            "batchCreate",
            "BatchCreateInput",
            {"purpose": "LISTS", "mode": "PARTIAL", "label": point},
            "batch { id uploadPath }",
        )
    )["batch"]
    await submission.send_part(actor, batch["uploadPath"], 1, b"\n".join(fresh_lists(stage)) + b"\n")
    stage.processes.restart_api(f"{point}@{tmp_path / 'struck'}")
    order = {"batch": batch["id"], "parts": 1, "idempotencyKey": fresh_key()}
    sealing = asyncio.create_task(actor.do("batchSeal", "BatchSealInput", order, "batch { id job { id } }"))
    assert await asyncio.to_thread(stage.processes.api.wait_for_death), f"{point} never struck"
    stage.processes.restart_api()
    sealed = (await sealing)["batch"]
    assert (await actor.do("batchSeal", "BatchSealInput", order, "batch { id job { id } }"))["batch"] == sealed
    counts = await submission.judged(actor, {"id": sealed["id"], "job": sealed["job"]["id"]})
    assert counts["accepted"] == LISTS
    assert await stored_cases(stage) == before + LISTS


async def test_an_upload_cut_by_a_dying_api_leaves_nothing(stage: Stage) -> None:
    actor = submission.hospital(stage.cast, stage.hospital)
    batch = (
        await actor.do(
            "batchCreate",
            "BatchCreateInput",
            {"purpose": "LISTS", "mode": "PARTIAL", "label": "cut"},
            "batch { id uploadPath }",
        )
    )["batch"]
    body = b"\n".join(fresh_lists(stage)) + b"\n"
    path = f"{batch['uploadPath'].rstrip('/')}/1"
    headers = await actor.headers()

    async def dripping() -> AsyncIterator[bytes]:
        yield body[: len(body) // 2]
        stage.processes.api.kill()
        yield body[len(body) // 2 :]

    with pytest.raises(httpx.TransportError):
        await stage.cast.http.put(path, content=dripping(), headers=headers)
    stage.processes.restart_api()
    assert (await actor.send("HEAD", path)).status_code == 404
    await submission.send_part(actor, batch["uploadPath"], 1, body)
    sealed = await actor.do(
        "batchSeal", "BatchSealInput", {"batch": batch["id"], "parts": 1}, "batch { id job { id } }"
    )
    counts = await submission.judged(actor, {"id": batch["id"], "job": sealed["batch"]["job"]["id"]})
    assert counts["accepted"] == LISTS


async def test_redis_flushed_while_judging(stage: Stage) -> None:
    before = await stored_cases(stage)
    actor = submission.hospital(stage.cast, stage.hospital)
    batch = await submission.send_batch(actor, "LISTS", "flush", fresh_lists(stage))
    for _ in range(5):
        await flush(stage)
        await asyncio.sleep(0.05)
    counts = await submission.judged(actor, batch)
    assert counts["accepted"] == LISTS
    assert await stored_cases(stage) == before + LISTS
