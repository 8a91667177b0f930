"""What the system catalog says of a database's shape (结构核查): revision, triggers, indexes, checksums; and rows of no tenant.

The first half needs the owner's connection. The second needs an administrator who sees through row level security, in a transaction that
may only read; nobody else can see a row whose tenant does not exist.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import asyncpg

from fenzhi.store.tables import metadata

NEEDED_TRIGGERS = frozenset(
    {
        *(
            (table, f"{table}_append_only")
            for table in (
                "ledger_entry",
                "hospital_statement",
                "audit_event",
                "payment",
                "verdict",
                "intake_row",
                "case_supersession",
                "list_key",
            )
        ),
        ("clearing_run", "clearing_run_moves"),
        ("catalog_edition", "catalog_edition_stays"),
        ("ledger_entry", "ledger_entry_balances"),
    }
)
"""Triggers without which money or evidence could be changed (必需触发器); later revisions may add more."""


@dataclass(frozen=True, slots=True)
class SchemaFacts:
    """The shape of a database (结构情况)."""

    revision: str
    server: str
    triggers: dict[tuple[str, str], bool]
    """(table, trigger) → whether it is enabled, partitions left out."""
    invalid: tuple[str, ...]
    """Indexes that are not valid and constraints that were never validated."""
    indexes: int
    checksum_failures: int | None
    """None where pages have no checksums."""
    database_bytes: int


async def schema_facts(owner_dsn: str) -> SchemaFacts:
    """Read the system catalog (读取系统目录). Raises: whatever the database raises when it cannot be asked."""
    owner = await asyncpg.connect(owner_dsn)
    try:
        has_revision = await owner.fetchval("select to_regclass('public.alembic_version') is not null")
        return SchemaFacts(
            revision=await owner.fetchval("select version_num from alembic_version") if has_revision else "",
            server=str(await owner.fetchval("show server_version")),
            triggers={
                (row["name"], row["tgname"]): row["tgenabled"] in ("O", "A")
                for row in await owner.fetch(
                    """select c.relname as name, t.tgname, t.tgenabled::text as tgenabled from pg_trigger t
                       join pg_class c on c.oid = t.tgrelid
                       where c.relnamespace = 'public'::regnamespace and not t.tgisinternal and not c.relispartition"""
                )
            },
            invalid=tuple(
                row["name"]
                for row in await owner.fetch(
                    """select 'index ' || i.indexrelid::regclass as name from pg_index i
                       join pg_class c on c.oid = i.indrelid
                       where c.relnamespace = 'public'::regnamespace and not (i.indisvalid and i.indisready)
                       union all
                       select 'constraint ' || conname || ' of ' || conrelid::regclass from pg_constraint
                       where connamespace = 'public'::regnamespace and not convalidated order by 1"""
                )
            ),
            indexes=await owner.fetchval(
                """select count(*) from pg_index i join pg_class c on c.oid = i.indrelid
                   where c.relnamespace = 'public'::regnamespace"""
            ),
            checksum_failures=await owner.fetchval(
                "select checksum_failures from pg_stat_database where datname = current_database()"
            ),
            database_bytes=await owner.fetchval("select pg_database_size(current_database())"),
        )
    finally:
        await owner.close()


async def rows_of_no_tenant(administrator_dsn: str) -> dict[str, tuple[int, int]]:
    """Table → (rows, rows whose area or province does not exist), seen through the walls (无租户的行).

    Requires: a superuser or a role with BYPASSRLS. Raises: PermissionError for anybody else, who would see nothing and call it well.
    """
    administrator = await asyncpg.connect(administrator_dsn)
    try:
        async with administrator.transaction(isolation="repeatable_read", readonly=True):
            return await _rows_of_no_tenant(administrator)
    finally:
        await administrator.close()


async def _rows_of_no_tenant(administrator: Any) -> dict[str, tuple[int, int]]:
    if not await administrator.fetchval("select rolsuper or rolbypassrls from pg_roles where rolname = current_user"):
        raise PermissionError("a superuser or a role with BYPASSRLS is needed to look through the walls")
    found: dict[str, tuple[int, int]] = {}
    for table in metadata.sorted_tables:
        lost = []
        if "area_id" in table.columns and table.name != "pooling_area":
            lost.append("area_id is not null and area_id not in (select area_id from pooling_area)")
        if "province_id" in table.columns and table.name != "province":
            lost.append("province_id is not null and province_id not in (select province_id from province)")
        if lost:
            row = await administrator.fetchrow(
                f"select count(*) as rows, count(*) filter (where {' or '.join(lost)}) as lost from {table.name}"
            )
            found[table.name] = (row["rows"], row["lost"])
    return found
