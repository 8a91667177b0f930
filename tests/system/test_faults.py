"""Slices of the battery's sections that break what lies between the processes: connections, restarts, clocks, disk, uploads.

The whole sections run by `fenzhi battery cuts`, `rollouts`, `clocks`, `disk` and `uploads`.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from fenzhi.cli.battery import clocks, cuts, disk, rollouts, uploads
from fenzhi.cli.battery.fault_proxy import Fault
from fenzhi.cli.battery.kills import superuser_dsn
from fenzhi.cli.battery.real_processes import plant
from fenzhi.cli.battery.small_world import small_world
from fenzhi.cli.battery.tally import Skipped, Tally
from fenzhi.cli.servers import ServerAddresses, Servers


@pytest.fixture
def own_database(
    running_servers: Servers, furnished_database: Callable[[str], ServerAddresses]
) -> Iterator[ServerAddresses]:
    """A migrated database that no other test looks at."""
    name = f"fenzhi_faults_{uuid.uuid4().hex[:8]}"
    addresses = furnished_database(name)
    yield addresses
    running_servers.drop_database(name)


@pytest.fixture
def folder(open_folder: Path) -> Path:
    made = open_folder / f"faults-{uuid.uuid4().hex[:8]}"
    made.mkdir(mode=0o755)
    return made


def needs_superuser(addresses: ServerAddresses) -> None:
    if not addresses.superuser_dsn:
        pytest.skip("the store is looked at past its walls: a superuser's DSN is needed")


async def test_a_commit_whose_answer_nobody_heard_happened_once(own_database: ServerAddresses, folder: Path) -> None:
    needs_superuser(own_database)
    tally = Tally()
    async with cuts.wired(own_database, folder) as wires:
        for number, (link, fault) in enumerate(
            [
                ("API and PostgreSQL", Fault.CUT_AFTER_COMMIT),
                ("API and PostgreSQL", Fault.CUT_BEFORE_COMMIT),
                ("worker and PostgreSQL", Fault.CUT_AFTER_COMMIT),
                ("worker and PostgreSQL", Fault.RESET),
                ("API and Redis", Fault.HALF_OPEN),
                ("client and API", Fault.CUT_ANSWER),
            ],
            1,
        ):
            await cuts.cut(tally, wires, link, fault, number, 1)
        assert sum(request.sent for request in wires.history.asked) > len(wires.history.asked)
    assert tally.failures == []
    assert {"acknowledged is stored exactly once", "same digest as undisturbed"} <= tally.tried.keys()


async def test_replicas_and_workers_are_replaced_under_load(own_database: ServerAddresses, folder: Path) -> None:
    needs_superuser(own_database)
    tally = Tally()
    await rollouts.roll(tally, own_database, folder, seed=1, rounds=2)
    assert tally.failures == []
    assert tally.tried.keys() >= {
        "API left by itself",
        "worker left by itself",
        "no request failed",
        "slow upload kept",
    }


async def test_business_time_is_the_database_s(running_servers: Servers, folder: Path) -> None:
    if "postgres" not in running_servers.addresses.pids:
        pytest.skip("the clock of a database that is given cannot be set")
    tally = Tally()
    try:
        await clocks.try_cases(tally, running_servers, folder, running_servers.addresses.redis_url, seed=1, rounds=3)
    except Skipped as exc:
        pytest.skip(exc.en)
    # How soon a worker resumes is measured by the whole section on a machine of its own.
    assert [line for line in tally.failures if not line.startswith("worker resumes")] == []
    assert tally.tried.keys() >= {"business time is the database's", "the day is Shanghai's"}


def test_the_cases_of_the_clocks_are_sixty() -> None:
    found = clocks.cases()
    assert len({case.name for case in found}) == len(found) == 60


async def test_a_full_disk_is_said_and_got_over(running_servers: Servers, folder: Path) -> None:
    if "postgres" not in running_servers.addresses.pids:
        pytest.skip("the disk of a database that is given is not ours to fill")
    tally = Tally()
    try:
        with disk.small_disk(folder / "disk") as mounted:
            redis_url = running_servers.addresses.redis_url
            await disk.try_full(tally, running_servers, mounted, redis_url, seed=1, rounds=2)
    except Skipped as exc:
        pytest.skip(exc.en)
    assert [line for line in tally.failures if not line.startswith("goes on when")] == []
    assert tally.held["the full disk was told"] == 1


async def test_cut_uploads_leave_nothing(own_database: ServerAddresses, folder: Path) -> None:
    needs_superuser(own_database)
    tally = Tally()
    (folder / "tmp").mkdir()
    with plant(own_database, folder, env={"TMPDIR": str(folder / "tmp")}) as made:
        world = await small_world(made.cast())
        await uploads.cut_uploads(tally, made, world, superuser_dsn(own_database), folder / "tmp", seed=1, rounds=64)
        await made.close_clients()
    assert tally.failures == []
    assert {f"cut, {way}" for way in uploads.WAYS} <= tally.tried.keys()


def test_a_run_of_cuts_has_every_link_and_every_fault() -> None:
    found = cuts.cuts(1, cuts.ROUNDS)
    assert len(found) == 200
    kinds = {(links, fault) for links, fault, _ in cuts.PLAN}
    assert {(link, fault) for link, fault in found} == {(link, fault) for links, fault in kinds for link in links}
    assert cuts.cuts(1, 30) == cuts.cuts(1, 30) != cuts.cuts(2, 30)
