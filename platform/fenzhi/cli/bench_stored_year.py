"""A stored year for the benches (压测用入库病例): pools of cases as intake leaves them, in a platform of its own.

Some thousand discharges of a pool are invented; the rest are the same ones under other ids, made by the server, so that neither this
process nor the wire grows with the number of cases.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import random
import resource
import shutil
import sys
import tempfile
import threading
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import asyncpg
import psutil
from sqlalchemy import text

from fenzhi.access.scope import DatabaseRole, Scope
from fenzhi.cli.status import PlatformStatus
from fenzhi.cli.synthetic.discharges import DischargeMaker
from fenzhi.cli.synthetic.plan import ProvincePlan
from fenzhi.cli.synthetic.province import synthetic_province
from fenzhi.cli.up import start_detached, stop_platform
from fenzhi.rules.refusals import InvariantBroken
from fenzhi.settings import Settings
from fenzhi.store.repositories import registry
from fenzhi.store.session import Database

INSURANCES = ("employee", "resident")
CITY_CASES = 1_000_000
"""How many cases a city of the bench has before another is opened."""
_INVENTED = 25_000
_INSERTED_AT_ONCE = 250_000
_SAMPLE_S = 0.5
_COLUMNS = (
    "area_id", "county_id", "hospital_id", "case_id", "batch_id", "row_no", "setl_id", "version", "insurance", "pool_scope",
    "insured_area", "admission_date", "discharge_date", "settlement_date", "settlement_month", "sex", "age_days", "los_days",
    "total_fen", "basic_fund_fen", "other_funds_fen", "account_fen", "cash_fen", "diagnoses", "procedures", "digest",
    "submitted_at",
)  # fmt: skip
_MADE = {
    "case_id": "made.id",
    "row_no": "made.number",
    "setl_id": "'BENCH' || made.number",
    "digest": "sha256(uuid_send(made.id))",
}
_COPIES = f"""
insert into inpatient_case ({", ".join(_COLUMNS)})
select {", ".join(_MADE.get(name, f"b.{name}") for name in _COLUMNS)}
  from bench_base b,
       generate_series(cast(:first as int), cast(:last as int)) as n (copy),
       lateral (select n.copy * {_INVENTED} + b.row_no as number) as numbered,
       lateral (select numbered.number, (lpad(to_hex(b.area_id), 8, '0') || lpad(to_hex(cast(:pool as int)), 8, '0')
                || lpad(to_hex(numbered.number), 16, '0'))::uuid as id) as made
 where made.number <= :most
"""


@dataclass(frozen=True)
class StoredPool:
    """A pool that holds cases (已入库的基金池)."""

    city: str
    insurance: str
    scope: Scope
    cases: int
    booked_fen: int


def bench_province(cases: int, seed: int, *, areas: int = 0) -> ProvincePlan:
    """A province wide enough for so many cases (压测省): two to ten cities of twelve hospitals, or as many as asked for."""
    cities = areas or max(2, min(10, -(-cases // CITY_CASES)))
    return synthetic_province(seed, cities=cities, counties=2 * cities, hospitals=12 * cities)


@contextmanager
def bench_platform() -> Iterator[tuple[Settings, PlatformStatus]]:
    """A platform of a bench's own, in a folder thrown away afterwards (压测平台). Raises: Conflict when it does not start."""
    folder = Path(tempfile.mkdtemp(prefix="fenzhi-bench-"))
    folder.chmod(0o755)
    chosen = Settings(state_dir=folder / "state", api_port=0)
    try:
        yield chosen, start_detached(chosen, say=lambda _zh, _en: None)
    finally:
        stop_platform(chosen.state_dir)
        shutil.rmtree(folder, ignore_errors=True)


