"""Section migrations (迁移测试): from the last release to head while its traffic goes on, down and up again, then both releases at once.

The release before is here as its own statements: explicit columns, in its roles and scopes, over the driver it used. A request is due at
its time whether or not the one before is done, and its latency counts from then.
"""

from __future__ import annotations

import asyncio
import hashlib
import itertools
import json
import random
import time
import uuid
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import asyncpg
from alembic import command

from fenzhi.access.roles import Role
from fenzhi.cli.battery.furnished import at_work, furnish
from fenzhi.cli.battery.tally import Tally
from fenzhi.cli.servers import ServerAddresses
from fenzhi.store.session import new_id
from fenzhi_migrations.upgrade import alembic_config, patiently, upgrade_to_head

RELEASED = "2026_11_21_walls"
"""The last released revision."""
RATE_S = 8.0
"""Submissions a second: the peak of a workday."""
READS_S = 16.0
P99_S, EXCLUSIVE_S = 2.0, 1.0
SAMPLE_S = 0.02
QUIET_S = 3.0
"""Seconds of traffic before and after each step."""
BULK = 20_000
"""Rows of the big tables at the start, times `rounds`."""
_PROVINCE, _AREA, _HOSPITAL = 1_900_001, 1_900_002, 1_900_003


@dataclass
class Released:
    """The release before, as its statements (旧版本流量)."""

    app_dsn: str
    latencies: list[float] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)
    written: int = 0
    tried_again: int = 0
    _pool: Any = None
    _tasks: set[asyncio.Task[None]] = field(default_factory=set)
    _clock: list[asyncio.Task[None]] = field(default_factory=list)
    _columns: dict[str, str] = field(default_factory=dict)
    _numbers: Any = field(default_factory=lambda: itertools.count(1))

    async def open(self, owner_dsn: str) -> None:
        """Its connections, its columns, one hospital to work for."""
        owner = await asyncpg.connect(owner_dsn)
        try:
            for row in await owner.fetch(
                """select c.relname as name, string_agg(a.attname, ', ' order by a.attnum) as columns from pg_class c
                   join pg_attribute a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
                   where c.relnamespace = 'public'::regnamespace and c.relkind in ('r', 'p') and not c.relispartition group by 1"""
            ):
                self._columns[row["name"]] = row["columns"]
        finally:
            await owner.close()
        self._pool = await asyncpg.create_pool(self.app_dsn, min_size=8, max_size=16, server_settings={"jit": "off"})
        await self._as("fenzhi_operator", self._open_hospital)

    def begin(self) -> None:
        """Start the traffic."""
        self._clock = [
            asyncio.create_task(self._at(RATE_S, self._submit)),
            asyncio.create_task(self._at(READS_S, self._read)),
        ]

    async def end(self) -> None:
        """Stop asking; wait for what was asked."""
        for task in self._clock:
            task.cancel()
        await asyncio.gather(*self._clock, return_exceptions=True)
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._pool.close()

    def p99(self) -> float:
        """The 99th percentile of the latencies, in seconds."""
        return sorted(self.latencies)[int(len(self.latencies) * 0.99)] if self.latencies else 0.0

    async def _at(self, rate: float, act: Callable[[], Awaitable[None]]) -> None:
        began, done = time.monotonic(), 0
        while True:
            due = began + done / rate
            await asyncio.sleep(max(0.0, due - time.monotonic()))
            task = asyncio.create_task(self._timed(act, due))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
            done += 1

    async def _timed(self, act: Callable[[], Awaitable[None]], due: float) -> None:
        try:
            for _ in range(3):
                try:
                    await act()
                    break
                except (asyncpg.DeadlockDetectedError, asyncpg.SerializationError):
                    # The release answers TRY_AGAIN, which is no fault of the server's, and its clients do.
                    self.tried_again += 1
            else:
                raise RuntimeError("met three times")
        except Exception as exc:
            self.errors.append(f"{act.__name__}: {type(exc).__name__}: {exc}"[:300])
        self.latencies.append(time.monotonic() - due)

    async def _as(self, role: str, work: Callable[[Any], Awaitable[None]]) -> None:
        """One transaction as the release opened it: role, settings, statement timeout, all of them local."""
        settings = {
            "fenzhi.tenant": "H19000301",
            "fenzhi.province_id": str(_PROVINCE),
            "fenzhi.area_id": str(_AREA),
            "fenzhi.county_id": "",
            "fenzhi.hospital_id": str(_HOSPITAL),
            "fenzhi.area_ids": f"{{{_AREA}}}",
        }
        calls = ", ".join(f"set_config('{name}', '{value}', true)" for name, value in settings.items())
        async with self._pool.acquire(timeout=5) as connection, connection.transaction():
            await connection.execute(f"set local role {role}")
            await connection.execute(f"select {calls}, set_config('statement_timeout', '5000', true)")
            await work(connection)

    async def _insert(self, connection: Any, table: str, row: Mapping[str, Any]) -> None:
        names = ", ".join(row)
        places = ", ".join(f"${n}" for n in range(1, len(row) + 1))
        await connection.execute(f"insert into {table} ({names}) values ({places})", *row.values())

    async def _open_hospital(self, connection: Any) -> None:
        await self._insert(connection, "province", {"province_id": _PROVINCE, "code": "190000", "name": "旧省"})
        area = {"area_id": _AREA, "province_id": _PROVINCE, "code": "190100", "name": "旧市", "kind": "city"}
        known = {name.strip() for name in self._columns["pooling_area"].split(",")}
        await self._insert(connection, "pooling_area", {n: v for n, v in area.items() if n in known})
        place = {
            "hospital_id": _HOSPITAL,
            "area_id": _AREA,
            "province_id": _PROVINCE,
            "code": "H19000301",
            "name": "旧院",
        }
        await self._insert(connection, "hospital", place)
        await connection.execute("select fenzhi_ensure_area($1, 2024, 2026)", _AREA)

    async def _submit(self) -> None:
        """A batch, its part, its seal; then the worker's judgement, as two transactions of the release."""
        batch, job, case, number = new_id(), new_id(), new_id(), next(self._numbers)
        place = {"area_id": _AREA, "hospital_id": _HOSPITAL}

        async def send(c: Any) -> None:
            key = {"tenant": "H19000301", "client": "old", "key": uuid.uuid4().hex, "operation": "batchCreate"}
            await self._insert(c, "idempotency_key", key | {"request_sha256": b"x" * 32, "response": "{}"})
            order = {"purpose": "lists", "mode": "partial", "state": "open", "label": "old"}
            await self._insert(c, "batch", {"batch_id": batch, "province_id": _PROVINCE, **place, **order})
            part = {
                "batch_id": batch,
                "part_no": 1,
                "sha256": b"x" * 32,
                "bytes": 10,
                "key_id": "k1",
                "sealed_bytes": b"y" * 900,
            }
            await self._insert(c, "batch_part", place | part)
            asked = {"job_id": job, "kind": "submission.judge_batch", "tenant": "H19000301", "province_id": _PROVINCE}
            # Already in somebody's hands, so that no worker of this machine takes it up.
            await self._insert(c, "job", asked | place | {"payload": json.dumps({"batch": str(batch)}), "state": "queued",
                               "not_before": await c.fetchval("select now() + interval '1 day'")})  # fmt: skip
            await c.execute("update batch set state = 'sealed', parts = 1, bytes = 10, job_id = $1, sealed_at = now() where batch_id = $2", job, batch)  # fmt: skip
            said = {"event_id": new_id(), "tenant": "H19000301", "role": "hospital_submitter", "action": "batchSeal",
                    "object_type": "Batch", "object_id": str(batch), "request_id": "old", "details": "{}"}  # fmt: skip
            await self._insert(c, "audit_event", said)

        async def judge(c: Any) -> None:
            await c.fetchrow(
                f"update job set state = 'running', attempt = attempt + 1, lease_until = now() + interval '15 s', started_at = now() "
                f"where job_id = $1 returning {self._columns['job']}",
                job,
            )
            name = f"OLD{number}"
            row = {"batch_id": batch, "row_no": 1, "part_no": 1, "byte_offset": 0, "byte_length": 10, "setl_id": name, "version": 1,
                   "settlement_month": 202501, "outcome": "accepted", "case_id": case, "refusal_codes": []}  # fmt: skip
            await self._insert(c, "intake_row", place | row)
            digest = hashlib.sha256(name.encode()).digest()
            listed = {"setl_id": name, "version": 1, "case_id": case, "digest": digest}
            await self._insert(c, "list_key", place | listed)
            day = await c.fetchval("select date '2025-01-10'")
            facts = {"batch_id": batch, "row_no": 1, "insurance": "employee", "pool_scope": "local", "insured_area": "190100",
                     "admission_date": day, "discharge_date": day, "settlement_date": day, "settlement_month": 202501, "sex": 1,
                     "age_days": 9_000, "los_days": 0, "total_fen": 100, "basic_fund_fen": 60, "other_funds_fen": 0,
                     "account_fen": 0, "cash_fen": 40, "diagnoses": ["I63.900"], "procedures": [],
                     "submitted_at": await c.fetchval("select now()")}  # fmt: skip
            await self._insert(c, "inpatient_case", place | listed | facts)
            personal = {"case_id": case, "key_id": "k1", "sealed_fields": b"z" * 200, "person_index": digest}
            await self._insert(c, "case_personal", place | personal)
            told = {"batch_id": batch, "row_no": 1, "seq": 1, "setl_id": name, "rule": "age", "code": "AGE_MISMATCH", "severity": "warning",
                    "path": "age", "saw": "1", "zh": "旧", "en": "old", "remedy_zh": "", "remedy_en": ""}  # fmt: skip
            await self._insert(c, "verdict", place | told)
            await c.execute(
                "update batch set state = 'judged', counts = '{}', judged_at = now() where batch_id = $1", batch
            )
            await c.execute(
                "update job set state = 'done', result = '{}', finished_at = now(), lease_until = null where job_id = $1",
                job,
            )

        await self._as("fenzhi_hospital", send)
        await self._as("fenzhi_worker", judge)
        self.written += 1

    async def _read(self) -> None:
        """A page of something, with the columns the release knows."""
        table, order = random.choice(
            [("batch", "batch_id"), ("inpatient_case", "case_id"), ("intake_row", "batch_id"), ("verdict", "batch_id"),
             ("job", "job_id"), ("hospital_statement", "run_id"), ("clearing_run", "run_id"), ("disease_group", "edition_id"),
             ("catalog_edition", "edition_id"), ("agreement", "agreement_id"), ("point_value", "point_value_id")]
        )  # fmt: skip

        async def page(c: Any) -> None:
            await c.fetch(f"select {self._columns[table]} from {table} order by {order} desc limit 50")

        await self._as("fenzhi_hospital", page)


