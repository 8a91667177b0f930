"""Section uploads (上传中断测试): bodies cut at every sixteenth, senders that vanish, senders that crawl; a part is kept whole or not at all."""

from __future__ import annotations

import asyncio
import hashlib
import random
import socket
import struct
import time
from contextlib import suppress
from pathlib import Path

import httpx

from fenzhi.access.roles import Role
from fenzhi.cli.battery.history import History
from fenzhi.cli.battery.kills import spread, superuser_dsn
from fenzhi.cli.battery.real_processes import Plant, plant
from fenzhi.cli.battery.small_world import SmallWorld, small_world
from fenzhi.cli.battery.store_checks import connected
from fenzhi.cli.battery.tally import Tally
from fenzhi.cli.flow.client import Actor
from fenzhi.cli.servers import ServerAddresses, Servers

ROUNDS = 200
CRAWLERS = 20
VANISHED_WAIT_S = 25.0
PROBE_MS_MOST = 1000.0
WAYS = ("length, end", "length, reset", "chunked, end", "chunked, reset")
"""How the body is framed, and how the sender leaves."""


async def run_on(servers: Servers, addresses: ServerAddresses, seed: int, rounds: int) -> Tally:
    """`rounds` cut uploads, then vanished and crawling senders (上传中断测试组)."""
    from fenzhi_migrations.upgrade import upgrade_to_head

    await asyncio.to_thread(upgrade_to_head, addresses.owner_dsn)
    tally = Tally()
    folder = servers.state_dir.parent / "plant"
    folder.mkdir(mode=0o755)
    (folder / "tmp").mkdir()
    with plant(addresses, folder, env={"TMPDIR": str(folder / "tmp")}) as made:
        world = await small_world(made.cast())
        await cut_uploads(tally, made, world, superuser_dsn(addresses), folder / "tmp", seed, rounds or ROUNDS)
        await slow_senders(tally, made, world, superuser_dsn(addresses))
        await made.close_clients()
    return tally