async def places(database: Database, plan: ProvincePlan, city: str) -> tuple[Scope, dict[str, tuple[int, int | None]]]:
    """The worker's scope of a city, and its hospitals by code (统筹区与机构)."""
    async with database.unit_of_work(Scope(role=DatabaseRole.OPERATOR, tenant="operator")) as uow:
        area = await registry.area_by_code(uow, city)
        if area is None:
            raise InvariantBroken("the bench's city is open", account=city)
        numbers = {}
        for hospital in plan.hospitals:
            row = await registry.hospital_by_code(uow, hospital.code) if hospital.city_code == city else None
            if row is not None:
                numbers[hospital.code] = (row.hospital_id, row.county_id)
    scope = Scope(role=DatabaseRole.WORKER, tenant=city, province_id=area.province_id, area_id=area.area_id)
    return scope, numbers


async def store_pools(database: Database, plan: ProvincePlan, cases: int) -> list[StoredPool]:
    """Store a year of so many cases over the province's pools (各基金池入库), as evenly as they go."""
    wanted = [(city.code, insurance) for city in plan.cities for insurance in INSURANCES]
    pools = []
    for place, (city, insurance) in enumerate(wanted):
        mine = cases // len(wanted) + (place < cases % len(wanted))
        if mine:
            pools.append(await store_pool(database, plan, city, insurance, mine))
    return pools


