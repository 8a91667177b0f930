"""Section canaries (金丝雀): a word of its own in every text column of every tenant, the traffic of all roles, and a look at every byte that left."""

from __future__ import annotations

import asyncio
import base64
import io
import json
import os
import random
import tempfile
import threading
import zipfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import asyncpg
import httpx
from graphql import build_schema
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from prometheus_client import generate_latest
from redis.asyncio import Redis
from starlette.routing import Route

from fenzhi.access.roles import Role, TenantKind
from fenzhi.cli.battery.planting import homeless, plant
from fenzhi.cli.battery.sights import leave_a_table, work_off
from fenzhi.cli.battery.tally import Tally
from fenzhi.cli.database_roles import replace_dsn
from fenzhi.cli.flow.client import fresh_key
from fenzhi.cli.probes.enumerate import questions
from fenzhi.cli.probes.judge import Judge, not_admitted
from fenzhi.cli.probes.paths import ask_path, methods_of
from fenzhi.cli.probes.stage import probed_world
from fenzhi.cli.probes.world import CANARY, ProbedWorld, personal_canary
from fenzhi.cli.servers import ServerAddresses, Servers
from fenzhi.services.acts import Platform
from fenzhi.services.audit.chain import anchor, chain_waiting
from fenzhi.telemetry.metrics import REGISTRY
from fenzhi.telemetry.traces import tracing_to

_PATIENT, _PERSONAL = "patient-H", "personal-H"
_REVEAL = """mutation($i: PersonalFieldsRevealInput!) { personalFieldsReveal(input: $i) {
  personalFields { case personNo personName certificateNo } userErrors { code } } }"""


async def run_on(servers: Servers, addresses: ServerAddresses, seed: int, rounds: int) -> Tally:
    """Plant, ask as `rounds` subjects (by default all), and look at every byte (金丝雀测试组)."""
    tally = Tally()
    tally.saw("columns", not homeless(), f"nobody owns {homeless()}")
    with _watched_folder() as folder:
        async with _watched_redis(addresses.redis_url) as redis:
            log, spans = io.StringIO(), InMemorySpanExporter()
            with tracing_to(SimpleSpanProcessor(spans), "fenzhi-battery"):
                async with probed_world(addresses, seed, log=log) as world:
                    master = _platform(world).keyring._master
                    left = await _traffic(addresses, world, tally, random.Random(seed), rounds)
                    await _look_at_jobs(addresses, tally, left)
            places = {
                "log": log.getvalue().encode(),
                "traces": "\n".join(span.to_json() for span in spans.get_finished_spans()).encode(),
                "metrics": generate_latest(REGISTRY),
                "redis": redis.everything(),
                "temporary files": folder.everything(),
                **_logs_of(servers.state_dir),
            }
    secrets = _secrets(addresses, left, master)
    for name, content in places.items():
        for word in (CANARY.encode() + b"-", _PATIENT.encode(), _PERSONAL.encode()):
            tally.saw(f"{name}: words", word not in content, f"{word.decode()} in {_around(content, word)}")
        for what, secret in secrets:
            tally.saw(f"{name}: secrets", secret not in content, f"{what} in {name}")
    for answer in left.answers:
        for what, secret in secrets:
            if secret in answer.content:
                tally.saw("answers: secrets", False, f"{what} in {answer.label}")
    tally.saw("answers: secrets", True, "")
    tally.figures |= {
        "answers": len(left.answers),
        "bytes": sum(len(a.content) for a in left.answers),
        "places": {n: len(c) for n, c in places.items()},
    }
    tally.saw("looked at something", len(places["log"]) > 10_000 and len(places["redis"]) > 100, str(tally.figures))
    return tally


@dataclass(frozen=True, slots=True)
class Answer:
    """One answer as it left (响应): whose, what of, all bytes with its headers."""

    tenant: str
    label: str
    content: bytes


