"""The national bench (单份上报压测): lists by transaction 4101A at a given rate, over HTTP, against the whole platform on its own servers.

An open loop: each message has its due time and its latency counts from it, so that a platform that falls behind shows it. The floor is
what the same machine does with the least there is: a transaction that inserts the same bytes and commits.
"""

from __future__ import annotations

import asyncio
import datetime as dt
import itertools
import shutil
import tempfile
import time
import uuid
from collections import Counter, deque
from pathlib import Path
from typing import Any

import asyncpg
import httpx
import msgspec

from fenzhi.access.roles import Role
from fenzhi.cli.bench_submission import cpu_seconds, set_up
from fenzhi.cli.flow.client import Cast
from fenzhi.cli.process_memory import peak_memory
from fenzhi.cli.status import PlatformStatus
from fenzhi.cli.synthetic.full_lists import full, national_input
from fenzhi.cli.synthetic.lists import settlement_lists
from fenzhi.cli.synthetic.plan import ProvincePlan
from fenzhi.cli.synthetic.province import synthetic_province
from fenzhi.cli.tokens import token_maker
from fenzhi.cli.up import start_detached, stop_platform
from fenzhi.settings import Settings
from fenzhi.store.session import Database

CONNECTIONS = 32
RAW_S = 3.0
WARM_UP = 100


def bench_national(cases: int, seed: int, rate: int = 300) -> dict[str, object]:
    """File `cases` full lists by 4101A, `rate` a second, and report latency from due time (单份上报压测). Units: ms.

    Answers answered_per_s, p50_ms, p99_ms, most_ms, errors, cpu_ms_per_list of API, worker and database, floors, ratios.
    Raises: Conflict when the platform does not start.
    """
    folder = Path(tempfile.mkdtemp(prefix="fenzhi-bench-"))
    folder.chmod(0o755)
    settings = Settings(state_dir=folder / "state", api_port=0)
    try:
        status = start_detached(settings, say=lambda _zh, _en: None)
        with peak_memory(status) as peaks:
            report = asyncio.run(_measure(settings, status, cases, seed, rate))
        return {**report, **peaks.report()}
    finally:
        stop_platform(settings.state_dir)
        shutil.rmtree(folder, ignore_errors=True)


async def _measure(settings: Settings, status: PlatformStatus, cases: int, seed: int, rate: int) -> dict[str, object]:
    plan = synthetic_province(seed)
    database = Database(status.app_dsn, pool_size=2, application="fenzhi-bench")
    try:
        async with httpx.AsyncClient(base_url=status.api_url, timeout=120, trust_env=False) as http:
            cast = Cast(http, token_maker(settings, database))
            await set_up(cast, plan)
            requests = await _requests(cast, plan, cases + WARM_UP)
    finally:
        await database.close()
    raw_per_s = await _raw_transactions(status.owner_dsn, requests[0])
    address = httpx.URL(status.api_url)
    loop = OpenLoop(str(address.host), int(address.port or 80))
    await loop.run(requests[:WARM_UP], min(rate, 50))
    loop.forget()
    before = cpu_seconds(status)
    began = time.perf_counter()
    await loop.run(requests[WARM_UP:], rate)
    seconds = time.perf_counter() - began
    spent = {name: value - before.get(name, 0.0) for name, value in cpu_seconds(status).items()}
    latencies = sorted(loop.latencies)
    return {
        "mode": "national",
        "cases": cases,
        "seed": seed,
        "rate": rate,
        "seconds": round(seconds, 2),
        "answered_per_s": round(len(latencies) / seconds, 1),
        "errors": sum(loop.errors.values()),
        "errors_seen": dict(loop.errors),
        "p50_ms": _at(latencies, 50),
        "p99_ms": _at(latencies, 99),
        "most_ms": _at(latencies, 100),
        "cpu_ms_per_list": {name: round(1000 * value / max(1, cases), 2) for name, value in sorted(spent.items())},
        "floors": {"raw_transactions_per_s": int(raw_per_s)},
        "ratios": {"raw_transactions": round(len(latencies) / seconds / raw_per_s, 4)},
        "includes": {
            "timed": "due time → HTTP, token, envelope, signature rule, list encrypted and committed with its audit and answer",
            "not_timed": "servers, tenants, policies, codes, catalog, making the messages",
            "bytes_per_message": len(requests[0]),
            "connections": CONNECTIONS,
            "data": "synthetic",
        },
    }