@dataclass
class LockWatch:
    """How long anybody held an ACCESS EXCLUSIVE lock on a table of the release (排他锁监测)."""

    owner_dsn: str
    longest_s: float = 0.0
    longest: str = ""
    samples: int = 0
    _held: dict[tuple[int, str], float] = field(default_factory=dict)

    async def watch(self) -> None:
        """Sample until cancelled."""
        owner = await asyncpg.connect(self.owner_dsn)
        try:
            known = await owner.fetch(
                "select oid from pg_class where relnamespace = 'public'::regnamespace and relkind in ('r', 'p', 'i', 'I')"
            )
            oids = [row["oid"] for row in known]
            while True:
                rows = await owner.fetch(
                    """select pid, relation::regclass::text as name from pg_locks
                       where mode = 'AccessExclusiveLock' and granted and locktype = 'relation' and relation = any($1::oid[])""",
                    oids,
                )
                now = time.monotonic()
                self.samples += 1
                seen = {(row["pid"], row["name"]) for row in rows}
                self._held = {place: self._held.get(place, now) for place in seen}
                for place, since in self._held.items():
                    if now - since > self.longest_s:
                        self.longest_s, self.longest = now - since, place[1]
                await asyncio.sleep(SAMPLE_S)
        finally:
            await owner.close()


