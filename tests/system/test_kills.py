"""A slice of the battery's kills: each target once at a random moment and named places of submission and clearing, one platform through all.

`fenzhi battery kills` does the same over and over, with the lease of production.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
import pytest_asyncio

from conftest import migrate
from fenzhi.access.roles import Role
from fenzhi.cli.battery import kills
from fenzhi.cli.battery.history import History
from fenzhi.cli.battery.kills import Blow, Trial
from fenzhi.cli.battery.real_processes import plant, supervised
from fenzhi.cli.battery.tally import Tally
from fenzhi.cli.servers import Servers

STRUCK = [
    *(Blow(target, delay=0.5) for target in kills.TARGETS),
    Blow("process", "act.after_commit"),
    Blow("process", "submission.mid_judge"),
    Blow("process", "clearing.mid_write"),
    Blow("process", "clearing.before_commit", kind="QUARTER"),
    Blow("process", "clearing.mid_write", kind="YEAR"),
    Blow("process", "clearing.after_commit", kind="YEAR"),
    Blow("process", "job.before_fence", with_catalog=True),
]


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def trial(open_folder: Path) -> AsyncIterator[Trial]:
    """A platform over servers of its own: the session's are not killed."""
    servers = Servers(open_folder / "kills" / "state", durable=False)
    servers.start()
    try:
        migrate(servers.addresses)
        (open_folder / "kills" / "plant").mkdir()
        with plant(servers.addresses, open_folder / "kills" / "plant", lease_s=2) as made, supervised(made, servers):
            yield await kills.trial_on(made, servers, 1)
            await made.close_clients()
    finally:
        servers.remove()


@pytest.mark.parametrize("blow", STRUCK, ids=lambda blow: blow.name)
async def test_nothing_is_lost_or_doubled_by_a_kill(trial: Trial, blow: Blow) -> None:
    tally = Tally()
    await kills.strike(tally, trial, blow, len(trial.log) + 1)
    held = [line for line in tally.failures if "within" not in line.split(":")[0]]
    assert held == []
    assert tally.held[blow.name] == 1


async def test_an_upload_cut_by_a_dying_api_leaves_nothing(trial: Trial) -> None:
    history, world = History(), trial.world
    hospital = world.hospitals()[0]
    actor = world.cast.actor(hospital, Role.HOSPITAL_SUBMITTER)
    order = {"purpose": "LISTS", "mode": "PARTIAL", "label": "cut"}
    batch = (await history.act(actor, "batchCreate", order, "batch { id uploadPath }"))["batch"]
    _, body = world.fresh_part(hospital)
    path = f"{batch['uploadPath'].rstrip('/')}/1"

    async def dripping() -> AsyncIterator[bytes]:
        yield body[: len(body) // 2]
        trial.plant.apis[0].kill()
        yield body[len(body) // 2 :]

    with pytest.raises(httpx.TransportError):
        await actor.http.put(path, content=dripping(), headers=await actor.headers())
    await trial.plant.ready()
    assert (await actor.send("HEAD", path)).status_code == 404
    kept = await history.put_part(actor, batch["uploadPath"], 1, body)
    assert kept.answer is not None and kept.answer["part"] == 1


async def test_what_was_sent_meanwhile_is_in_the_next_run_once(trial: Trial) -> None:
    tally = Tally()
    trial.batches.append(await trial.world.submit(trial.history, trial.world.hospitals()[1], "last"))
    known = [sent for sent in trial.batches if sent.label != "cut"]
    assert known[-1].state == "DONE"
    run = await trial.world.compute_month(trial.history, 2)
    await kills.check_run(tally, trial.findings, run, "", "February")
    assert tally.failures == []
    assert tally.tried.keys() >= {"conservation per pool", "each list in the run once or a named exclusion"}


async def test_what_the_killed_ones_did_is_written_down_and_linked(trial: Trial) -> None:
    tally = Tally()
    await kills.audit_holds(tally, trial)
    assert tally.failures == []
    assert set(tally.tried) == {"audit chain holds", "every event linked"}


def test_a_run_of_the_battery_has_every_target_and_place() -> None:
    struck = kills.blows(1, kills.ROUNDS)
    assert len(struck) == 120
    assert {blow.target for blow in struck} == {*kills.TARGETS, "process"}
    assert {blow.point for blow in struck} == {"", *kills.POINTS, *kills.CATALOG_POINTS}
    clearing = {(blow.point, blow.kind) for blow in struck if blow.point in kills.CLEARING_POINTS}
    assert clearing == {(point, kind) for point in kills.CLEARING_POINTS for kind in kills.KINDS}
    assert {(blow.target, blow.kind) for blow in struck if not blow.point} == {
        (target, kind) for target in kills.TARGETS for kind in kills.KINDS
    }
    assert kills.blows(1, 40) == kills.blows(1, 40) != kills.blows(2, 40)
    given = kills.blows(1, 120, own_postgres=False, own_redis=False)
    assert not {blow.target for blow in given} & kills.OWN_SERVERS_ONLY
