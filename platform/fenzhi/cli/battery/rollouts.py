"""Section rollouts (滚动更新测试): API replicas and workers replaced one after another under load; no request fails, no job runs twice.

Clients go round the replicas and send again only where a connection was refused, which is before anything was sent.
"""

from __future__ import annotations

import asyncio
import itertools
import random
import signal
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import httpx

from fenzhi.access.roles import Role
from fenzhi.cli.battery.history import History
from fenzhi.cli.battery.kills import spread, superuser_dsn
from fenzhi.cli.battery.real_processes import Plant, Process, plant
from fenzhi.cli.battery.small_world import Sent, SmallWorld, small_world
from fenzhi.cli.battery.store_checks import Findings, begin, check_run, check_store, connected
from fenzhi.cli.battery.tally import Tally
from fenzhi.cli.servers import ServerAddresses, Servers

ROUNDS = 50
SENDERS = 3
LEAVES_WITHIN_S = 40.0
"""The time an API pod is given to end."""
NOTICED_AFTER_S = 1.5
"""How long after SIGTERM clients still choose the replica that leaves, as with an endpoint that is taken away late."""


class RoundRobin(httpx.AsyncBaseTransport):
    """Goes round the replicas (轮询客户端); sends again where a connection was refused and nowhere else."""

    def __init__(self) -> None:
        self.ports: list[int] = []
        self.refused = 0
        self.answered = 0
        self.failed: list[str] = []
        self._turn = itertools.count()
        self._inner = httpx.AsyncHTTPTransport(limits=httpx.Limits(max_keepalive_connections=20, keepalive_expiry=60))

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        for _ in range(20):
            port = self.ports[next(self._turn) % len(self.ports)]
            request.url = request.url.copy_with(port=port)
            request.headers["host"] = f"127.0.0.1:{port}"
            try:
                response = await self._inner.handle_async_request(request)
            except httpx.ConnectError:
                self.refused += 1
                await asyncio.sleep(0.02)
                continue
            except httpx.TransportError as exc:
                self.failed.append(f"{request.method} {request.url.path} at {port}: {type(exc).__name__}: {exc}")
                raise
            self.answered += 1
            if response.status_code >= 500:
                self.failed.append(f"{request.method} {request.url.path} at {port}: {response.status_code}")
            return response
        raise httpx.ConnectError("every replica refused")

    async def aclose(self) -> None:
        await self._inner.aclose()


@dataclass
class Rollout:
    """A platform of two replicas and two workers, under load (滚动更新现场)."""

    plant: Plant
    world: SmallWorld
    robin: RoundRobin
    findings: Findings
    history: History = field(default_factory=History)
    batches: list[Sent] = field(default_factory=list)
    left_s: dict[str, list[float]] = field(default_factory=dict)
    stop: asyncio.Event = field(default_factory=asyncio.Event)
    slow_uploads: int = 0
    runs: int = 0


async def run_on(servers: Servers, addresses: ServerAddresses, seed: int, rounds: int) -> Tally:
    """`rounds` restarts under load (滚动更新测试组)."""
    from fenzhi_migrations.upgrade import upgrade_to_head

    await asyncio.to_thread(upgrade_to_head, addresses.owner_dsn)
    tally = Tally()
    folder = servers.state_dir.parent / "plant"
    folder.mkdir(mode=0o755)
    await roll(tally, addresses, folder, seed, rounds or ROUNDS)
    return tally


async def roll(tally: Tally, addresses: ServerAddresses, folder: Path, seed: int, rounds: int) -> None:
    """Replace processes one after another while clients work; judge at the end (滚动更新)."""
    chance = random.Random(seed)
    robin = RoundRobin()
    with plant(addresses, folder, apis=2, workers=2) as made:
        robin.ports = list(made.ports)
        http = httpx.AsyncClient(transport=robin, base_url="http://127.0.0.1", timeout=30)
        world = await small_world(made.cast(http))
        rollout = Rollout(made, world, robin, await begin(superuser_dsn(addresses), made.lease_s))
        load = [asyncio.create_task(_sending(rollout, number)) for number in range(SENDERS)]
        load += [asyncio.create_task(_clearing(tally, rollout)), asyncio.create_task(_uploading_slowly(tally, rollout))]
        await asyncio.sleep(1)
        try:
            for number in range(1, rounds + 1):
                await _replace(tally, rollout, "API" if number % 2 else "worker", number, chance)
                if number % 10 == 0:
                    await _check(tally, rollout, f"restart {number}", whole=False)
        finally:
            rollout.stop.set()
            outcomes = await asyncio.gather(*load, return_exceptions=True)
        for outcome in outcomes:
            tally.saw("the load went on", outcome is None, f"{type(outcome).__name__}: {outcome}")
        await _check(tally, rollout, "at the end", whole=True)
        await made.close_clients()
    for line in robin.failed:
        tally.saw("no request failed", False, line)
    tally.saw("no request failed", not robin.failed, f"{len(robin.failed)} of {robin.answered}")
    tally.figures |= {
        "restarts": rounds,
        "requests": robin.answered,
        "refused_and_sent_elsewhere": robin.refused,
        "failed": len(robin.failed),
        "batches": len(rollout.batches),
        "slow_uploads": rollout.slow_uploads,
        "runs": rollout.runs,
        "left_after_s": {kind: spread(found) for kind, found in rollout.left_s.items()},
    }


