"""Section kills (强杀测试): processes, servers and single backends killed at random moments and at named places; nothing lost, doubled or stuck.

One platform lives through all of it. In every round a hospital submits a batch and the city computes January, the first quarter or the year,
all through clients that repeat a request under its key until it is acknowledged, or go away; in the midst of it one thing is killed and started again.
"""

from __future__ import annotations

import asyncio
import random
import signal
import statistics
import time
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import redis.asyncio as redis

from fenzhi.cli import database_roles
from fenzhi.cli.battery.history import History, NotAcknowledged
from fenzhi.cli.battery.real_processes import Plant, plant, supervised
from fenzhi.cli.battery.small_world import Sent, SmallWorld, small_world
from fenzhi.cli.battery.store_checks import Findings, begin, check_run, check_store, connected
from fenzhi.cli.battery.tally import Tally
from fenzhi.cli.servers import ServerAddresses, Servers
from fenzhi.services.audit import chain
from fenzhi.store.session import Database

AUDIT_LINKED_S = 90
"""Within which the sequencer has linked what was written down, the lease of a killed one included."""
ROUNDS = 120
API_READY_S = 15.0
WORKER_RESUMES_S = 30.0
HOSPITALS = 3
"""Hospitals that send in every round."""
GOES_AWAY = 0.15
"""Chance that a sender goes away at a step that brought no answer."""
POINTS = (
    "act.before_commit", "act.after_commit", "outbox.before_ring", "submission.part_kept",
    "job.claimed", "job.before_fence", "submission.mid_judge", "submission.before_commit", "submission.after_commit",
    "clearing.after_freeze", "clearing.after_compute", "clearing.before_write", "clearing.mid_write", "clearing.before_commit",
    "clearing.after_commit",
)  # fmt: skip
"""Named places in submission and clearing (故障点)."""
CLEARING_POINTS = tuple(point for point in POINTS if point.startswith("clearing."))
KINDS = ("MONTH", "QUARTER", "YEAR")
"""Runs that are computed in turn (月、季、年)."""
CATALOG_POINTS = ("store.copied", "job.before_fence", "act.before_commit", "act.after_commit")
"""Named places that the publication of an edition passes."""
_BACKENDS = """
select pid, state from pg_stat_activity where usename = 'fenzhi_app' and application_name <> 'fenzhi-battery' and pid <> pg_backend_pid()
  and datname = current_database() order by (state <> 'idle') desc, random()
"""


@dataclass
class Blow:
    """One kill: what, and when (一次打击)."""

    target: str
    point: str = ""
    delay: float = 0.0
    """Share of an undisturbed round after which it falls, for a kill at a random moment."""
    with_catalog: bool = False
    kind: str = "MONTH"
    """What is computed meanwhile."""

    @property
    def name(self) -> str:
        """How it is counted."""
        place = f"{self.target} at {self.point}" if self.point else self.target
        return place if self.kind == "MONTH" else f"{place} of a {self.kind.lower()}"


@dataclass
class Trial:
    """One platform under fire (受测平台)."""

    plant: Plant
    servers: Servers
    world: SmallWorld
    findings: Findings
    dsn: str
    seed: int
    round_s: float = 2.0
    """How long an undisturbed round takes."""
    history: History = field(default_factory=History)
    batches: list[Sent] = field(default_factory=list)
    log: list[dict[str, Any]] = field(default_factory=list)
    editions: int = 0


TARGETS: tuple[str, ...] = (
    "API process", "worker process", "backend terminated", "backend kill -9", "postmaster immediate", "postmaster kill -9",
    "Redis kill", "Redis FLUSHALL",
)  # fmt: skip
OWN_SERVERS_ONLY = frozenset({"backend kill -9", "postmaster immediate", "postmaster kill -9", "Redis kill"})
"""What can be killed only where the battery itself runs the server (仅自管服务)."""


