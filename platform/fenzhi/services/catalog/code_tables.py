"""Code tables (代码表): imported whole, never changed."""

from __future__ import annotations

import asyncio
import hashlib
import re
import uuid
from dataclasses import dataclass

from fenzhi.access.roles import Duty
from fenzhi.access.subject import Subject
from fenzhi.rules.catalog.code_table_text import KINDS, read_code_table
from fenzhi.rules.refusals import Conflict, Refusal
from fenzhi.services.acts import Answer, Platform, Request, act
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
    if order.kind not in KINDS:
        found.append(
            fault(
                ("CODE_TABLE_KIND", "kind", order.kind),
                ("代码表类型须为 diagnosis 或 procedure。", "A code table is of diagnoses or procedures."),
                ("改为 diagnosis 或 procedure。", "Write diagnosis or procedure."),
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
    reading = await asyncio.to_thread(read_code_table, content, order.kind)
    refuse(reading.refusals)

    async def effect(uow: UnitOfWork) -> Answer:
        if await catalog.code_table_named(uow, order.kind, order.version) is not None:
            raise Conflict(
                f"代码表 {order.kind} {order.version} 已导入。",
                f"The code table {order.kind} {order.version} was imported already.",
                code="CODE_TABLE_EXISTS",
                hint="代码表不可更改，请用新的版本号 / a code table never changes: use a new version",
            )
        table_id = new_id()
        await catalog.add_code_table(
            uow,
            {
                "code_table_id": table_id,
                "kind": order.kind,
                "version": order.version,
                "document": order.document.strip(),
                "is_constructed": order.is_constructed,
                "entries": len(reading.lines),
                "content_sha256": hashlib.sha256(content).digest(),
                "imported_by": uuid.UUID(uow.scope.account_id),
            },
            ((line.code, line.name, line.is_gray, line.procedure_class) for line in reading.lines),
        )
        return {"type": "CodeTable", "id": str(table_id), "entries": len(reading.lines)}

    return await act(platform, editor, Duty.EDIT_CATALOG, request, effect)