@dataclass
class Left:
    """Everything that left by the API (全部响应)."""

    answers: list[Answer] = field(default_factory=list)
    tokens: set[str] = field(default_factory=set)
    revealed: dict[str, str] = field(default_factory=dict)
    """Request id → hospital whose patient was asked to be revealed, or whose own table was."""

    async def note(self, response: httpx.Response) -> None:
        """Keep an answer, files unpacked."""
        await response.aread()
        token = response.request.headers.get("authorization", "").removeprefix("Bearer ")
        tenant = ""
        with suppress(ValueError, IndexError, KeyError):
            body = token.split(".")[1]
            tenant = json.loads(base64.urlsafe_b64decode(body + "=" * (-len(body) % 4)))["tid"]
            self.tokens.add(token)
        headers = "\n".join(f"{k}: {v}" for k, v in response.headers.multi_items()).encode()
        label = f"{response.request.method} {response.request.url.path} as {tenant} {response.headers['x-request-id']}"
        self.answers.append(Answer(tenant, label, headers + b"\n\n" + _unpacked(response.content)))


def _unpacked(content: bytes) -> bytes:
    if not content.startswith(b"PK"):
        return content
    with zipfile.ZipFile(io.BytesIO(content)) as packed:
        return b"\n".join(packed.read(name) for name in packed.namelist())


async def _traffic(
    addresses: ServerAddresses, world: ProbedWorld, tally: Tally, rng: random.Random, rounds: int
) -> Left:
    """Plant, then ask everything as everybody, reveal, take tables back; every answer is looked at for words of others."""
    left = Left()
    world.cast.http.event_hooks["response"].append(left.note)
    hospital = next(c for c, t in world.tenants.items() if t.kind is TenantKind.HOSPITAL)
    platform = _platform(world)
    await leave_a_table(world, hospital, 3)
    superuser = await asyncpg.connect(_superuser(addresses))
    try:
        await _break_a_batch(world, superuser, hospital)
        planted = await plant(superuser, world)
    finally:
        await superuser.close()
    tally.figures["planted"] = {"columns": len(planted), "with_rows": sum(n > 0 for n in planted.values())}
    tally.figures["columns_without_rows"] = sorted(name for name, n in planted.items() if n == 0)
    tally.saw("columns", sum(n > 0 for n in planted.values()) > 45, str(planted))
    while await chain_waiting(platform):
        pass
    await anchor(platform)
    for tenant, role in world.subjects():
        refusal = not_admitted(json.dumps(await world.cast.actor(tenant, role).raw("{ __typename }")))
        tally.saw("let in after planting", not refusal, f"{role.value}@{tenant}: {refusal}")
    judge = await _ask_everything(world, rng, rounds)
    tally.saw("crashes", not judge.verdicts.crashes, str(judge.verdicts.crashes[:3]))
    tally.saw(
        "questions heard", not judge.verdicts.unheard, f"{len(judge.verdicts.unheard)}: {judge.verdicts.unheard[:3]}"
    )
    await _open_own(world, left, hospital)
    for answer in left.answers:
        allowed = left.revealed.get(answer.label.rsplit(" ", 1)[-1], "")
        words = world.foreign_canaries(answer.tenant) if answer.tenant else [CANARY, _PATIENT, _PERSONAL]
        found = [w for w in words if w.encode() in answer.content and w != personal_canary(allowed or "-")]
        tally.saw("answers: words of others", not found, f"{answer.label}: {found[:3]}")
    own = sum(CANARY.encode() in a.content for a in left.answers)
    tally.saw("owners see their own", own * 50 > len(left.answers), f"only {own} answers carry any word")
    seen = {name for name, n in planted.items() if n and any(name.encode() in a.content for a in left.answers)}
    tally.figures |= {"answers_with_words": own, "columns_seen_in_answers": len(seen)}
    return left


