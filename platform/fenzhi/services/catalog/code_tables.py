"""Code tables (代码表): imported whole, never changed."""

from __future__ import annotations

import asyncio
import hashlib
import re
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from fenzhi.access.roles import Duty
from fenzhi.access.subject import Subject
from fenzhi.rules.catalog.code_table_text import KINDS, read_code_table
from fenzhi.rules.catalog.crosswalk_text import CROSSWALK, read_crosswalk
from fenzhi.rules.refusals import Conflict, Refusal
from fenzhi.services.acts import Answer, Platform, Request, act
from fenzhi.services.catalog import book
from fenzhi.services.catalog.faults import document_faults, fault, refuse
from fenzhi.store.repositories import catalog
from fenzhi.store.session import UnitOfWork, new_id

_VERSION = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,59}", re.ASCII)


@dataclass(frozen=True, slots=True)
class NewCodeTable:
    """An order to import a code table (导入代码表)."""

    kind: str
    version: str
    document: str
    is_constructed: bool = False


def _faults(order: NewCodeTable) -> list[Refusal]:
    found = document_faults(order.document)
    if order.kind not in (*KINDS, CROSSWALK):
        found.append(
            fault(
                ("CODE_TABLE_KIND", "kind", order.kind),
                (
                    "代码表类型须为 diagnosis、procedure 或 crosswalk。",
                    "A code table is of diagnoses, procedures or a crosswalk.",
                ),
                ("改为其中之一。", "Write one of them."),
            )
        )
    if not _VERSION.fullmatch(order.version):
        found.append(
            fault(
                ("VERSION_SHAPE", "version", order.version),
                (
                    "版本号须为 1 至 60 位字母、数字、点、连字符。",
                    "A version has 1 to 60 letters, digits, dots, hyphens.",
                ),
                ("例如 icd10-yb-2.0。", "For instance icd10-yb-2.0."),
            )
        )
    return found


async def import_code_table(
    platform: Platform, editor: Subject, request: Request, order: NewCodeTable, content: bytes
) -> Answer:
    """Import a code table whole, or refuse it with every fault (导入代码表).

    The request's order must hold the digest of the content. Changes: code_table, code_entry.
    Raises: DataRefused, Conflict CODE_TABLE_EXISTS for a kind and version imported already.
    """
    editor.scope_for(Duty.EDIT_CATALOG)
    refuse(_faults(order))
    if order.kind == CROSSWALK:
        return await _import_crosswalk(platform, editor, request, order, content)
    reading = await asyncio.to_thread(read_code_table, content, order.kind)
    refuse(reading.refusals)

    async def effect(uow: UnitOfWork) -> Answer:
        table_id = await _new_table_id(uow, order)
        await catalog.add_code_table(
            uow,
            _header(uow, table_id, order, len(reading.lines), content),
            ((line.code, line.name, line.is_gray, line.procedure_class) for line in reading.lines),
        )
        return {"type": "CodeTable", "id": str(table_id), "entries": len(reading.lines)}

    return await act(platform, editor, Duty.EDIT_CATALOG, request, effect)


async def _new_table_id(uow: UnitOfWork, order: NewCodeTable) -> uuid.UUID:
    if await catalog.code_table_named(uow, order.kind, order.version) is not None:
        raise Conflict(
            f"代码表 {order.kind} {order.version} 已导入。",
            f"The code table {order.kind} {order.version} was imported already.",
            code="CODE_TABLE_EXISTS",
            hint="代码表不可更改，请用新的版本号 / a code table never changes: use a new version",
        )
    return new_id()


def _header(uow: UnitOfWork, table_id: uuid.UUID, order: NewCodeTable, entries: int, content: bytes) -> dict[str, Any]:
    return {
        "code_table_id": table_id,
        "kind": order.kind,
        "version": order.version,
        "document": order.document.strip(),
        "is_constructed": order.is_constructed,
        "entries": entries,
        "content_sha256": hashlib.sha256(content).digest(),
        "imported_by": uuid.UUID(uow.scope.account_id),
    }


async def _import_crosswalk(
    platform: Platform, editor: Subject, request: Request, order: NewCodeTable, content: bytes
) -> Answer:
    """Import a crosswalk whole (导入编码映射表), held against the code tables of the edition in force today."""

    async def effect(uow: UnitOfWork) -> Answer:
        table_id = await _new_table_id(uow, order)
        edition = await book.edition_for(uow, await uow.today())
        tables = await book.load_tables(uow, edition.diagnosis_table_id, edition.procedure_table_id)
        known = {"diagnosis": tables.diagnoses.keys(), "procedure": tables.procedures.keys()}
        reading = await asyncio.to_thread(read_crosswalk, content, known)
        refuse(reading.refusals)
        await catalog.add_crosswalk(
            uow,
            _header(uow, table_id, order, len(reading.lines), content),
            ((line.kind, line.source, line.target) for line in reading.lines),
        )
        return {"type": "CodeTable", "id": str(table_id), "entries": len(reading.lines)}

    return await act(platform, editor, Duty.EDIT_CATALOG, request, effect)


_crosswalks: dict[uuid.UUID, Mapping[str, Mapping[str, str]]] = {}
"""Crosswalks by key: they never change once imported, and a process meets few of them."""


async def crosswalk(uow: UnitOfWork, version: str) -> Mapping[str, Mapping[str, str]]:
    """Kind → source code → target code of the scope's crosswalk of a version (编码映射).

    Raises: Conflict CROSSWALK_MISSING for a version that policy names and nobody imported.
    """
    found = await catalog.code_table_named(uow, CROSSWALK, version)
    if found is None:
        raise Conflict(
            f"政策指定的编码映射表 {version} 尚未导入。",
            f"Policy names the crosswalk {version}, which was not imported.",
            code="CROSSWALK_MISSING",
            hint="省级先导入该版本 / the province imports it first",
        )
    if found.code_table_id not in _crosswalks:
        maps: dict[str, dict[str, str]] = {kind: {} for kind in KINDS}
        for row in await catalog.crosswalk_entries(uow, found.code_table_id):
            maps[row.kind][row.source_code] = row.target_code
        _crosswalks[found.code_table_id] = maps
    return _crosswalks[found.code_table_id]
