"""Section restore (恢复测试): a backup under load, a bad clearing, back to the second before it; then a crash and what it cost.

A server of the section's own is started, because nobody stops or kills a server that was given: by the packaged programs, or by those
of the given server's version where they are installed on this machine.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import tempfile
import time
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import asyncpg

from fenzhi.access.roles import Role
from fenzhi.cli import database_roles
from fenzhi.cli.backup.cluster import Cluster, archive_settings, binaries_of, major_of, server_account
from fenzhi.cli.backup.restore import Restored, restore_backup
from fenzhi.cli.backup.take import MANIFEST, take_backup
from fenzhi.cli.battery.furnished import at_work, furnish
from fenzhi.cli.battery.stage import Stage
from fenzhi.cli.battery.tally import Tally
from fenzhi.cli.demo.sources import DemoSource
from fenzhi.cli.flow import clearing, submission
from fenzhi.cli.flow.client import StepRefused
from fenzhi.cli.server_home import ServerHome
from fenzhi.cli.servers import ServerAddresses
from fenzhi.cli.synthetic.lists import labelled_lists
from fenzhi.rules.refusals import Conflict, FenzhiError

SENDERS = 3
LISTS = 4
MODELS = 300
"""Sound lists that those sent are copies of."""
"""Lists of one batch."""
BEFORE_S, AFTER_S = 6.0, 6.0
"""Seconds of load before and after the backup; `rounds` multiplies them."""
ARCHIVE_EVERY_S = 5
RPO_S, RTO_S = 300.0, 3_600.0
"""What is promised: at most five minutes lost, an hour away (decided for 20 M rows)."""


@dataclass
class Load:
    """Senders that never stop, and what was acknowledged to them (负载)."""

    stage: Stage
    source: DemoSource
    acknowledged: list[tuple[datetime, str, str]] = field(default_factory=list)
    """(database time after the answer, hospital, settlement id)."""
    cleared: int = 0
    failures: list[str] = field(default_factory=list)
    _tasks: list[asyncio.Task[None]] = field(default_factory=list)

    def begin(self) -> None:
        """Start sending."""
        lines: dict[str, list[dict[str, Any]]] = {}
        plan, year = self.source.plan, self.source.plan.settlement_year
        for made in labelled_lists(plan, MODELS, date(year, 1, 1), date(year, 3, 31)):
            if not made.fault:
                lines.setdefault(made.hospital_code, []).append(json.loads(made.line))
        chosen = sorted(lines, key=lambda code: -len(lines[code]))[:SENDERS]
        self._tasks = [asyncio.create_task(self._send(code, lines[code])) for code in chosen]
        self._tasks.append(asyncio.create_task(self._clear()))

    async def end(self) -> None:
        """Stop; what is not acknowledged by now does not count."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def now(self) -> datetime:
        """The database's clock."""
        return await now_of(self.stage.addresses.owner_dsn)

    async def _send(self, hospital: str, models: list[dict[str, Any]]) -> None:
        actor, number = submission.hospital(self.stage.cast, hospital), 0
        while True:
            lines = []
            for model in (models * LISTS)[:LISTS]:
                number += 1
                name = f"L{hospital[-6:]}-{number}"
                lines.append(json.dumps(model | {"setl_id": name, "mdtrt_id": name, "medcasno": name}).encode())
            try:
                batch = await submission.send_batch(actor, "LISTS", f"load {number}", lines)
                counts = await submission.judged(actor, batch)
            except (StepRefused, FenzhiError) as exc:
                self.failures.append(f"{hospital}: {exc}")
                continue
            if counts["accepted"] != len(lines):
                self.failures.append(f"{hospital}: {counts}")
            at = await self.now()
            self.acknowledged += [(at, hospital, json.loads(line)["setl_id"]) for line in lines]

    async def _clear(self) -> None:
        """Compute a month of the second city and void it, over and over."""
        city = self.source.plan.cities[-1].code
        clerk = self.stage.cast.actor(city, Role.CITY_SETTLEMENT_CLERK)
        order = {"kind": "MONTH", "insurance": "EMPLOYEE", "poolScope": "LOCAL", "period": 2}
        while True:
            asked = order | {"year": self.source.plan.settlement_year}
            try:
                run = (await clerk.do("clearingRunStart", "ClearingRunStartInput", asked, "run { id jobId }"))["run"]
                await clerk.wait(run["jobId"])
                await clerk.do("clearingRunVoid", "ClearingRunStepInput", {"run": run["id"]}, "run { state }")
                self.cleared += 1
            except (StepRefused, FenzhiError) as exc:
                self.failures.append(f"{city}: {exc}")
                await asyncio.sleep(0.5)