async def _ask_everything(world: ProbedWorld, rng: random.Random, rounds: int) -> Judge:
    from fenzhi_graphql.app import routes
    from fenzhi_graphql.print_schema import schema_text

    judge = Judge(world)
    asked = list(questions(build_schema(schema_text())))
    table = [r for r in routes(b"") if isinstance(r, Route) and r.path not in ("/graphql", "/healthz", "/readyz")]
    subjects = world.subjects()
    for subject, role in rng.sample(subjects, min(rounds or len(subjects), len(subjects))):
        for question in asked:
            await judge.ask(question, subject, role)
        for route in table:
            for method in methods_of(route):
                await ask_path(judge, route, method, subject, role)
    return judge


async def _open_own(world: ProbedWorld, left: Left, hospital: str) -> None:
    """Reveal personal fields and take an own table back: the two answers that may carry a personal word."""
    submitter = world.cast.actor(hospital, Role.HOSPITAL_SUBMITTER)
    city = next(c for c in world.ancestors(hospital) if world.tenants[c].kind is TenantKind.CITY)
    clerk = world.cast.actor(city, Role.CITY_SETTLEMENT_CLERK)
    for actor in (submitter, clerk):
        case = world.objects["InpatientCase"][hospital][0]
        order = {"idempotencyKey": fresh_key(), "case": case, "purpose": "REVIEW", "reason": "抽查2026"}
        response = await actor.send("POST", "/graphql", json={"query": _REVEAL, "variables": {"i": order}})
        assert personal_canary(hospital) in response.text, response.text
        left.revealed[response.headers["x-request-id"]] = hospital
    table = world.objects["Table"][hospital][0]
    response = await submitter.send("GET", f"/v1/batches/{table}/annotated.xlsx")
    left.revealed[response.headers["x-request-id"]] = hospital


async def _break_a_batch(world: ProbedWorld, superuser: Any, hospital: str) -> None:
    """A batch whose kept bytes were damaged: its job ends badly, with patients' lists in hand."""
    actor = world.cast.actor(hospital, Role.HOSPITAL_SUBMITTER)
    order = {"purpose": "LISTS", "mode": "PARTIAL", "label": "damaged"}
    batch = (await actor.do("batchCreate", "BatchCreateInput", order, "batch { id uploadPath }"))["batch"]
    line = json.dumps({"setl_id": "patient-HX-damaged", "psn_name": f"{personal_canary(hospital)}damaged"}).encode()
    await actor.send("PUT", batch["uploadPath"] + "1", content=line + b"\n")
    key = base64.urlsafe_b64decode(batch["id"] + "==").decode().partition(":")[2]
    await superuser.execute(
        "update batch_part set sealed_bytes = set_byte(sealed_bytes, 20, get_byte(sealed_bytes, 20) # 1) where batch_id = $1::uuid",
        key,
    )
    await actor.do("batchSeal", "BatchSealInput", {"batch": batch["id"], "parts": 1}, "batch { id }")
    await work_off(_platform(world), may_fail=True)


async def _look_at_jobs(addresses: ServerAddresses, tally: Tally, left: Left) -> None:
    """What jobs say of their ends, and what acts stored with their keys, holds nothing personal."""
    del left
    superuser = await asyncpg.connect(_superuser(addresses))
    try:
        for name, query in (
            (
                "job errors",
                "select coalesce(error_zh, '') || coalesce(error_en, '') || coalesce(result::text, '') || payload::text as t from job",
            ),
            ("stored answers", "select response::text as t from idempotency_key"),
            ("audit", "select row_to_json(audit_event)::text as t from audit_event"),
            ("verdicts", "select row_to_json(verdict)::text as t from verdict"),
            ("plain tables", "select row_to_json(inpatient_case)::text as t from inpatient_case"),
        ):
            rows = await superuser.fetch(query)
            bad = [r["t"] for r in rows if _PERSONAL in r["t"]]
            tally.saw(f"{name}: personal words", not bad and bool(rows), f"{len(bad)} of {len(rows)}: {bad[:1]}")
        ended = await superuser.fetchval("select count(*) from job where error_code is not null")
        tally.saw("a job ended badly", ended > 0, "none did: nothing was tried")
    finally:
        await superuser.close()


