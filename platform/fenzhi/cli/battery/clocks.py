"""Section clocks (时钟测试): API, worker and database with clocks apart, clocks set back under way, and the ends of months and years.

The clocks are those of whole processes, by libfaketime; the monotonic clock stays true, because nothing but durations is measured by it.
Business time is the database's: whatever the other clocks say, a batch belongs to the day on which the database sealed it.
"""

from __future__ import annotations

import asyncio
import random
import signal
import sys
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

from fenzhi.access.development_issuer import issue_development_token
from fenzhi.access.roles import Role
from fenzhi.cli.battery.history import History
from fenzhi.cli.battery.kills import clear_up, superuser_dsn
from fenzhi.cli.battery.real_processes import Plant, plant, supervised
from fenzhi.cli.battery.small_world import Sent, SmallWorld, small_world
from fenzhi.cli.battery.store_checks import Findings, begin, check_run, check_store, connected
from fenzhi.cli.battery.tally import Skipped, Tally
from fenzhi.cli.flow.client import Cast
from fenzhi.cli.servers import ServerAddresses, Servers
from fenzhi.services.registry.accounts import development_account
from fenzhi.store.session import Database

LIBRARIES = ("/usr/lib/*/faketime/libfaketimeMT.so.1", "/usr/local/lib/faketime/libfaketimeMT.so.1")
LOOKS_AGAIN_S = 1.2
"""After how long every process has seen that its clock was set."""
SHANGHAI = timezone(timedelta(hours=8))
SECOND, TWO_HOURS, DAY = timedelta(seconds=1), timedelta(hours=2), timedelta(days=1)
WHO = ("API", "worker", "database")
AHEAD = timedelta(days=3)
"""How far everybody's time is ahead of this machine's. The library answers a signal handler that interrupts it with the machine's own time;
a server whose clock is ahead of that takes it for a moment long ago, and no time limit of its own strikes by mistake."""
BEFORE = -AHEAD
"""Where all clocks stand while the province is prepared, so that a clock set back a day still knows of it."""
RESUMES_S = 30.0
LEASE_S = 15


@dataclass(frozen=True)
class Case:
    """One setting of the clocks (时钟情形)."""

    name: str
    shifts: dict[str, timedelta] = field(default_factory=dict)
    """Who is how far from the true time."""
    back: dict[str, timedelta] = field(default_factory=dict)
    """Who is set back, and how far, while the work is under way."""
    kills_worker: bool = False
    boundary: datetime | None = None
    """The moment at which the database's clock stands when the batch is sealed, about."""


def cases() -> list[Case]:
    """All sixty (情形清单)."""
    found = [
        Case(f"{who} {sign:+d} × {step}", {who: sign * step})
        for who in WHO
        for step in (SECOND, TWO_HOURS, DAY)
        for sign in (1, -1)
    ]
    for first, second in (("API", "database"), ("worker", "API")):
        for step in (SECOND, TWO_HOURS, DAY):
            for sign in (1, -1):
                found.append(
                    Case(f"{first} {sign:+d}, {second} {-sign:+d} × {step}", {first: sign * step, second: -sign * step})
                )
    for who in WHO:
        found += [Case(f"{who} set back {step}", back={who: step}) for step in (SECOND, TWO_HOURS, DAY)]
    found += [
        Case(f"database set back {step} under a killed worker", back={"database": step}, kills_worker=True)
        for step in (SECOND, TWO_HOURS, DAY)
    ]
    year = datetime.now(SHANGHAI).year + 1
    leap = year + 3 - (year + 3) % 4
    for day in (
        f"{year}-01-31",
        f"{year}-06-30",
        f"{year}-12-31",
        f"{leap}-02-28",
        f"{leap}-02-29",
        f"{leap + 1}-02-28",
    ):
        midnight = datetime.fromisoformat(day).replace(tzinfo=SHANGHAI) + DAY
        for place, offset in (("just before", -20 * SECOND), ("across", -0.4 * SECOND), ("just after", 0.001 * SECOND)):
            found.append(Case(f"{place} the end of {day}", boundary=midnight + offset))
    return found