async def store_pool(database: Database, plan: ProvincePlan, city: str, insurance: str, cases: int) -> StoredPool:
    """Store a pool's year (基金池病例入库); the booked fund of all its cases, in fen."""
    scope, numbers = await places(database, plan, city)
    base = list(_invented(scope, plan, city, insurance, numbers, min(cases, _INVENTED)))
    fund_at = _COLUMNS.index("basic_fund_fen")
    booked = sum(row[fund_at] for row in base) * (cases // _INVENTED if cases > _INVENTED else 1)
    if cases > _INVENTED:
        booked += sum(row[fund_at] for row in base[: cases % _INVENTED])
    copies, at_once = -(-cases // _INVENTED), _INSERTED_AT_ONCE // _INVENTED
    for first in range(0, copies, at_once):
        async with database.unit_of_work(scope) as uow:
            raw = await uow.connection.get_raw_connection()
            driver: Any = raw.driver_connection
            names = ", ".join(_COLUMNS)
            await driver.execute(
                f"create temporary table bench_base on commit drop as select {names} from inpatient_case with no data"
            )
            await driver.copy_records_to_table("bench_base", records=base, columns=list(_COLUMNS))
            last = min(copies, first + at_once) - 1
            bounds = {"first": first, "last": last, "most": cases, "pool": INSURANCES.index(insurance)}
            await uow.execute(text(_COPIES), bounds)
    async with database.unit_of_work(scope) as uow:
        stored = await uow.scalar(
            text("select count(*) from inpatient_case where area_id = :area and insurance = :insurance"),
            {"area": scope.area, "insurance": insurance},
        )
    if stored != cases:
        raise InvariantBroken("every case is stored once", account=city, detail=f"{stored} of {cases}")
    return StoredPool(city, insurance, scope, cases, booked)


def _invented(
    scope: Scope,
    plan: ProvincePlan,
    city: str,
    insurance: str,
    numbers: Mapping[str, tuple[int, int | None]],
    cases: int,
) -> Iterator[tuple[Any, ...]]:
    here = replace(plan, hospitals=tuple(hospital for hospital in plan.hospitals if hospital.city_code == city))
    maker = DischargeMaker(here, random.Random(f"{plan.seed}:stored-year:{city}:{insurance}"))
    first, year = dt.date(plan.settlement_year, 1, 1), plan.settlement_year
    days = (dt.date(year, 12, 31) - first).days + 1
    batch, submitted = uuid.UUID(int=plan.seed), dt.datetime(year, 12, 31, tzinfo=dt.UTC)
    for number in range(cases):
        case = maker.draw(first + dt.timedelta(days=number * days // cases))
        digest = hashlib.sha256(f"{plan.seed}:{city}:{insurance}:{number}".encode()).digest()
        hospital_id, county_id = numbers[case.hospital.code]
        basic, other = case.payments[0][1], sum(amount for _, amount in case.payments[1:])
        yield (
            scope.area, county_id, hospital_id, uuid.UUID(bytes=digest[:16], version=5), batch, number + 1, "", 1, insurance,
            "local", city, case.admission_date, case.discharge_date, case.discharge_date,
            year * 100 + case.discharge_date.month, int(case.sex), (case.discharge_date - case.birth_date).days,
            (case.discharge_date - case.admission_date).days, case.total_fen, basic, other, case.account_fen, case.cash_fen,
            list(case.diagnoses), list(case.procedures), digest, submitted,
        )  # fmt: skip


async def settle_store(status: PlatformStatus, *tables: str) -> None:
    """What the server does in its own time after a bulk load, done before anything is measured (装载后整理)."""
    connection = await asyncpg.connect(status.owner_dsn)
    try:
        for table in tables or ("inpatient_case",):
            await connection.execute(f"vacuum (analyze) {table}")
    finally:
        await connection.close()


class ProcessWatch:
    """What each of our processes used while a block ran (各进程用量): its largest memory, and the processor time of all."""

    def __init__(self, status: PlatformStatus, others: Sequence[int] = ()) -> None:
        self._named = {pid: name for name, pid in status.pids.items()}
        self._named |= {pid: "worker" for pid in others}
        self._peak: dict[int, int] = {}
        self._cpu: dict[int, float] = {}
        self._before = 0.0
        self._stop = threading.Event()
        self._watcher = threading.Thread(target=self._watch, daemon=True)
        self.memory_mb: dict[str, int] = {}
        """Largest proportional memory of a process, by what it is; of PostgreSQL's backends the largest one."""
        self.cpu_s = 0.0
        """User and system seconds of this process, the servers, the API and the workers together."""

    def __enter__(self) -> ProcessWatch:
        self._look()
        self._before = sum(self._cpu.values())
        self._peak.clear()
        self._watcher.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._watcher.join()
        self._look()
        self.cpu_s = sum(self._cpu.values()) - self._before
        for pid, kilobytes in self._peak.items():
            name = self._name(pid)
            self.memory_mb[name] = max(self.memory_mb.get(name, 0), kilobytes // 1024)

    def _name(self, pid: int) -> str:
        if pid == psutil.Process().pid:
            return "bench"
        return self._named.get(pid, "postgres")

    def _watch(self) -> None:
        while not self._stop.wait(_SAMPLE_S):
            self._look()

    def _look(self) -> None:
        postmaster = next((pid for pid, name in self._named.items() if name == "postgres"), None)
        pids = {psutil.Process().pid, *self._named}
        with suppress(psutil.Error):
            if postmaster is not None:
                pids |= {child.pid for child in psutil.Process(postmaster).children(recursive=True)}
        for pid in pids:
            with suppress(psutil.Error, OSError):
                process = psutil.Process(pid)
                times = process.cpu_times()
                # A backend that ended is counted by its parent.
                ended = times.children_user + times.children_system if pid == postmaster else 0.0
                self._cpu[pid] = times.user + times.system + ended
                self._peak[pid] = max(self._peak.get(pid, 0), _resident(pid))
        if postmaster is not None:
            for pid in [pid for pid in self._cpu if pid not in pids]:
                del self._cpu[pid]


def _resident(pid: int) -> int:
    """Proportional memory of a process: pages that are shared count by their part. Units: KiB."""
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="ascii").splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1])
    return 0


async def stored_mb(status: PlatformStatus) -> int:
    """What the platform's database takes on disk, its log not counted (数据库占用). Units: MB."""
    connection = await asyncpg.connect(status.owner_dsn)
    try:
        return int(await connection.fetchval("select pg_database_size(current_database())")) // 1024**2
    finally:
        await connection.close()


def own_peak_mb() -> int:
    """The largest memory this process had (本进程内存峰值). Units: MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // (1024 if sys.platform != "darwin" else 1024**2)


def percentiles(milliseconds: Sequence[float]) -> dict[str, float]:
    """The 50th, 95th and 99th percentile by nearest rank (分位数), and the largest. Units: ms."""
    ordered = sorted(milliseconds)
    found = {f"p{part}": round(ordered[-(-len(ordered) * part // 100) - 1], 2) for part in (50, 95, 99)}
    return found | {"max": round(ordered[-1], 2)}
