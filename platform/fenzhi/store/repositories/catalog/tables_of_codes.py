"""Code tables and crosswalks in the store (代码表与对照表)."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from sqlalchemy import Row, select

from fenzhi.store.session import UnitOfWork
from fenzhi.store.tables.catalog import (
    code_entry,
    code_table,
    crosswalk_entry,
)


async def code_table_named(uow: UnitOfWork, kind: str, version: str) -> Row[Any] | None:
    c = code_table.c
    return await uow.first(
        select(code_table).where(c.province_id == uow.scope.province, c.kind == kind, c.version == version)
    )


async def code_table_by_id(uow: UnitOfWork, code_table_id: uuid.UUID) -> Row[Any] | None:
    c = code_table.c
    return await uow.first(
        select(code_table).where(c.province_id == uow.scope.province, c.code_table_id == code_table_id)
    )


async def code_tables(uow: UnitOfWork) -> Sequence[Row[Any]]:
    """The code tables of the scope's province, newest first."""
    c = code_table.c
    return await uow.rows(
        select(code_table).where(c.province_id == uow.scope.province).order_by(c.code_table_id.desc()).limit(1000)
    )


async def add_code_table(uow: UnitOfWork, row: Mapping[str, Any], entries: Iterable[tuple[Any, ...]]) -> None:
    """A code table with its entries, given as (code, name, is_gray, procedure_class)."""
    province, table_id = uow.scope.province, row["code_table_id"]
    await uow.insert(code_table, [{**row, "province_id": province}])
    await uow.copy_in(
        code_entry,
        ("province_id", "code_table_id", "code", "name", "is_gray", "procedure_class"),
        ((province, table_id, *entry) for entry in entries),
    )


async def add_crosswalk(uow: UnitOfWork, row: Mapping[str, Any], entries: Iterable[tuple[str, str, str]]) -> None:
    """A crosswalk with its entries, given as (kind, source, target)."""
    province, table_id = uow.scope.province, row["code_table_id"]
    await uow.insert(code_table, [{**row, "province_id": province}])
    await uow.copy_in(
        crosswalk_entry,
        ("province_id", "code_table_id", "kind", "source_code", "target_code"),
        ((province, table_id, *entry) for entry in entries),
    )


async def crosswalk_entries(uow: UnitOfWork, code_table_id: uuid.UUID) -> Sequence[Row[Any]]:
    """All entries of a crosswalk."""
    c = crosswalk_entry.c
    return await uow.rows(
        select(c.kind, c.source_code, c.target_code).where(
            c.province_id == uow.scope.province, c.code_table_id == code_table_id
        )
    )


async def code_entries(uow: UnitOfWork, code_table_id: uuid.UUID) -> Sequence[Row[Any]]:
    """All entries of a code table."""
    c = code_entry.c
    return await uow.rows(
        select(c.code, c.name, c.is_gray, c.procedure_class)
        .where(c.province_id == uow.scope.province, c.code_table_id == code_table_id)
        .order_by(c.code)
    )


async def code_entries_page(
    uow: UnitOfWork, code_table_id: uuid.UUID, prefix: str, after: str, limit: int
) -> Sequence[Row[Any]]:
    """One page of a code table's entries in byte order of the code."""
    c = code_entry.c
    query = select(code_entry).where(
        c.province_id == uow.scope.province, c.code_table_id == code_table_id, c.code > after
    )
    if prefix:
        query = query.where(c.code.startswith(prefix, autoescape=True))
    return await uow.rows(query.order_by(c.code).limit(limit))
