"""The submission bench (上报压测): lists on disk → uploaded, sealed, judged, by the whole platform on its own servers.

Servers, API and worker run as they do in service, in a folder thrown away afterwards. The floor is COPY of the same bytes into a bare
table of the same server in the same run: what PostgreSQL needs to take the lists at all, without reading them. A second floor is the merge
alone: the rows that the lists became, moved once more from a bare copy into tables with the same indexes.
"""

from __future__ import annotations

import asyncio
import datetime as dt
import hashlib
import shutil
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, BinaryIO

import asyncpg
import httpx
import msgspec
import psutil

from fenzhi.access.roles import Role
from fenzhi.access.scope import DatabaseRole, Scope
from fenzhi.cli.backup.take import embedded_administrator
from fenzhi.cli.flow import catalog, onboarding, submission
from fenzhi.cli.flow.client import Cast
from fenzhi.cli.process_memory import peak_memory
from fenzhi.cli.status import PlatformStatus
from fenzhi.cli.synthetic.full_lists import full_lines
from fenzhi.cli.synthetic.lists import history, settlement_lists
from fenzhi.cli.synthetic.plan import ProvincePlan
from fenzhi.cli.synthetic.province import synthetic_province
from fenzhi.cli.tokens import token_maker
from fenzhi.cli.up import start_detached, stop_platform
from fenzhi.rules.refusals import InvariantBroken
from fenzhi.settings import Settings
from fenzhi.store.bulk import read_arrow
from fenzhi.store.repositories import registry
from fenzhi.store.session import Database

HISTORY_PER_YEAR = 1_000
AT_ONCE = 4
"""Hospitals that send at the same time."""
FIRST_LISTS = 500
MERGED = ("intake_row", "verdict", "inpatient_case", "case_personal", "list_key")
"""What a batch of lists becomes (判定结果各表)."""
_RESULT = """
select h.code, r.row_no, r.setl_id, r.version, r.outcome, array_to_string(r.refusal_codes, ',') as codes,
  encode(c.digest, 'hex') as digest, c.total_fen, c.settlement_month, s.new_case_id is not null as superseded
from intake_row r
join hospital h on h.area_id = r.area_id and h.hospital_id = r.hospital_id
left join inpatient_case c on c.area_id = r.area_id and c.case_id = r.case_id
left join case_supersession s on s.area_id = c.area_id and s.old_case_id = c.case_id
where r.area_id = $1 order by h.code, r.row_no
"""


def bench_submission(cases: int, seed: int) -> dict[str, object]:
    """Submit synthetic lists to a platform of its own and report the speed (上报压测).

    Answers cases, seed, seconds, per_s, process_rss_mb, peak_rss_mb (all processes together), result_sha256 (same for the same
    cases and seed), floors, ratios, includes. Raises: Conflict when the platform does not start; InvariantBroken when a row is lost.
    """
    folder = Path(tempfile.mkdtemp(prefix="fenzhi-bench-"))
    folder.chmod(0o755)
    settings = Settings(state_dir=folder / "state", api_port=0)
    try:
        status = start_detached(settings, say=lambda _zh, _en: None)
        with peak_memory(status) as peaks:
            report = asyncio.run(_measure(settings, status, folder, cases, seed))
        includes = report.pop("includes")
        return {**report, **peaks.report(), "includes": includes}
    finally:
        stop_platform(settings.state_dir)
        shutil.rmtree(folder, ignore_errors=True)