async def run(addresses: ServerAddresses, seed: int, rounds: int) -> Tally:
    """Up, down and up again under the traffic of the release before; then both releases (迁移测试组). `rounds` times 20,000 rows."""
    tally = Tally()
    await try_migrations(tally, addresses, seed, BULK * max(1, rounds))
    return tally


async def try_migrations(tally: Tally, addresses: ServerAddresses, seed: int, bulk: int, *, both: bool = True) -> None:
    """The trial over an empty database (迁移试验), with so many rows in the big tables at the start."""
    random.seed(seed)
    config = alembic_config(addresses.owner_dsn)
    await asyncio.to_thread(command.upgrade, config, RELEASED)
    old = Released(addresses.app_dsn)
    await old.open(addresses.owner_dsn)
    administrator = _beside(addresses)
    await _fill(administrator, bulk)
    columns = dict(old._columns)
    before = await _content(administrator, columns)
    old.begin()
    await asyncio.sleep(QUIET_S)
    steps: dict[str, Callable[[], int]] = {
        "up": lambda: upgrade_to_head(addresses.owner_dsn),
        "down": lambda: patiently(lambda: command.downgrade(config, RELEASED)),
        "up again": lambda: upgrade_to_head(addresses.owner_dsn),
    }
    for name, step in steps.items():
        watch = LockWatch(addresses.owner_dsn)
        watching = asyncio.create_task(watch.watch())
        seen, faults, began = len(old.latencies), len(old.errors), time.monotonic()
        tries = await asyncio.to_thread(step)
        took = time.monotonic() - began
        await asyncio.sleep(QUIET_S)
        watching.cancel()
        await asyncio.gather(watching, return_exceptions=True)
        own = sorted(old.latencies[seen:])
        p99 = own[int(len(own) * 0.99)]
        tally.saw(
            "no error",
            len(old.errors) == faults,
            f"{name}: {len(old.errors) - faults}: {old.errors[faults : faults + 3]}",
        )
        tally.saw("p99 within 2 s", p99 <= P99_S, f"{name}: {p99:.2f} s")
        tally.saw(
            "no exclusive lock beyond 1 s",
            watch.longest_s <= EXCLUSIVE_S,
            f"{name}: {watch.longest} {watch.longest_s:.2f} s",
        )
        tally.saw("watched", watch.samples > 10, f"{name}: {watch.samples} samples")
        tally.figures[name] = {
            "seconds": round(took, 1),
            "tries": tries,
            "requests": len(own),
            "p50_ms": round(own[len(own) // 2] * 1000),
            "p99_ms": round(p99 * 1000),
            "longest_exclusive_ms": round(watch.longest_s * 1000),
            "longest_exclusive_on": watch.longest,
        }
    if both:
        await _both_releases(tally, addresses, old, seed)
    await old.end()
    after = await _content(administrator, columns)
    for table, rows in before.items():
        missing = len(rows - after[table])
        tally.saw("rows kept", missing == 0, f"{table}: {missing} of {len(rows)} are gone or changed")
    tally.figures |= {
        "bulk_rows": bulk,
        "old_submissions": old.written,
        "old_tried_again": old.tried_again,
        "server": await _version(administrator),
    }
    written = await _written(administrator)
    tally.saw("every submission is there", written == old.written, f"{written} stored, {old.written} acknowledged")


async def _both_releases(tally: Tally, addresses: ServerAddresses, old: Released, seed: int) -> None:
    """The new release does its work on the same database while the old one goes on."""
    seen, faults = len(old.latencies), len(old.errors)
    # In a thread with a loop of its own: two releases are two processes, and neither waits for the other's Python.
    answer = await asyncio.to_thread(lambda: asyncio.run(_new_release(addresses, seed)))
    nodes = (answer.get("data") or {}).get("batches", {}).get("nodes", [])
    tally.saw("new release works beside", bool(nodes) and all(n["state"] == "JUDGED" for n in nodes), str(answer)[:300])
    own = sorted(old.latencies[seen:])
    p99 = own[int(len(own) * 0.99)]
    tally.saw("no error", len(old.errors) == faults, f"both: {old.errors[faults : faults + 3]}")
    tally.saw("p99 within 2 s", p99 <= P99_S, f"both: {p99:.2f} s")
    tally.figures["both releases"] = {
        "requests": len(own),
        "p50_ms": round(own[len(own) // 2] * 1000),
        "p99_ms": round(p99 * 1000),
    }


async def _new_release(addresses: ServerAddresses, seed: int) -> dict[str, Any]:
    async with at_work(addresses, migrate=False) as stage:
        source = await furnish(stage, seed, settle=False)
        actor = stage.cast.actor(source.plan.hospitals[0].code, Role.HOSPITAL_VIEWER)
        return await actor.raw("{ batches(first: 10) { nodes { id state } } }")


def _beside(addresses: ServerAddresses) -> str:
    """The administrator's address of this very database: he sees through the walls."""
    if not addresses.superuser_dsn:
        raise RuntimeError("this section needs the administrator of its server")
    base, _, query = addresses.superuser_dsn.partition("?")
    name = addresses.owner_dsn.partition("?")[0].rsplit("/", 1)[1]
    return base.rsplit("/", 1)[0] + f"/{name}" + (f"?{query}" if query else "")


async def _fill(administrator: str, rows: int) -> None:
    """Rows in the tables that grow with lists and requests."""
    connection = await asyncpg.connect(administrator)
    try:
        await connection.execute("set session_replication_role = replica")
        batch = new_id()
        await connection.execute(
            """insert into batch (batch_id, province_id, area_id, hospital_id, purpose, mode, state, label)
               values ($1, $2, $3, $4, 'lists', 'partial', 'judged', 'bulk')""",
            batch, _PROVINCE, _AREA, _HOSPITAL,
        )  # fmt: skip
        series = f"generate_series(1, {int(rows)}) n"
        case = "md5('case ' || n)::uuid"
        for statement in (
            f"""insert into intake_row (area_id, hospital_id, batch_id, row_no, part_no, byte_offset, byte_length, setl_id, version,
                  settlement_month, outcome, case_id, refusal_codes)
                select {_AREA}, {_HOSPITAL}, '{batch}', n, 1, 0, 10, 'B' || n, 1, 202501, 'accepted', {case}, '{{}}' from {series}""",
            f"""insert into list_key (area_id, hospital_id, setl_id, version, case_id, digest)
                select {_AREA}, {_HOSPITAL}, 'B' || n, 1, {case}, sha256(('B' || n)::bytea) from {series}""",
            f"""insert into inpatient_case (area_id, hospital_id, case_id, batch_id, row_no, setl_id, version, insurance, pool_scope,
                  insured_area, admission_date, discharge_date, settlement_date, settlement_month, sex, age_days, los_days, total_fen,
                  basic_fund_fen, other_funds_fen, account_fen, cash_fen, diagnoses, procedures, digest, submitted_at)
                select {_AREA}, {_HOSPITAL}, {case}, '{batch}', n, 'B' || n, 1, 'employee', 'local', '190100', '2025-01-01', '2025-01-09',
                  '2025-01-09', 202501, 1, 9000, 8, 100, 60, 0, 0, 40, array['I63.900'], '{{}}', sha256(('B' || n)::bytea), now()
                from {series}""",
            f"""insert into case_personal (area_id, hospital_id, case_id, key_id, sealed_fields, person_index)
                select {_AREA}, {_HOSPITAL}, {case}, 'k1', sha256(('B' || n)::bytea), sha256(('B' || n)::bytea) from {series}""",
            f"""insert into verdict (area_id, hospital_id, batch_id, row_no, seq, setl_id, rule, code, severity, path, saw, zh, en,
                  remedy_zh, remedy_en)
                select {_AREA}, {_HOSPITAL}, '{batch}', n, 1, 'B' || n, 'age', 'AGE_MISMATCH', 'warning', 'age', '', '', '', '', ''
                from {series}""",
            f"""insert into audit_event (event_id, tenant, role, action, object_type, object_id, request_id, details)
                select md5('event ' || n)::uuid, 'H19000301', 'hospital_submitter', 'x', 'Batch', n::text, 'bulk', '{{}}' from {series}""",
            f"""insert into idempotency_key (tenant, client, key, operation, request_sha256, response)
                select 'H19000301', 'bulk', n::text, 'x', sha256('x'), '{{}}' from {series}""",
            f"""insert into job (job_id, kind, tenant, province_id, area_id, hospital_id, payload, state, attempt, finished_at)
                select md5('job ' || n)::uuid, 'submission.judge_batch', 'H19000301', {_PROVINCE}, {_AREA}, {_HOSPITAL}, '{{}}', 'done', 1,
                  now() from {series}""",
        ):
            await connection.execute(statement)
        await connection.execute("analyze")
    finally:
        await connection.close()


async def _content(administrator: str, columns: Mapping[str, str]) -> dict[str, frozenset[str]]:
    """Every row by the digest of what the release knew of it; of large tables one digest per thousandth."""
    found: dict[str, frozenset[str]] = {}
    connection = await asyncpg.connect(administrator)
    try:
        for table in sorted(_OURS_ALONE):
            mine = "where label = 'bulk'" if table == "batch" else ""
            if "setl_id" in columns[table].split(", "):
                mine = "where setl_id like 'B%'"
            elif table == "case_personal":
                mine = "where case_id in (select case_id from list_key where setl_id like 'B%')"
            elif table == "audit_event":
                mine = "where request_id = 'bulk'"
            elif table == "idempotency_key":
                mine = "where client = 'bulk'"
            elif table == "job":
                mine = "where payload = '{}'"
            # Sums of digests do not depend on the order of the rows.
            rows = await connection.fetch(
                f"""select h % 1000 as slot, count(*)::text || ':' || sum(h)::text as digest from (
                      select abs(hashtextextended(row({columns[table]})::text, 7) / 2) as h from {table} {mine}) d group by 1"""
            )
            found[table] = frozenset(f"{row['slot']}:{row['digest']}" for row in rows)
    finally:
        await connection.close()
    return found


_OURS_ALONE = frozenset(
    {
        "batch",
        "intake_row",
        "list_key",
        "inpatient_case",
        "case_personal",
        "verdict",
        "audit_event",
        "idempotency_key",
        "job",
    }
)
"""Tables whose rows of the beginning can be told from later ones."""


async def _written(administrator: str) -> int:
    connection = await asyncpg.connect(administrator)
    try:
        return int(await connection.fetchval("select count(*) from inpatient_case where setl_id like 'OLD%'"))
    finally:
        await connection.close()


async def _version(administrator: str) -> str:
    connection = await asyncpg.connect(administrator)
    try:
        return str(await connection.fetchval("show server_version"))
    finally:
        await connection.close()
