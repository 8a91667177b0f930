"""The whole verification of one database (数据库核验), running or restored. It reads and changes nothing.

Each area is read in the worker's scope from one snapshot, so that a running platform does not look damaged while it works. What needs
more than the application's rights is looked at only where such an address is given, and named as not looked at otherwise.
"""

from __future__ import annotations

from dataclasses import dataclass

from fenzhi.access.scope import SEQUENCER_SCOPE, DatabaseRole, Scope
from fenzhi.services.audit import chain
from fenzhi.services.verification.findings import Verification
from fenzhi.services.verification.money import verify_money
from fenzhi.services.verification.originals import verify_batches
from fenzhi.store.keyring import Keyring
from fenzhi.store.repositories import verification as store
from fenzhi.store.schema_check import NEEDED_TRIGGERS, rows_of_no_tenant, schema_facts
from fenzhi.store.session import Database, UnitOfWork
from fenzhi.store.wall_check import check_walls


@dataclass(frozen=True, slots=True)
class Verified:
    """What to verify and with which rights (核验范围)."""

    owner_dsn: str
    app_dsn: str
    revision: str
    """The newest revision this release knows."""
    administrator_dsn: str = ""
    """A superuser or a role with BYPASSRLS; empty: rows of no tenant are not looked for."""
    master_key: bytes = b""
    """Opens the originals; empty: they are not opened."""
    originals: int = 0
    """Batches per area whose originals are opened; 0: all."""
    seed: int = 1


async def verify_database(asked: Verified) -> Verification:
    """Verify a database (核验数据库).

    Raises: whatever the database raises when it cannot be asked; what is damaged is a finding, not an error.
    """
    found = Verification()
    await _verify_schema(found, asked)
    await _verify_tenants(found, asked)
    keyring = Keyring(asked.master_key) if asked.master_key else None
    if keyring is None:
        for check in ("batch.originals", "case.digest", "case.facts"):
            found.left_out[check] = "no master key given"
    database = Database(asked.app_dsn, pool_size=2, application="fenzhi-verify")
    try:
        async with database.snapshot(store.OPERATOR) as uow:
            areas = list(await store.areas(uow))
        for area in areas:
            scope = Scope(
                role=DatabaseRole.WORKER, tenant=area.code, province_id=area.province_id, area_id=area.area_id
            )
            async with database.snapshot(scope) as uow:
                await verify_money(found, database, uow, area.code)
                await verify_batches(found, uow, area.code, keyring, asked.originals, asked.seed)
                await _verify_rows(found, uow, area.code)
        async with database.snapshot(store.ANY_JOB) as uow:
            total, faults = await store.job_faults(uow)
            found.saw("jobs.states", not faults, "all jobs", f"{len(faults)} of {total}")
            for row in faults:
                found.saw("jobs.states", False, f"job {row.job_id}", f"{row.state}, {row.fault}")
        async with database.snapshot(SEQUENCER_SCOPE) as uow:
            await _verify_audit(found, uow, keyring)
    finally:
        await database.close()
    found.figures |= {"areas": len(areas), "jobs": total}
    return found


async def _verify_audit(found: Verification, uow: UnitOfWork, keyring: Keyring | None) -> None:
    """The chain against itself and the anchors kept beside it; anchors kept outside are `fenzhi audit verify`'s."""
    checked = await chain.verify_within(uow, keyring, ())
    found.saw("audit.chain", checked.holds, f"{checked.links} links, {checked.anchors} anchors")
    for one in checked.findings:
        found.saw("audit.chain", False, f"link {one.seq}", one.en)
    found.figures["audit_events_waiting"] = checked.waiting


async def _verify_schema(found: Verification, asked: Verified) -> None:
    facts = await schema_facts(asked.owner_dsn)
    found.same("schema.revision", "alembic_version", facts.revision, asked.revision)
    for table, trigger in sorted(NEEDED_TRIGGERS | facts.triggers.keys()):
        state = facts.triggers.get((table, trigger))
        found.saw("schema.triggers", bool(state), f"{table}.{trigger}", "absent" if state is None else "disabled")
    found.saw("schema.indexes", not facts.invalid, f"{facts.indexes} indexes", ", ".join(facts.invalid))
    if facts.checksum_failures is None:
        found.left_out["pages.checksums"] = "the server keeps no checksums of its pages"
    else:
        found.same("pages.checksums", "database", facts.checksum_failures, 0)
    for probe in await check_walls(asked.owner_dsn, asked.app_dsn):
        found.saw("schema.walls", probe.held, f"{probe.table} {probe.role}".strip(), f"not so: {probe.question}")
    found.figures |= {
        "revision": facts.revision,
        "server": facts.server,
        "database_bytes": facts.database_bytes,
    }


async def _verify_tenants(found: Verification, asked: Verified) -> None:
    if not asked.administrator_dsn:
        found.left_out["rows.tenants"] = "needs an administrator's DSN (--admin-dsn)"
        return
    counted = await rows_of_no_tenant(asked.administrator_dsn)
    for table, (rows, lost) in counted.items():
        found.saw("rows.tenants", lost == 0, table, f"{lost} of {rows} rows")
    found.figures["rows"] = sum(rows for rows, _ in counted.values())


async def _verify_rows(found: Verification, uow: UnitOfWork, area_code: str) -> None:
    for what, name, source in store.ORPHANS:
        count, names = await store.orphans(uow, name, source)
        found.saw("rows.orphans", count == 0, f"{area_code} {what}", f"{count}: {', '.join(names)}")
    for table, numbers in (await store.strange_hospitals(uow)).items():
        found.saw("rows.orphans", not numbers, f"{area_code} {table}", f"no such hospital: {numbers[:20]}")
    for row in await store.jobs_without_effect(uow):
        found.saw("jobs.states", False, f"{area_code} {row.name}", row.saw)