async def _requests(cast: Cast, plan: ProvincePlan, wanted: int) -> list[bytes]:
    """Whole HTTP requests, made beforehand so that the bench costs the machine little while it measures."""
    year = plan.settlement_year
    # Faulty and repeated lines are left out: every message is a sound list of its own.
    lines = settlement_lists(plan, wanted * 5 // 4 + 20, dt.date(year, 1, 1), dt.date(year, 12, 31))
    tokens: dict[str, str] = {}
    made: list[bytes] = []
    seen: set[str] = set()
    for number, (hospital, line) in enumerate(lines, 1):
        try:
            message = msgspec.json.decode(line)
            content = national_input(full(message, number))
        except (msgspec.MsgspecError, KeyError, TypeError, ValueError):
            continue
        if message["setl_id"] in seen or message["fixmedins_code"] != hospital:
            continue
        seen.add(message["setl_id"])
        if hospital not in tokens:
            headers = await cast.actor(hospital, Role.HOSPITAL_SUBMITTER).headers()
            tokens[hospital] = headers["authorization"]
        made.append(_request(hospital, tokens[hospital], content))
        if len(made) == wanted:
            break
    return made


def _request(hospital: str, authorization: str, content: dict[str, Any]) -> bytes:
    body = msgspec.json.encode(
        {
            "infno": "4101A",
            "msgid": f"{hospital}{uuid.uuid4().hex[:18]}",
            "mdtrtarea_admvs": content["setlinfo"]["insuplc"],
            "insuplc_admdvs": content["setlinfo"]["insuplc"],
            "recer_sys_code": "FENZHI",
            "infver": "V1.0",
            "inf_time": "2025-01-10 08:00:00",
            "fixmedins_code": hospital,
            "input": content,
        }
    )
    head = (
        f"POST /v1/nhsa/4101A HTTP/1.1\r\nhost: bench\r\nauthorization: {authorization}\r\n"
        f"content-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


class OpenLoop:
    """Sends each request when it is due, over kept connections (开环负载); a request that finds none free waits, and its wait counts."""

    def __init__(self, host: str, port: int) -> None:
        self._address = (host, port)
        self.latencies: list[float] = []
        """Seconds from due time to the last byte of each good answer."""
        self.errors: Counter[str] = Counter()

    def forget(self) -> None:
        """Begin to count anew."""
        self.latencies, self.errors = [], Counter()

    async def run(self, requests: list[bytes], rate: int) -> None:
        """Send the requests, `rate` a second."""
        waiting: deque[tuple[float, bytes]] = deque()
        due = asyncio.Event()
        is_over = False

        async def sender() -> None:
            reader, writer = await asyncio.open_connection(*self._address)
            while True:
                while not waiting:
                    if is_over:
                        writer.close()
                        return
                    due.clear()
                    await due.wait()
                due_at, request = waiting.popleft()
                try:
                    writer.write(request)
                    status, body = await _answer(reader)
                except (OSError, asyncio.IncompleteReadError, ValueError) as exc:
                    self.errors[type(exc).__name__] += 1
                    reader, writer = await asyncio.open_connection(*self._address)
                    continue
                if status == 200 and b'"infcode":"0"' in body:
                    self.latencies.append(time.perf_counter() - due_at)
                else:
                    self.errors[f"{status} {body[:80]!r}"] += 1

        senders = [asyncio.create_task(sender()) for _ in range(CONNECTIONS)]
        began = time.perf_counter()
        for number, request in zip(itertools.count(), requests, strict=False):
            at = began + number / rate
            if (pause := at - time.perf_counter()) > 0:
                await asyncio.sleep(pause)
            waiting.append((at, request))
            due.set()
        is_over = True
        while not all(one.done() for one in senders):
            due.set()
            await asyncio.sleep(0.005)
        await asyncio.gather(*senders)


async def _answer(reader: asyncio.StreamReader) -> tuple[int, bytes]:
    head = await reader.readuntil(b"\r\n\r\n")
    length = next(
        int(line.partition(b":")[2]) for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")
    )
    return int(head[9:12]), await reader.readexactly(length)


async def _raw_transactions(owner_dsn: str, request: bytes) -> float:
    """Transactions a second that insert one message and commit, over eight connections (裸事务下限)."""
    setup = await asyncpg.connect(owner_dsn)
    await setup.execute("create table bench_floor (id uuid primary key, line bytea not null)")
    done = [0]
    until = time.perf_counter() + RAW_S

    async def work() -> None:
        connection = await asyncpg.connect(owner_dsn)
        while time.perf_counter() < until:
            await connection.execute("insert into bench_floor values ($1, $2)", uuid.uuid4(), request)
            done[0] += 1
        await connection.close()

    try:
        await asyncio.gather(*(work() for _ in range(8)))
    finally:
        await setup.execute("drop table bench_floor")
        await setup.close()
    return done[0] / RAW_S


def _at(latencies: list[float], percent: int) -> float:
    """A percentile, nearest rank. Units: ms."""
    if not latencies:
        return 0.0
    rank = max(1, -(-len(latencies) * percent // 100))
    return round(1000 * latencies[rank - 1], 1)
