"""Section cuts (断链测试): connections cut, delayed, muted and starved between API, worker, PostgreSQL, Redis and client; nothing lost, nothing doubled.

The hard case is a COMMIT that the server carried out and whose answer nobody heard: the request sent again under its key says what became
of it.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import httpx

from fenzhi.cli.battery.fault_proxy import Fault, FaultProxy, fault_proxy
from fenzhi.cli.battery.history import History
from fenzhi.cli.battery.kills import spread, superuser_dsn
from fenzhi.cli.battery.real_processes import Plant, plant, supervised
from fenzhi.cli.battery.small_world import Sent, SmallWorld, small_world
from fenzhi.cli.battery.store_checks import Findings, begin, check_run, check_store
from fenzhi.cli.battery.tally import Tally
from fenzhi.cli.servers import ServerAddresses, Servers

ROUNDS = 200
LEASE_S = 6
"""Short, because a worker whose database is mute gives its job up only when the lease is over."""
CLIENT_WAITS_S = 8.0
TRIES = 5
"""How often a list is sent, at most, for a fault to meet the bytes it waits for."""
SETTLES_S = 90.0
"""Within which everything sent must be settled, whatever happened to the connections."""
DATABASE = ("API and PostgreSQL", "worker and PostgreSQL")
REDIS = ("API and Redis", "worker and Redis")
CLIENT = ("client and API",)
PLAN: tuple[tuple[tuple[str, ...], Fault, int], ...] = (
    (DATABASE, Fault.CUT_AFTER_COMMIT, 70),
    (DATABASE, Fault.CUT_BEFORE_COMMIT, 30),
    (DATABASE, Fault.RESET, 22),
    (DATABASE, Fault.DELAY, 10),
    (DATABASE, Fault.DRIP, 6),
    (DATABASE, Fault.HALF_OPEN, 6),
    (REDIS, Fault.CUT_ANSWER, 8),
    (REDIS, Fault.RESET, 8),
    (REDIS, Fault.DELAY, 4),
    (REDIS, Fault.DRIP, 4),
    (REDIS, Fault.HALF_OPEN, 4),
    (CLIENT, Fault.CUT_ANSWER, 16),
    (CLIENT, Fault.RESET, 6),
    (CLIENT, Fault.DELAY, 2),
    (CLIENT, Fault.DRIP, 2),
    (CLIENT, Fault.HALF_OPEN, 2),
)
"""Which links meet which fault, and how many times of 200 (断链计划)."""


@dataclass
class Wires:
    """A platform whose every connection passes a proxy (受测线路)."""

    plant: Plant
    world: SmallWorld
    proxies: dict[str, FaultProxy]
    findings: Findings
    history: History = field(default_factory=History)
    batches: list[Sent] = field(default_factory=list)
    settled_s: dict[str, list[float]] = field(default_factory=dict)


def cuts(seed: int, rounds: int) -> list[tuple[str, Fault]]:
    """The faults of a run in an order of the seed's (断链序列); fewer rounds keep the proportions, and every kind first."""
    chance = random.Random(seed)
    once = [(links[0], fault) for links, fault, _ in PLAN] + [(links[-1], fault) for links, fault, _ in PLAN]
    rest = [(links[n % len(links)], fault) for links, fault, count in PLAN for n in range(count)]
    chance.shuffle(rest)
    for pair in once:
        if pair in rest:
            rest.remove(pair)
            rest.insert(0, pair)
    found = rest[:rounds]
    chance.shuffle(found)
    return found


async def run_on(servers: Servers, addresses: ServerAddresses, seed: int, rounds: int) -> Tally:
    """`rounds` cuts on one platform (断链测试组)."""
    from fenzhi_migrations.upgrade import upgrade_to_head

    await asyncio.to_thread(upgrade_to_head, addresses.owner_dsn)
    tally = Tally()
    async with wired(addresses, servers.state_dir.parent / "plant") as wires:
        for number, (link, fault) in enumerate(cuts(seed, rounds or ROUNDS), 1):
            await cut(tally, wires, link, fault, number, seed)
        run = await wires.world.compute_month(wires.history, 2)
        await check_run(tally, wires.findings, run, "", "February")
        wires.findings.ended.clear()
        await check_store(tally, wires.findings, wires.history, wires.batches, "at the end")
    asked = wires.history.asked
    tally.figures |= {
        "cuts": sum(len(found) for found in wires.settled_s.values()),
        "settled_s": {name: spread(found) for name, found in sorted(wires.settled_s.items())},
        "requests": len(asked),
        "sent_again": sum(request.sent - 1 for request in asked),
        "left_unacknowledged": sum(not request.is_acknowledged for request in asked),
    }
    return tally