def blows(seed: int, rounds: int, *, own_postgres: bool = True, own_redis: bool = True) -> list[Blow]:
    """The kills of a run (打击序列): three fifths at random moments, the rest at named places, in an order of the seed's."""
    chance = random.Random(seed)
    able = [
        target
        for target in TARGETS
        if target not in OWN_SERVERS_ONLY or (own_redis if target == "Redis kill" else own_postgres)
    ]
    at_random = max(1, rounds * 3 // 5)
    found = [
        Blow(able[n % len(able)], delay=chance.random(), kind=KINDS[n // len(able) % len(KINDS)])
        for n in range(at_random)
    ]
    places = [Blow("process", point) for point in POINTS]
    places += [Blow("process", point, kind=kind) for point in CLEARING_POINTS for kind in KINDS[1:]]
    places += [Blow("process", point, with_catalog=True) for point in CATALOG_POINTS]
    chance.shuffle(places)
    found += [places[n % len(places)] for n in range(rounds - at_random)]
    chance.shuffle(found)
    return found


async def run_on(servers: Servers, addresses: ServerAddresses, seed: int, rounds: int) -> Tally:
    """`rounds` kills on one platform (强杀测试组)."""
    from fenzhi_migrations.upgrade import upgrade_to_head

    await asyncio.to_thread(upgrade_to_head, addresses.owner_dsn)
    tally = Tally()
    folder = servers.state_dir.parent / "plant"
    folder.mkdir(mode=0o755)
    with plant(addresses, folder) as made, supervised(made, servers):
        trial = await trial_on(made, servers, seed)
        own = {"own_postgres": "postgres" in addresses.pids, "own_redis": "valkey" in addresses.pids}
        for number, blow in enumerate(blows(seed, rounds or ROUNDS, **own), 1):
            await strike(tally, trial, blow, number)
        await last_look(tally, trial)
        await made.close_clients()
    tally.figures |= figures(trial) | {"not_tried": sorted(set(TARGETS) - {b["blow"] for b in trial.log})}
    return tally


async def trial_on(made: Plant, servers: Servers, seed: int) -> Trial:
    """Prepare the province, measure an undisturbed round (准备)."""
    world = await small_world(made.cast())
    await world.assess()
    dsn = superuser_dsn(made.addresses)
    trial = Trial(made, servers, world, await begin(dsn, made.lease_s), dsn, seed)
    for number in (1, 2, 3):
        began = time.monotonic()
        runs = await _activity(trial, f"undisturbed {number}", KINDS[number - 1], with_catalog=False)
        trial.round_s = time.monotonic() - began
        for run in runs:
            await world.void(trial.history, run["id"])
    return trial


def superuser_dsn(addresses: ServerAddresses) -> str:
    """A superuser's DSN on the platform's own database."""
    return database_roles.replace_dsn(addresses.superuser_dsn, database=addresses.app_dsn.rpartition("/")[2])


async def strike(tally: Tally, trial: Trial, blow: Blow, number: int) -> None:
    """One round: work under way, one kill in the midst of it, recovery measured, everything checked (一轮)."""
    context = f"round {number}, {blow.name}"
    started_again = len(trial.plant.started_again)
    odd = len(trial.history.odd)
    began_at = await _database_time(trial)
    working = asyncio.create_task(_activity(trial, f"round {number}", blow.kind, with_catalog=blow.with_catalog))
    killed_at = await (_at_point(trial, blow) if blow.point else _at_moment(trial, blow))
    ready_s = await _api_ready(trial, killed_at)
    try:
        runs = await working
    except Exception as exc:
        tally.saw("the work went on", False, f"{context}: {type(exc).__name__}: {exc}")
        trial.plant.armed.unlink(missing_ok=True)
        await clear_up(trial.dsn)
        return
    tally.saw("the work went on", True, context)
    resumed_s = await _worker_resumed(trial, began_at, killed_at)
    trial.plant.armed.unlink(missing_ok=True)
    if not killed_at:
        # A failpoint nobody came by, or a backend that was gone already, is no kill.
        tally.saw("the kill fell", False, context)
        return
    tally.saw(blow.name, True, context)
    tally.saw("API ready within 15 s", ready_s <= API_READY_S, f"{context}: {ready_s:.1f} s")
    tally.saw("worker resumes within 30 s", resumed_s <= WORKER_RESUMES_S, f"{context}: {resumed_s:.1f} s")
    tally.saw("answers are typed", len(trial.history.odd) == odd, f"{context}: {trial.history.odd[odd:][:2]}")
    await check_store(tally, trial.findings, trial.history, trial.batches, context)
    for run in runs:
        # January does not grow while February's lists come in; the quarter and the year do.
        digest = trial.world.undisturbed if run["kind"] == "MONTH" else ""
        await check_run(tally, trial.findings, run, digest, context)
        if run["state"] == "COMPUTED":
            await trial.world.void(trial.history, run["id"])
    trial.log.append(
        {
            "round": number,
            "blow": blow.target,
            "point": blow.point,
            "kind": blow.kind,
            "api_ready_s": round(ready_s, 2),
            "worker_resumed_s": round(resumed_s, 2),
            "started_again": trial.plant.started_again[started_again:],
        }
    )


async def _activity(trial: Trial, label: str, kind: str, *, with_catalog: bool) -> list[dict[str, Any]]:
    """A batch submitted, a run of the kind computed, and where wanted an edition published, all at once; the runs computed."""
    world, history = trial.world, trial.history
    chance = random.Random(f"{trial.seed}{label}")
    goes_away = 0.0 if label.startswith("undisturbed") else GOES_AWAY

    async def submitting(hospital: str) -> None:
        await asyncio.sleep(chance.random() * 0.6)
        await world.submit(
            history, hospital, f"{label} of {hospital}", parts=3, goes_away=goes_away, into=trial.batches
        )

    async def publishing() -> None:
        trial.editions += 1
        await world.publish_edition(history, trial.editions)

    senders = chance.sample(world.hospitals(), HOSPITALS)
    work: list[Coroutine[Any, Any, Any]] = [
        world.compute(history, kind),
        *(submitting(hospital) for hospital in senders),
    ]
    if with_catalog:
        work.append(publishing())
    done = await asyncio.gather(*work, return_exceptions=True)
    for outcome in done:
        if isinstance(outcome, BaseException):
            raise outcome
    run = done[0]
    assert isinstance(run, dict)
    return [run]


async def clear_up(dsn: str) -> None:
    """After a round that failed: no run may stand in the way of the next (清理)."""
    connection = await connected(dsn)
    try:
        await connection.execute("update clearing_run set state = 'stopped' where state = 'computing'")
        await connection.execute(
            "update clearing_run set state = 'voided' where state in ('computed', 'issued', 'approved')"
        )
    finally:
        await connection.close()


async def _at_moment(trial: Trial, blow: Blow) -> float:
    """Wait for the moment, strike; when it fell, or 0."""
    await asyncio.sleep(blow.delay * trial.round_s)
    hits: dict[str, Callable[[Trial], Awaitable[bool]]] = {
        "API process": partial(_kill_process, kind="api"),
        "worker process": partial(_kill_process, kind="worker"),
        "backend terminated": _terminate_backend,
        "backend kill -9": _kill_backend,
        "postmaster immediate": partial(_kill_server, name="postgres", number=signal.SIGQUIT),
        "postmaster kill -9": partial(_kill_server, name="postgres", number=signal.SIGKILL),
        "Redis kill": partial(_kill_server, name="valkey", number=signal.SIGKILL),
        "Redis FLUSHALL": _flush,
    }
    fell_at = time.time()
    return fell_at if await hits[blow.target](trial) else 0.0


async def _at_point(trial: Trial, blow: Blow) -> float:
    """Arm a place and wait until a process dies there; when it did, or 0."""
    processes = [*trial.plant.apis, *trial.plant.workers]
    before = {process.name: process.running for process in processes}
    _arm(trial.plant.armed, blow.point)
    until = time.monotonic() + 45
    while time.monotonic() < until:
        for process in processes:
            life = before[process.name]
            if life is not None and life.poll() == -signal.SIGKILL:
                return time.time()
        await asyncio.sleep(0.01)
    return 0.0


def _arm(file: Path, point: str) -> None:
    fresh = file.with_name("arming")
    fresh.write_text(point, encoding="ascii")
    fresh.replace(file)


async def _kill_process(trial: Trial, *, kind: str) -> bool:
    for process in trial.plant.apis if kind == "api" else trial.plant.workers:
        process.kill()
    return True


async def _backend(trial: Trial) -> int:
    """A backend of the platform, one at work if there is one."""
    connection = await connected(trial.dsn)
    try:
        return int(await connection.fetchval(_BACKENDS) or 0)
    finally:
        await connection.close()


async def _terminate_backend(trial: Trial) -> bool:
    pid = await _backend(trial)
    connection = await connected(trial.dsn)
    try:
        return bool(pid and await connection.fetchval("select pg_terminate_backend($1)", pid))
    finally:
        await connection.close()


async def _kill_backend(trial: Trial) -> bool:
    pid = await _backend(trial)
    return _signal_server_process(trial, pid, signal.SIGKILL)


async def _kill_server(trial: Trial, *, name: str, number: signal.Signals) -> bool:
    pid = trial.servers.addresses.pids[name]
    if not _signal_server_process(trial, pid, number):
        return False
    for _ in range(2000):
        if trial.servers.addresses.pids.get(name) != pid:
            return True
        await asyncio.sleep(0.01)
    return True


def _signal_server_process(trial: Trial, pid: int, number: signal.Signals) -> bool:
    """Signal one server process by its number, if it is a process of the servers we run."""
    import psutil

    try:
        process = psutil.Process(pid)
        ours = set(trial.servers.addresses.pids.values())
        if pid not in ours and process.ppid() not in ours:
            return False
        process.send_signal(number)
    except psutil.NoSuchProcess:
        return False
    return True


async def _flush(trial: Trial) -> bool:
    client = redis.Redis.from_url(trial.plant.addresses.redis_url)
    await client.flushall()
    await client.aclose()
    return True


async def _api_ready(trial: Trial, killed_at: float) -> float:
    """Seconds from the kill until the API has been ready for a while."""
    began = time.monotonic() - max(0.0, time.time() - killed_at if killed_at else 0.0)
    since: float | None = None
    async with httpx.AsyncClient(timeout=5, trust_env=False) as client:
        while time.monotonic() - began < 120:
            sent = time.monotonic()
            try:
                is_ready = (await client.get(f"{trial.plant.url()}/readyz")).status_code == 200
            except httpx.TransportError:
                is_ready = False
            since = (since if since is not None else sent) if is_ready else None
            if since is not None and time.monotonic() - since > 0.4:
                return since - began
            await asyncio.sleep(0.05)
    return float("inf")


async def _database_time(trial: Trial) -> Any:
    connection = await connected(trial.dsn)
    try:
        return await connection.fetchval("select clock_timestamp()")
    finally:
        await connection.close()


async def _worker_resumed(trial: Trial, began_at: Any, killed_at: float) -> float:
    """The longest time from the kill, or from when a job was wanted if that was later, to the job's end, over the round's jobs."""
    for _ in range(600):
        connection = await connected(trial.dsn)
        try:
            rows = await connection.fetch(
                "select extract(epoch from recorded_at)::float8 as wanted, extract(epoch from finished_at)::float8 as ended "
                "from job where recorded_at >= $1",
                began_at,
            )
        finally:
            await connection.close()
        if all(row["ended"] is not None for row in rows):
            return max((max(0.0, row["ended"] - max(killed_at, row["wanted"])) for row in rows), default=0.0)
        await asyncio.sleep(0.2)
    return float("inf")


async def last_look(tally: Tally, trial: Trial) -> None:
    """When all is over: February, with every list that was sent in between, each in the run once; the same again, the same bytes."""
    run = await trial.world.compute_month(trial.history, 2)
    await check_run(tally, trial.findings, run, "", "February")
    await trial.world.void(trial.history, run["id"])
    again = await trial.world.compute_month(trial.history, 2)
    await check_run(
        tally, trial.findings, again, str((run.get("manifest") or {}).get("resultSha256")), "February again"
    )
    trial.findings.ended.clear()
    await check_store(tally, trial.findings, trial.history, trial.batches, "at the end")
    await trial.world.void(trial.history, again["id"])
    for kind in KINDS[1:]:
        first = await trial.world.compute(trial.history, kind)
        await check_run(tally, trial.findings, first, "", f"{kind} at the end")
        await trial.world.void(trial.history, first["id"])
        second = await trial.world.compute(trial.history, kind)
        digest = str((first.get("manifest") or {}).get("resultSha256"))
        await check_run(tally, trial.findings, second, digest, f"{kind} again")
        await trial.world.void(trial.history, second["id"])
    tally.saw("servers always started again", not trial.plant.faults, str(trial.plant.faults[:3]))
    await audit_holds(tally, trial)


async def audit_holds(tally: Tally, trial: Trial) -> None:
    """What the killed processes wrote down is linked, every link follows from the one before (审计链核对)."""
    database = Database(trial.plant.addresses.app_dsn, pool_size=1, application="fenzhi-battery")
    try:
        found = await chain.verify(database, None)
        for _ in range(AUDIT_LINKED_S):
            if not found.waiting:
                break
            await asyncio.sleep(1)
            found = await chain.verify(database, None)
    finally:
        await database.close()
    tally.saw("audit chain holds", found.holds and found.links > 0, str(found.findings[:3]))
    tally.saw("every event linked", found.waiting == 0, f"{found.waiting} waiting")


def figures(trial: Trial) -> dict[str, Any]:
    """What was measured (测得数据)."""
    kills: dict[str, int] = {}
    for line in trial.log:
        name = (line["point"] or line["blow"]) + ("" if line["kind"] == "MONTH" else f" of a {line['kind'].lower()}")
        kills[name] = kills.get(name, 0) + 1
    asked = trial.history.asked
    return {
        "kills": len(trial.log),
        "kills_by_target": dict(sorted(kills.items())),
        "round_undisturbed_s": round(trial.round_s, 2),
        "lease_s": trial.plant.lease_s,
        "api_ready_s": spread([line["api_ready_s"] for line in trial.log]),
        "worker_resumed_s": spread([line["worker_resumed_s"] for line in trial.log]),
        "requests": len(asked),
        "acknowledged": sum(request.is_acknowledged for request in asked),
        "sent_again": sum(request.sent - 1 for request in asked),
        "left_unacknowledged": sum(not request.is_acknowledged for request in asked),
        "batches": len(trial.batches),
        "started_again": len(trial.plant.started_again),
        "rounds": trial.log,
    }


def spread(values: Sequence[float]) -> dict[str, float]:
    """Least, median and greatest (最小、中位、最大)."""
    if not values:
        return {}
    return {"min": min(values), "median": round(statistics.median(values), 2), "max": max(values)}


__all__ = ["NotAcknowledged", "blows", "figures", "last_look", "run_on", "strike", "trial_on"]