class Clocks:
    """The clocks of the three, each in a file that its processes read at every look (时钟文件)."""

    def __init__(self, folder: Path, library: Path) -> None:
        self._folder = folder
        self._library = library
        self.shifts = dict.fromkeys(WHO, timedelta())
        for who in WHO:
            self.set(who, timedelta())

    def file(self, who: str) -> Path:
        """The file of one of them."""
        return self._folder / f"{who}.clock"

    def set(self, who: str, shift: timedelta) -> None:
        """Set one clock so far from the true time."""
        self.shifts[who] = shift
        fresh = self._folder / f"{who}.new"
        fresh.write_text(f"{(AHEAD + shift).total_seconds():+.3f}\n", encoding="ascii")
        fresh.chmod(0o644)
        fresh.replace(self.file(who))

    def environment(self, who: str) -> dict[str, str]:
        """What a process of this one must know."""
        # PostgreSQL has one thread and asks for the time in signal handlers, where the library with locks may not be asked.
        library = str(self._library).replace("MT", "") if who == "database" else str(self._library)
        # The times of files stay true: by them Python knows its compiled modules.
        said = (
            f"LD_PRELOAD={library} FAKETIME_TIMESTAMP_FILE={self.file(who)} FAKETIME_NO_CACHE=1 NO_FAKE_STAT=1 "
            "DONT_FAKE_MONOTONIC=1 FAKETIME_DONT_FAKE_MONOTONIC=1"
        )
        return dict(pair.split("=", 1) for pair in said.split())


@dataclass
class Timed:
    """A platform whose clocks can be set (受测平台)."""

    plant: Plant
    clocks: Clocks
    world: SmallWorld
    findings: Findings
    history: History = field(default_factory=History)
    batches: list[Sent] = field(default_factory=list)


def faketime_library() -> Path:
    """The library. Raises: Skipped where there is none."""
    if sys.platform != "linux":
        raise Skipped("仅在 Linux 上可调整进程时钟。", "The clocks of processes can be set on Linux only.")
    for pattern in LIBRARIES:
        for found in sorted(Path("/").glob(pattern.lstrip("/"))):
            return found
    raise Skipped(
        "缺少 libfaketime（Debian 软件包 faketime）。", "libfaketime is not installed (Debian's package faketime)."
    )


async def run_on(servers: Servers, addresses: ServerAddresses, seed: int, rounds: int) -> Tally:
    """Every case, in an order of the seed's; `rounds` of them where said (时钟测试组)."""
    if not servers.addresses.pids.get("postgres"):
        raise Skipped("外部数据库的时钟无法调整。", "The clock of a database that is given cannot be set.")
    tally = Tally()
    folder = servers.state_dir.parent / "clocks"
    folder.mkdir(mode=0o755)
    await try_cases(tally, servers, folder, addresses.redis_url, seed, rounds)
    return tally


async def try_cases(tally: Tally, servers: Servers, folder: Path, redis_url: str, seed: int, rounds: int) -> None:
    """Try cases over servers of their own, started under clocks that can be set. Raises: Skipped."""
    from fenzhi_migrations.upgrade import upgrade_to_head

    clocks = Clocks(folder, faketime_library())
    clocks.set("database", BEFORE)
    own = servers.like(folder / "state", postgres_environment=clocks.environment("database"), redis_url=redis_url)
    own.start()
    try:
        for who in WHO:
            clocks.set(who, BEFORE)
        await asyncio.sleep(LOOKS_AGAIN_S)
        addresses = own.addresses
        await asyncio.to_thread(upgrade_to_head, addresses.owner_dsn)
        made_in = folder / "plant"
        made_in.mkdir(mode=0o755)
        with plant(addresses, made_in, apis=0, workers=0, lease_s=LEASE_S) as made, supervised(made, None):
            made.add_api(clocks.environment("API"))
            made.add_worker(clocks.environment("worker"))
            await made.ready()
            world = await small_world(_cast(made, clocks))
            timed = Timed(made, clocks, world, await begin(superuser_dsn(addresses), LEASE_S))
            found = cases()
            random.Random(seed).shuffle(found)
            # Clocks at the ends of years move by years: they come last, or whatever was recorded then would be of the future.
            found.sort(key=lambda case: case.boundary or datetime.min.replace(tzinfo=UTC))
            for case in _some(found, rounds):
                await _try(tally, timed, case)
            await made.close_clients()
    finally:
        own.remove()