async def _measure(
    settings: Settings, status: PlatformStatus, folder: Path, cases: int, seed: int
) -> dict[str, object]:
    plan = synthetic_province(seed)
    database = Database(status.app_dsn, pool_size=2, application="fenzhi-bench")
    try:
        limits = httpx.Limits(max_connections=16)
        async with httpx.AsyncClient(base_url=status.api_url, timeout=120, limits=limits, trust_env=False) as http:
            cast = Cast(http, token_maker(settings, database))
            await set_up(cast, plan)
            files = await asyncio.to_thread(_write_lists, folder, plan, cases)
            floor_s = await _copy_floor(status.owner_dsn, files)
            before = cpu_seconds(status)
            began = time.perf_counter()
            counts = await _submit(cast, files)
            seconds = time.perf_counter() - began
            spent = {name: value - before.get(name, 0.0) for name, value in cpu_seconds(status).items()}
            rows, digest = await _result(database, plan)
            merge_s = await _merge_floor(embedded_administrator(settings.state_dir))
            first_verdicts_s = await _first_verdicts(cast, files)
    finally:
        await database.close()
    sent = sum(counts[name] for name in ("accepted", "refused"))
    lines = sum(_lines(file) for file in files.values())
    if not rows == sent == lines:
        raise InvariantBroken("every list sent is judged", detail=f"sent {lines}, counted {sent}, stored {rows}")
    size = sum(file.stat().st_size for file in files.values())
    return {
        "cases": cases,
        "seed": seed,
        "seconds": round(seconds, 4),
        "per_s": int(lines / seconds),
        "result_sha256": digest,
        "cpu_us_per_list": {name: int(1e6 * value / max(1, lines)) for name, value in sorted(spent.items())},
        "first_verdicts_s": {"lists": FIRST_LISTS, "seconds": round(first_verdicts_s, 3)},
        "floors": {
            "copy_in_s": round(floor_s, 4),
            "copy_in_per_s": int(lines / floor_s),
            "merge_s": round(merge_s, 4),
            "merge_per_s": int(lines / merge_s),
        },
        "ratios": {"copy_in": round(floor_s / seconds, 4), "merge": round(merge_s / seconds, 4)},
        "includes": {
            "timed": "lists on disk → HTTP upload, encrypted parts, seal, parse, all rules, cases and verdicts committed",
            "not_timed": "servers, tenants, policies, codes, catalog, making the lists",
            "lists": lines,
            "bytes": size,
            "bytes_per_list": size // max(1, lines),
            "hospitals": len(files),
            "at_once": AT_ONCE,
            "counts": counts,
            "data": "synthetic",
        },
    }


async def set_up(cast: Cast, plan: ProvincePlan) -> None:
    """Tenants, policies, code tables, and a small catalog built from a small history (准备)."""
    await onboarding.open_tenants(cast, plan)
    await onboarding.register_hospitals(cast, plan, "合成省医疗机构目录（构造文件）")
    await onboarding.enter_policies(cast, plan)
    await catalog.import_code_tables(cast, plan)
    city_of = {hospital.code: hospital.city_code for hospital in plan.hospitals}
    for city in plan.cities:
        clerk = cast.actor(city.code, Role.CITY_SETTLEMENT_CLERK)
        lines = (
            msgspec.json.encode(row)
            for row in history(plan, HISTORY_PER_YEAR)
            if city_of[row["fixmedins_code"]] == city.code
        )
        await submission.judged(clerk, await submission.send_batch(clerk, "HISTORY", "合成历史病例", lines))
    await catalog.publish_catalog(cast, plan)


def _write_lists(folder: Path, plan: ProvincePlan, cases: int) -> dict[str, Path]:
    """Each hospital's lists as a file, so that making them is not measured and memory stays bounded (清单落盘)."""
    year = plan.settlement_year
    opened: dict[str, BinaryIO] = {}
    files = {hospital.code: folder / f"{hospital.code}.ndjson" for hospital in plan.hospitals}
    try:
        lists = settlement_lists(plan, cases, dt.date(year, 1, 1), dt.date(year, 12, 31))
        for code, line in full_lines(lists):
            if code not in opened:
                opened[code] = files[code].open("wb")
            opened[code].write(line + b"\n")
    finally:
        for file in opened.values():
            file.close()
    return {code: files[code] for code in sorted(opened)}


def _lines(file: Path) -> int:
    with file.open("rb") as lines:
        return sum(1 for _ in lines)


def _stripped(file: Path) -> Iterator[bytes]:
    with file.open("rb") as lines:
        for line in lines:
            yield line.rstrip(b"\n")