def _superuser(addresses: ServerAddresses) -> str:
    return replace_dsn(addresses.superuser_dsn, database=addresses.app_dsn.rsplit("/", 1)[1])


def _platform(world: ProbedWorld) -> Platform:
    if world.platform is None:
        raise LookupError("this world has no platform")
    return world.platform


def _secrets(addresses: ServerAddresses, left: Left, master: bytes) -> list[tuple[str, bytes]]:
    """What must be nowhere: the master key, passwords of the DSNs, tokens that were used."""
    found = [("the master key", one) for one in (master, master.hex().encode(), base64.b64encode(master))]
    for name in ("owner_dsn", "app_dsn", "superuser_dsn"):
        password = urlsplit(getattr(addresses, name)).password
        if password:
            found.append((f"password of {name}", unquote(password).encode()))
    found += [("a token", token.encode()) for token in sorted(left.tokens)]
    found += [("the signature of a token", token.rsplit(".", 1)[1].encode()) for token in sorted(left.tokens)]
    return found


def _logs_of(state_dir: Path) -> dict[str, bytes]:
    return {f"log of {file.stem}": file.read_bytes() for file in sorted((state_dir / "logs").glob("*.log"))}


def _around(content: bytes, word: bytes) -> str:
    at = content.find(word)
    return content[max(0, at - 120) : at + 120].decode("utf-8", "replace") if at >= 0 else ""


@dataclass
class _Folder:
    path: Path
    seen: dict[str, bytes] = field(default_factory=dict)
    stop: threading.Event = field(default_factory=threading.Event)

    def look(self) -> None:
        """Read what lies there, again and again: a file may live for moments only."""
        while not self.stop.wait(0.02):
            self.once()

    def once(self) -> None:
        """Read what lies there now."""
        for file in self.path.rglob("*"):
            with suppress(OSError):
                if file.is_file():
                    self.seen[str(file)] = max(self.seen.get(str(file), b""), file.read_bytes(), key=len)

    def everything(self) -> bytes:
        """All that was ever there, names included."""
        self.once()
        return b"\n".join(name.encode() + b"\n" + content for name, content in self.seen.items())


@contextmanager
def _watched_folder() -> Iterator[_Folder]:
    """Temporary files go into a folder that is watched (临时文件监视)."""
    kept, kept_env = tempfile.tempdir, os.environ.get("TMPDIR")
    with tempfile.TemporaryDirectory(prefix="fenzhi-canaries-") as path:
        tempfile.tempdir = path
        os.environ["TMPDIR"] = path
        folder = _Folder(Path(path))
        thread = threading.Thread(target=folder.look, daemon=True)
        thread.start()
        try:
            yield folder
        finally:
            folder.stop.set()
            thread.join()
            tempfile.tempdir = kept
            if kept_env is None:
                os.environ.pop("TMPDIR", None)
            else:
                os.environ["TMPDIR"] = kept_env


@dataclass
class _Redis:
    commands: list[str] = field(default_factory=list)
    kept: list[bytes] = field(default_factory=list)

    def everything(self) -> bytes:
        """Every command that passed and everything that lay there at the end."""
        return "\n".join(self.commands).encode() + b"\n" + b"\n".join(self.kept)


@asynccontextmanager
async def _watched_redis(url: str) -> AsyncIterator[_Redis]:
    """Every command that reaches Redis, and at the end every key and value (Redis 监视)."""
    watched, client = _Redis(), Redis.from_url(url)
    begun = asyncio.Event()

    async def listen() -> None:
        async with client.monitor() as monitor:
            begun.set()
            async for command in monitor.listen():
                watched.commands.append(str(command["command"]))

    task = asyncio.create_task(listen())
    await begun.wait()
    try:
        yield watched
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
        async for key in client.scan_iter():
            watched.kept += [key, await _value(client, key)]
        await client.aclose()


async def _value(client: Any, key: bytes) -> bytes:
    dumped: bytes | None = await client.dump(key)
    return dumped or b""