def _some(found: list[Case], rounds: int) -> list[Case]:
    """All, or so many spread over all kinds, the first and the last among them."""
    if not rounds or rounds >= len(found):
        return found
    return [found[n * (len(found) - 1) // max(1, rounds - 1)] for n in range(rounds)]


def _cast(made: Plant, clocks: Clocks) -> Cast:
    """Users whose issuer's clock is the API's."""
    cast = made.cast()
    database = Database(made.addresses.app_dsn, pool_size=1, application="fenzhi-battery")

    async def make(tenant: str, role: Role) -> str:
        subject, epoch = await development_account(database, tenant, role)
        issued_at = datetime.now(UTC) + AHEAD + clocks.shifts["API"]
        return issue_development_token(made.key, subject, tenant, role.value, epoch, issued_at=issued_at).token

    return Cast(cast.http, make)


async def _try(tally: Tally, timed: Timed, case: Case) -> None:
    clocks, world, history = timed.clocks, timed.world, timed.history
    for who in WHO:
        clocks.set(who, case.shifts.get(who, timedelta()))
    if case.boundary is not None:
        # Every process has seen it when the moment comes.
        clocks.set("database", case.boundary - timedelta(seconds=LOOKS_AGAIN_S) - datetime.now(UTC) - AHEAD)
        await asyncio.sleep(LOOKS_AGAIN_S)
    else:
        await asyncio.sleep(LOOKS_AGAIN_S)
    for actor in world.cast._actors.values():
        actor._made_at = -1e9
    odd = len(history.odd)
    began, began_at = await _database_time(timed), time.monotonic()
    hospital = world.hospitals()[len(timed.batches) % 4]
    submitting = asyncio.create_task(world.submit(history, hospital, case.name, parts=1, into=timed.batches))
    computing = None if case.boundary else asyncio.create_task(world.compute_month(history))
    if case.kills_worker:
        timed.plant.armed.write_text("job.before_fence", encoding="ascii")
        await _struck(timed)
    elif case.back:
        await asyncio.sleep(0.25)
    for who, step in case.back.items():
        clocks.set(who, clocks.shifts[who] - step)
        if who == "API":
            for actor in world.cast._actors.values():
                actor._made_at = -1e9
    work = [submitting] if computing is None else [submitting, computing]
    failed = [one for one in await asyncio.gather(*work, return_exceptions=True) if isinstance(one, BaseException)]
    took = time.monotonic() - began_at
    timed.plant.armed.unlink(missing_ok=True)
    tally.saw("the work went on", not failed, f"{case.name}: {failed}")
    if failed:
        await clear_up(timed.findings.dsn)
        return
    sent, run = submitting.result(), None if computing is None else computing.result()
    tally.saw("settled", sent.state == "DONE", f"{case.name}: {sent.state}")
    tally.saw("worker resumes within 30 s", took <= RESUMES_S, f"{case.name}: {took:.1f} s")
    tally.saw("answers are typed", len(history.odd) == odd, f"{case.name}: {history.odd[odd:][:2]}")
    ended = await _database_time(timed)
    await _business_time(tally, timed, case, sent, began, ended)
    await check_store(tally, timed.findings, history, timed.batches, case.name)
    if run is not None:
        await check_run(tally, timed.findings, run, world.undisturbed, case.name)
        if run["state"] == "COMPUTED":
            await world.void(history, run["id"])
        else:
            await clear_up(timed.findings.dsn)
    tally.saw(_kind(case), True, case.name)


def _kind(case: Case) -> str:
    if case.boundary is not None:
        return "ends of months and years"
    return "clocks set back" if case.back else "clocks apart"


async def _struck(timed: Timed) -> None:
    worker = timed.plant.workers[0]
    life = worker.running
    for _ in range(1500):
        if life is not None and life.poll() == -signal.SIGKILL:
            return
        await asyncio.sleep(0.01)


async def _database_time(timed: Timed) -> datetime:
    connection = await connected(timed.findings.dsn)
    try:
        found: datetime = await connection.fetchval("select clock_timestamp()")
        return found
    finally:
        await connection.close()


async def _business_time(tally: Tally, timed: Timed, case: Case, sent: Sent, began: datetime, ended: datetime) -> None:
    """Every moment recorded is the database's, and the day of the batch is the day in Shanghai of its seal."""
    connection = await connected(timed.findings.dsn)
    try:
        row = await connection.fetchrow(
            "select recorded_at, sealed_at, judged_at, (sealed_at at time zone 'Asia/Shanghai')::date as day from batch "
            "where label = $1",
            sent.label,
        )
        cases_at = await connection.fetch(
            "select distinct c.submitted_at from inpatient_case c join batch b using (batch_id) where b.label = $1",
            sent.label,
        )
    finally:
        await connection.close()
    assert row is not None
    earliest = began - max(case.back.values(), default=timedelta()) - SECOND
    latest = max(began, ended) + timedelta(seconds=60)
    moments = [row["recorded_at"], row["sealed_at"], row["judged_at"]]
    inside = all(moment is not None and earliest <= moment <= latest for moment in moments)
    tally.saw("business time is the database's", inside, f"{case.name}: {moments} not in {earliest} … {latest}")
    tally.saw(
        "lists are submitted when their batch is sealed",
        [found["submitted_at"] for found in cases_at] == [row["sealed_at"]],
        case.name,
    )
    if case.boundary is not None and row["sealed_at"] is not None:
        day = row["sealed_at"].astimezone(SHANGHAI).date()
        expected = {(case.boundary + DAY * 0).astimezone(SHANGHAI).date()}
        if "across" in case.name:
            expected = {case.boundary.date(), (case.boundary + SECOND).date()}
        tally.saw("the day is Shanghai's", row["day"] == day and day in expected, f"{case.name}: {row['day']} {day}")