async def _replace(tally: Tally, rollout: Rollout, kind: str, number: int, chance: random.Random) -> None:
    """Start a new process, wait until it is ready, tell an old one to stop."""
    made = rollout.plant
    if kind == "API":
        made.add_api()
        place = len(made.apis) - 1
        await made.ready(place)
        rollout.robin.ports.append(made.ports[place])
        old = next(api for api in made.apis if api.is_alive)
        port = made.ports[made.apis.index(old)]
    else:
        # Every other worker has no time to end what it has in hand, and gives it back.
        env: Mapping[str, str] = {"FENZHI_WORKER_DRAIN_S": "0"} if number % 4 == 0 else {}
        made.add_worker(env)
        old = next(worker for worker in made.workers if worker.is_alive)
        port = 0
        await asyncio.sleep(1.5 + chance.random())
    began = time.monotonic()
    old.send(signal.SIGTERM)
    leaving = asyncio.create_task(_gone(old))
    if port:
        await asyncio.sleep(NOTICED_AFTER_S)
        rollout.robin.ports.remove(port)
    has_left = await leaving
    rollout.left_s.setdefault(kind, []).append(round(time.monotonic() - began, 2))
    tally.saw(f"{kind} left by itself", has_left, f"restart {number}: not within {LEAVES_WITHIN_S:.0f} s")
    if not has_left:
        old.kill()


async def _gone(process: Process) -> bool:
    until = time.monotonic() + LEAVES_WITHIN_S
    while time.monotonic() < until:
        if not process.is_alive:
            return True
        await asyncio.sleep(0.02)
    return False


async def _sending(rollout: Rollout, sender: int) -> None:
    hospitals = rollout.world.hospitals()
    for number in itertools.count():
        if rollout.stop.is_set():
            return
        hospital = hospitals[(sender + number) % len(hospitals)]
        await rollout.world.submit(rollout.history, hospital, f"sender {sender}, batch {number}", into=rollout.batches)


async def _clearing(tally: Tally, rollout: Rollout) -> None:
    while not rollout.stop.is_set():
        run = await rollout.world.compute_month(rollout.history)
        await check_run(tally, rollout.findings, run, rollout.world.undisturbed, "under load")
        await rollout.world.void(rollout.history, run["id"])
        rollout.runs += 1


async def _uploading_slowly(tally: Tally, rollout: Rollout) -> None:
    """One upload after another that takes some seconds, so that one is always under way when a replica is told to stop."""
    world, history = rollout.world, rollout.history
    hospital = world.hospitals()[0]
    actor = world.cast.actor(hospital, Role.HOSPITAL_SUBMITTER)
    while not rollout.stop.is_set():
        label = f"slow {rollout.slow_uploads}"
        order = {"purpose": "LISTS", "mode": "PARTIAL", "label": label}
        sent = Sent(label, hospital, [], 1)
        rollout.batches.append(sent)
        batch = (await history.act(actor, "batchCreate", order, "batch { id uploadPath }"))["batch"]
        sent.batch = batch["id"]
        sent.lists, body = world.fresh_part(hospital)

        async def dripping(body: bytes = body) -> AsyncIterator[bytes]:
            step = len(body) // 8 + 1
            for start in range(0, len(body), step):
                yield body[start : start + step]
                await asyncio.sleep(0.4)

        path = f"{batch['uploadPath'].rstrip('/')}/1"
        with suppress(httpx.TransportError):
            response = await actor.http.put(path, content=dripping(), headers=await actor.headers())
            tally.saw("slow upload kept", response.status_code == 201, f"{label}: {response.status_code}")
        await history.put_part(actor, batch["uploadPath"], 1, body)
        sealed = await history.act(actor, "batchSeal", {"batch": batch["id"], "parts": 1}, "batch { id job { id } }")
        sent.job = sealed["batch"]["job"]["id"]
        sent.state = await history.wait(actor, sent.job)
        rollout.slow_uploads += 1


async def _check(tally: Tally, rollout: Rollout, context: str, *, whole: bool) -> None:
    tally.saw("answers are typed", not rollout.history.odd, f"{context}: {rollout.history.odd[:2]}")
    if not whole:
        return
    await check_store(tally, rollout.findings, rollout.history, rollout.batches, context)
    connection = await connected(rollout.findings.dsn)
    try:
        again = await connection.fetch(
            "select kind, attempt, state, error_code, finished_at - started_at as took from job "
            "where recorded_at >= $1 and attempt > 1 and max_attempts = 5 order by recorded_at",
            rollout.findings.since,
        )
    finally:
        await connection.close()
    # A job handed back has one attempt more to use; one that was run again without that was taken from a worker that had left it.
    tally.saw(
        "no job left behind", not again, f"{context}: {len(again)} jobs taken over, {[tuple(r) for r in again[:4]]}"
    )