async def cut_uploads(
    tally: Tally, made: Plant, world: SmallWorld, dsn: str, scratch: Path, seed: int, rounds: int
) -> None:
    """Cut uploads at every sixteenth of the body in every way; nothing of them may stay (截断上传)."""
    chance = random.Random(seed)
    history = History()
    hospital = world.hospitals()[0]
    actor = world.cast.actor(hospital, Role.HOSPITAL_SUBMITTER)
    order = {"purpose": "LISTS", "mode": "PARTIAL", "label": f"cut uploads {seed}"}
    batch = (await history.act(actor, "batchCreate", order, "batch { id uploadPath }"))["batch"]
    for number in range(rounds):
        sixteenth, way = number % 16, WAYS[number // 16 % len(WAYS)]
        _, body = world.fresh_part(hospital, chance.choice((3, 12, 200)))
        at = len(body) * sixteenth // 16 + (chance.randrange(len(body) // 16) if number >= 64 else 0)
        path = f"{batch['uploadPath'].rstrip('/')}/1"
        await _cut(made, await actor.headers(), path, body[:at], len(body), way)
        await asyncio.sleep(0.02)
        tally.saw(f"cut, {way}", (await actor.send("HEAD", path)).status_code == 404, f"{sixteenth}/16 of {len(body)}")
    connection = await connected(dsn)
    try:
        kept = await connection.fetchval(
            "select count(*) from batch_part p join batch b using (batch_id) where b.label = $1", order["label"]
        )
    finally:
        await connection.close()
    tally.saw("nothing half stored", kept == 0, f"{kept} parts")
    left = [str(found.name) for found in scratch.rglob("*") if found.is_file()]
    tally.saw("no temporary file left", not left, str(left[:5]))
    lists, body = world.fresh_part(hospital)
    asked = await history.put_part(actor, batch["uploadPath"], 1, body)
    tally.saw("the whole part is kept at last", asked.is_acknowledged, "")
    sealed = await history.act(actor, "batchSeal", {"batch": batch["id"], "parts": 1}, "batch { id job { id } }")
    state = await history.wait(actor, sealed["batch"]["job"]["id"])
    tally.saw("and judged", state == "DONE", f"{state}, {len(lists)} lists")
    tally.saw("answers are typed", not history.odd, str(history.odd[:2]))


async def slow_senders(tally: Tally, made: Plant, world: SmallWorld, dsn: str) -> None:
    """Senders that crawl and senders that vanish without a word: they hold up nobody, and are let go (慢速与失联)."""
    history = History()
    hospital = world.hospitals()[1]
    actor = world.cast.actor(hospital, Role.HOSPITAL_SUBMITTER)
    order = {"purpose": "LISTS", "mode": "PARTIAL", "label": "slow senders"}
    batch = (await history.act(actor, "batchCreate", order, "batch { id uploadPath }"))["batch"]
    _, body = world.fresh_part(hospital, 12)
    path = f"{batch['uploadPath'].rstrip('/')}/1"
    headers = await actor.headers()
    stop = asyncio.Event()
    crawlers = [asyncio.create_task(_crawl(made, headers, path, body, stop)) for _ in range(CRAWLERS)]
    vanished = [asyncio.create_task(_vanish(made, headers, path, body)) for _ in range(CRAWLERS)]
    waits = await _probe(actor, 60)
    tally.saw("others do not wait", max(waits) <= PROBE_MS_MOST, f"{max(waits):.0f} ms")
    tally.figures |= {"probe_beside_slow_senders_ms": spread([round(wait, 1) for wait in waits])}
    let_go = await asyncio.gather(*vanished)
    stop.set()
    await asyncio.gather(*crawlers, return_exceptions=True)
    for answer, seconds in let_go:
        tally.saw(
            "a vanished sender is let go", answer and seconds <= VANISHED_WAIT_S, f"{answer} after {seconds:.1f} s"
        )
    tally.figures |= {"vanished_let_go_after_s": spread([round(seconds, 1) for _, seconds in let_go])}
    tally.saw("nothing of them is kept", (await actor.send("HEAD", path)).status_code == 404, "")
    tally.saw("the part is kept afterwards", (await history.put_part(actor, path[:-1], 1, body)).is_acknowledged, "")


def _head(headers: dict[str, str], path: str, length: int | None, body: bytes) -> bytes:
    digest = hashlib.sha256(body).hexdigest()
    lines = [f"PUT {path} HTTP/1.1", "host: 127.0.0.1", f"authorization: {headers['authorization']}"]
    lines += ["content-type: application/x-ndjson", f"x-request-id: cut-{digest[:12]}"]
    lines.append("transfer-encoding: chunked" if length is None else f"content-length: {length}")
    return "\r\n".join([*lines, "", ""]).encode()


async def _cut(made: Plant, headers: dict[str, str], path: str, sent: bytes, length: int, way: str) -> None:
    """Send so much and leave."""
    reader, writer = await asyncio.open_connection("127.0.0.1", made.ports[0])
    is_chunked = way.startswith("chunked")
    writer.write(_head(headers, path, None if is_chunked else length, sent))
    if is_chunked:
        # The last chunk says that more is in it than comes.
        writer.write(b"%x\r\n" % length + sent)
    else:
        writer.write(sent)
    with suppress(OSError):
        await writer.drain()
    if way.endswith("reset"):
        sock: socket.socket = writer.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        writer.transport.abort()
        return
    if writer.can_write_eof():
        writer.write_eof()
    with suppress(OSError, TimeoutError):
        await asyncio.wait_for(reader.read(), 20)
    writer.close()


async def _crawl(made: Plant, headers: dict[str, str], path: str, body: bytes, stop: asyncio.Event) -> None:
    """One byte a second, until told to stop or the other side has enough."""
    _reader, writer = await asyncio.open_connection("127.0.0.1", made.ports[0])
    writer.write(_head(headers, path, len(body), body))
    for place in range(len(body)):
        if stop.is_set() or writer.is_closing():
            break
        writer.write(body[place : place + 1])
        with suppress(OSError):
            await writer.drain()
        await asyncio.sleep(1)
    writer.transport.abort()


async def _vanish(made: Plant, headers: dict[str, str], path: str, body: bytes) -> tuple[bool, float]:
    """Send half and say nothing more; whether and when the other side lets go."""
    reader, writer = await asyncio.open_connection("127.0.0.1", made.ports[0])
    writer.write(_head(headers, path, len(body), body) + body[: len(body) // 2])
    await writer.drain()
    began = time.monotonic()
    try:
        answer = await asyncio.wait_for(reader.read(64), VANISHED_WAIT_S + 5)
    except (OSError, TimeoutError):
        return False, time.monotonic() - began
    finally:
        writer.close()
    return answer == b"" or b" 408 " in answer[:20], time.monotonic() - began


async def _probe(actor: Actor, count: int) -> list[float]:
    """How long others wait, in milliseconds."""
    waits = []
    for _ in range(count):
        began = time.perf_counter()
        with suppress(httpx.TransportError):
            await actor.send("POST", "/graphql", json={"query": "{ batches(first: 1) { nodes { id } } }"})
        waits.append((time.perf_counter() - began) * 1000)
        await asyncio.sleep(0.15)
    return waits