async def _copy_floor(owner_dsn: str, files: dict[str, Path]) -> float:
    """Seconds for COPY of the same lists into a bare table (COPY 下限)."""
    connection = await asyncpg.connect(owner_dsn)
    try:
        await connection.execute("create table bench_floor (line bytea not null)")
        began = time.perf_counter()
        for file in files.values():
            await connection.copy_records_to_table("bench_floor", records=((line,) for line in _stripped(file)))
        seconds = time.perf_counter() - began
        await connection.execute("drop table bench_floor")
        return max(seconds, 1e-9)
    finally:
        await connection.close()


async def _merge_floor(dsn: str) -> float:
    """Seconds to move what the lists became from bare copies into tables with the same indexes (合并下限)."""
    connection = await asyncpg.connect(dsn)
    try:
        seconds = 0.0
        for table in MERGED:
            await connection.execute(f"create table bench_bare as select * from {table}")
            await connection.execute(f"create table bench_merge (like {table} including indexes including defaults)")
            began = time.perf_counter()
            await connection.execute("insert into bench_merge select * from bench_bare")
            seconds += time.perf_counter() - began
            await connection.execute("drop table bench_bare, bench_merge")
        return max(seconds, 1e-9)
    finally:
        await connection.close()


async def _first_verdicts(cast: Cast, files: dict[str, Path]) -> float:
    """Seconds from the first byte of a part of 500 fresh lists to their verdicts (首批结论时间), nothing else under way."""
    code, file = max(files.items(), key=lambda pair: pair[1].stat().st_size)
    lines: list[bytes] = []
    for line in _stripped(file):
        if b'"setl_id":"SYN' in line and len(lines) < FIRST_LISTS:
            lines.append(line.replace(b'"setl_id":"SYN', b'"setl_id":"FST'))
    actor = submission.hospital(cast, code)
    began = time.perf_counter()
    await submission.judged(actor, await submission.send_batch(actor, "LISTS", "首批", lines))
    return time.perf_counter() - began


def cpu_seconds(status: PlatformStatus) -> dict[str, float]:
    """CPU seconds of the platform's processes by name, children with them (处理器耗时)."""
    found: dict[str, float] = {}
    for name, pid in status.pids.items():
        if name == "supervisor":
            continue
        total = 0.0
        with suppress(psutil.NoSuchProcess):
            process = psutil.Process(pid)
            for one in [process, *process.children(recursive=True)]:
                with suppress(psutil.NoSuchProcess):
                    times = one.cpu_times()
                    total += times.user + times.system
        found[name] = total
    return found


async def _submit(cast: Cast, files: dict[str, Path]) -> dict[str, Any]:
    """All hospitals send, seal and wait for their verdicts; the counts together (上报)."""
    slots = asyncio.Semaphore(AT_ONCE)
    counts: Counter[str] = Counter()

    async def one(code: str, file: Path) -> None:
        async with slots:
            actor = submission.hospital(cast, code)
            found = await submission.judged(actor, await submission.send_batch(actor, "LISTS", "压测", _stripped(file)))
        for name in ("rows", "accepted", "refused", "superseding"):
            counts[name] += found[name]

    await asyncio.gather(*(one(code, file) for code, file in files.items()))
    return dict(counts)


async def _result(database: Database, plan: ProvincePlan) -> tuple[int, str]:
    """Rows judged, and the digest of what became of each (结果摘要): no id, no clock in it."""
    digest, rows = hashlib.sha256(), 0
    operator = Scope(role=DatabaseRole.OPERATOR, tenant="operator")
    for city in plan.cities:
        async with database.unit_of_work(operator) as uow:
            area = await registry.area_by_code(uow, city.code)
        if area is None:
            raise InvariantBroken("the bench's city is open", account=city.code)
        scope = Scope(role=DatabaseRole.WORKER, tenant=city.code, province_id=area.province_id, area_id=area.area_id)
        found = await read_arrow(database, scope, _RESULT, (area.area_id,))
        rows += found.num_rows
        for batch in found.to_batches(max_chunksize=10_000):
            digest.update(msgspec.json.encode(batch.to_pydict(), order="deterministic"))
    return rows, digest.hexdigest()