@asynccontextmanager
async def wired(addresses: ServerAddresses, folder: Path) -> AsyncIterator[Wires]:
    """A platform behind proxies, prepared (搭建)."""
    folder.mkdir(mode=0o755, exist_ok=True)
    async with AsyncExitStack() as stack:
        proxies: dict[str, FaultProxy] = {}

        async def through(name: str, url: str) -> str:
            parts = urlsplit(url)
            proxy = await stack.enter_async_context(fault_proxy(parts.hostname or "127.0.0.1", parts.port or 0))
            proxies[name] = proxy
            who = parts.netloc.rpartition("@")[0]
            place = f"{who}@127.0.0.1:{proxy.listening}" if who else f"127.0.0.1:{proxy.listening}"
            return urlunsplit(parts._replace(netloc=place))

        env = {
            kind: {
                "FENZHI_APP_DATABASE_URL": await through(f"{kind} and PostgreSQL", addresses.app_dsn),
                "FENZHI_REDIS_URL": await through(f"{kind} and Redis", addresses.redis_url),
            }
            for kind in ("API", "worker")
        }
        made = stack.enter_context(plant(addresses, folder, apis=0, workers=0, lease_s=LEASE_S))
        made.add_api(env["API"])
        made.add_worker(env["worker"])
        stack.enter_context(supervised(made, None))
        await made.ready()
        http = httpx.AsyncClient(
            base_url=await through("client and API", made.url()), timeout=CLIENT_WAITS_S, trust_env=False
        )
        stack.push_async_callback(made.close_clients)
        world = await small_world(made.cast(http))
        findings = await begin(superuser_dsn(addresses), LEASE_S)
        yield Wires(made, world, proxies, findings)


async def cut(tally: Tally, wires: Wires, link: str, fault: Fault, number: int, seed: int) -> None:
    """One fault in the midst of a submission, every third time of a clearing too; all must settle (一次断链)."""
    chance = random.Random(f"{seed}:{number}")
    context = f"cut {number}, {link}: {fault}"
    proxy, world, history = wires.proxies[link], wires.world, wires.history
    odd, restarts = len(history.odd), len(wires.plant.started_again)
    hospital = chance.choice(world.hospitals())
    with_run = number % 3 == 0
    began = time.monotonic()
    working = asyncio.create_task(_submit_until_it_falls(wires, hospital, number, fault, proxy))
    running = asyncio.create_task(world.compute_month(history)) if with_run else None
    await asyncio.sleep(chance.random() * 0.3)
    proxy.arm(fault, skip=chance.randrange(4) if fault in _BY_BYTES else 0)
    try:
        async with asyncio.timeout(SETTLES_S):
            sent = await working
            run = await running if running is not None else None
        settles = sent.state == "DONE"
        tally.saw("settled", settles, f"{context}: the batch is {sent.state or 'not judged'}")
    except TimeoutError:
        tally.saw("settled", False, f"{context}: not within {SETTLES_S:.0f} s")
        run = None
        await asyncio.gather(working, *([running] if running else []), return_exceptions=True)
    finally:
        fell = proxy.fell
        proxy.disarm()
    wires.settled_s.setdefault(f"{link}: {fault}", []).append(round(time.monotonic() - began, 2))
    tally.saw(f"{link}: {fault}", True, context)
    tally.saw("the fault came about", fell > 0 or fault in _MAY_MISS or link in REDIS, context)
    tally.saw("answers are typed", len(history.odd) == odd, f"{context}: {history.odd[odd:][:2]}")
    tally.saw("no process died", len(wires.plant.started_again) == restarts, context)
    await check_store(tally, wires.findings, history, wires.batches, context)
    if run is not None:
        await check_run(tally, wires.findings, run, world.undisturbed, context)
        if run["state"] == "COMPUTED":
            await world.void(history, run["id"])


async def _submit_until_it_falls(wires: Wires, hospital: str, number: int, fault: Fault, proxy: FaultProxy) -> Sent:
    """Submit, and again while a fault that waits for certain bytes has not met them (送审至故障发生)."""
    for again in range(TRIES):
        label = f"cut {number}" + (f", again {again}" if again else "")
        sent = await wires.world.submit(wires.history, hospital, label, parts=1, into=wires.batches)
        if proxy.fell or fault not in _BY_BYTES or sent.state != "DONE":
            break
    return sent


_BY_BYTES = frozenset({Fault.CUT_AFTER_COMMIT, Fault.CUT_BEFORE_COMMIT, Fault.CUT_ANSWER})
_MAY_MISS = frozenset({Fault.RESET, Fault.HALF_OPEN, Fault.DELAY, Fault.DRIP})
"""Faults of connections that may just not be there; nor is one to Redis in the seconds after a ring that failed."""