async def run(addresses: ServerAddresses, seed: int, rounds: int) -> Tally:
    """Backup under load, restore to a second before a bad clearing, crash and restore to the end (恢复测试组)."""
    tally = Tally()
    with tempfile.TemporaryDirectory(prefix="fenzhi-restore-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        await try_restore(tally, folder, addresses, seed, max(1, rounds))
    return tally


async def try_restore(tally: Tally, folder: Path, addresses: ServerAddresses, seed: int, rounds: int) -> None:
    """The whole trial in a folder (恢复试验); `addresses` gives the version to try and the Redis."""
    home = ServerHome(folder, server_account(), moved=False)
    binaries = await _binaries(addresses, home)
    archive = folder / "archive"
    archive.mkdir(mode=0o700)
    home.own(archive)
    cluster = Cluster(binaries, folder / "primary", home.account, folder / "primary.log")
    cluster.create()
    cluster.options = {"max_locks_per_transaction": "256", **archive_settings(archive, every_s=ARCHIVE_EVERY_S)}
    cluster.start()
    try:
        owner_dsn, app_dsn = database_roles.bootstrap_roles(
            cluster.dsn(), owner_password="-", application_password="-", database="fenzhi"
        )
        mine = replace(addresses, owner_dsn=owner_dsn, app_dsn=app_dsn, superuser_dsn=cluster.dsn(), pids={})
        master = os.urandom(32)
        async with at_work(mine, master_key=master) as stage:
            source = await furnish(stage, seed, settle=False)
            year = source.plan.settlement_year
            for city in source.plan.cities:
                await clearing.run_to_publication(stage.cast, city.code, "MONTH", "EMPLOYEE", year, 1)
            load = Load(stage, source)
            load.begin()
            await asyncio.sleep(BEFORE_S * rounds)
            began = time.monotonic()
            backup, facts = await asyncio.to_thread(
                take_backup, cluster.dsn(), folder / "backups", database="fenzhi", binaries=binaries, master=master
            )
            tally.figures |= {
                "server": major_of(binaries),
                "backup_s": round(time.monotonic() - began, 1),
                "backup_bytes": facts.bytes,
                "backup_files": facts.files,
            }
            tally.saw("backup under load", facts.archives and (backup / MANIFEST).exists(), str(facts))
            await asyncio.sleep(AFTER_S * rounds)
            await load.now()
            await asyncio.sleep(1.2)
            bad_at = await load.now()
            bad = await clearing.run_to_publication(
                stage.cast, source.plan.cities[0].code, "QUARTER", "EMPLOYEE", year, 1
            )
            await asyncio.sleep(2 * ARCHIVE_EVERY_S)
            await load.end()
            await asyncio.sleep(0.2)
            crashed_at = await load.now()
            tally.figures |= {"lists_acknowledged": len(load.acknowledged), "clearings_beside": load.cleared}
            tally.saw("load went on", not load.failures and load.cleared > 0, "; ".join(load.failures[:3]))
            # Nothing is flushed and no log file is closed: a machine that is lost.
            await asyncio.to_thread(cluster.stop, signal.SIGQUIT)
    finally:
        await asyncio.to_thread(cluster.stop)
    to = bad_at - timedelta(seconds=1)
    trial = _Trial(tally, folder, backup, archive, master, binaries)
    await trial.to_the_second_before(load, to, bad["id"])
    await trial.as_far_as_it_goes(load, crashed_at)
    await trial.refusals(to, datetime.fromisoformat(facts.ended_at))


@dataclass
class _Trial:
    tally: Tally
    folder: Path
    backup: Path
    archive: Path
    master: bytes
    binaries: Path

    def _restored(self, name: str, to: datetime | None) -> tuple[Restored, Cluster]:
        done = restore_backup(
            self.backup, self.folder / name, archive=self.archive, to=to, binaries=self.binaries, master=self.master
        )
        return done, Cluster(
            self.binaries,
            self.folder / name,
            server_account(),
            self.folder / f"{name}.log",
            {"max_locks_per_transaction": "256"},
        )

    async def to_the_second_before(self, load: Load, to: datetime, bad_run: str) -> None:
        """Every list acknowledged until then is there, the bad clearing is not, and all of it verifies."""
        began = time.monotonic()
        done, cluster = await asyncio.to_thread(self._restored, "before", to)
        self.tally.figures["restore_to_a_moment"] = _figures(done, time.monotonic() - began)
        self.tally.saw(
            "restored and verified", bool(done.verification.get("ok")), str(done.verification.get("findings"))[:400]
        )
        self.tally.saw("within an hour", time.monotonic() - began <= RTO_S, f"{time.monotonic() - began} s")
        with cluster.running():
            present = await _lists(cluster)
            runs = await _rows(
                cluster, "select run_id::text as name from clearing_run where state in ('approved', 'published')"
            )
            latest = await _rows(cluster, "select max(submitted_at)::text as name from inpatient_case")
        for at, _hospital, name in load.acknowledged:
            if at <= to:
                self.tally.saw("acknowledged list present", name in present, f"{name} at {at}, restored to {to}")
        self.tally.saw("bad clearing absent", _uuid_of(bad_run) not in runs, bad_run)
        self.tally.saw("nothing later", all(datetime.fromisoformat(t) <= to for t in latest), str(latest))

    async def as_far_as_it_goes(self, load: Load, crashed_at: datetime) -> None:
        """After a crash without a last word: what was archived is there and verifies; what is lost is measured."""
        began = time.monotonic()
        done, cluster = await asyncio.to_thread(self._restored, "end", None)
        rto = time.monotonic() - began
        with cluster.running():
            present = await _lists(cluster)
        lost = sorted(at for at, _hospital, name in load.acknowledged if name not in present)
        kept = [at for at, _hospital, name in load.acknowledged if name in present]
        rpo = (crashed_at - lost[0]).total_seconds() if lost else 0.0
        self.tally.saw(
            "restored and verified", bool(done.verification.get("ok")), str(done.verification.get("findings"))[:400]
        )
        self.tally.saw("at most five minutes lost", rpo <= RPO_S, f"{rpo} s")
        self.tally.saw(
            "lost is only the end", not lost or not kept or max(kept) <= lost[0] + timedelta(seconds=1), f"{lost[:1]}"
        )
        self.tally.figures["restore_after_a_crash"] = _figures(done, rto) | {
            "rpo_s": round(rpo, 1),
            "lists_lost": len(lost),
            "archive_every_s": ARCHIVE_EVERY_S,
        }

    async def refusals(self, to: datetime, ended_at: datetime) -> None:
        """What cannot be restored is refused by name, and a changed backup is found before anything is started."""
        await self._refused("RESTORE_FOLDER_TAKEN", name="before", to=to)
        await self._refused("RESTORE_TIME_REFUSED", name="early", to=ended_at - timedelta(seconds=1))
        await self._refused("RESTORE_TIME_REFUSED", name="late", to=datetime.now(UTC) + timedelta(hours=1))
        await self._refused("RESTORE_TARGET_NOT_REACHED", name="beyond", to=datetime.now(UTC))
        await self._refused("MASTER_KEY_DIFFERS", name="other-key", to=to, master=os.urandom(32))
        victim = self.backup / "data" / "PG_VERSION"
        victim.write_bytes(victim.read_bytes() + b" ")
        await self._refused("BACKUP_DAMAGED", name="changed", to=to)

    async def _refused(self, code: str, *, name: str, to: datetime, master: bytes = b"") -> None:
        try:
            await asyncio.to_thread(
                restore_backup, self.backup, self.folder / name, archive=self.archive, to=to,
                binaries=self.binaries, master=master or self.master, verifies=False,
            )  # fmt: skip
        except Conflict as exc:
            self.tally.saw("refused by name", exc.code == code, f"{code}: {exc.code} {exc.en}")
        else:
            self.tally.saw("refused by name", False, f"{code}: restored")


async def _binaries(addresses: ServerAddresses, home: ServerHome) -> Path:
    """The programs of the version that the section was given a server of."""
    connection = await asyncpg.connect(addresses.owner_dsn)
    try:
        major = int(await connection.fetchval("show server_version_num")) // 10_000
    finally:
        await connection.close()
    return await asyncio.to_thread(binaries_of, major, home)


async def now_of(dsn: str) -> datetime:
    """The clock of a database (数据库时间)."""
    connection = await asyncpg.connect(dsn)
    try:
        found: datetime = await connection.fetchval("select clock_timestamp()")
        return found
    finally:
        await connection.close()


async def _lists(cluster: Cluster) -> set[str]:
    return await _rows(cluster, "select setl_id as name from inpatient_case")


async def _rows(cluster: Cluster, sql: str) -> set[str]:
    connection = await asyncpg.connect(cluster.dsn(database="fenzhi"))
    try:
        return {row["name"] for row in await connection.fetch(sql) if row["name"] is not None}
    finally:
        await connection.close()


def _uuid_of(global_id: str) -> str:
    import base64

    return base64.urlsafe_b64decode(global_id + "=" * (-len(global_id) % 4)).decode().partition(":")[2]


def _figures(done: Restored, whole_s: float) -> dict[str, Any]:
    looked = done.verification.get("looked_at", {})
    return {
        "copied_s": done.copied_s,
        "recovered_s": done.recovered_s,
        "verified_s": done.verified_s,
        "rto_s": round(whole_s, 1),
        "looked_at": sum(looked.values()),
        "rows": done.verification.get("figures", {}).get("rows"),
    }
