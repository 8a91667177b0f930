"""The groups of an edition as a file (目录文本): in by import, out byte for byte."""

from __future__ import annotations

import asyncio
import hashlib
import uuid
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from enum import StrEnum
from typing import Any

from sqlalchemy import Row

from fenzhi.access.roles import Duty
from fenzhi.access.subject import Subject
from fenzhi.rules.catalog.catalog_text import (
    CLASS_COLUMN,
    CatalogDialect,
    CatalogReading,
    dialect_for,
    read_catalog,
    write_catalog,
)
from fenzhi.rules.catalog.disease_group import DiseaseGroup, distinct_key
from fenzhi.rules.catalog.edition import ambiguous_key, duplicated_code
from fenzhi.rules.catalog.group_conditions import CONDITION_COLUMNS
from fenzhi.rules.refusals import Refusal
from fenzhi.services.acts import Answer, Platform, Request, act, looking
from fenzhi.services.catalog.book import edition_not_found, edition_row, group_of, load_tables, row_of
from fenzhi.services.catalog.faults import moved, refuse, require_draft
from fenzhi.services.catalog.lookups import sees_edition
from fenzhi.store.repositories import catalog
from fenzhi.store.session import UnitOfWork

WARNINGS_MOST = 200
"""Warnings returned in full; all are counted by code."""


class ImportMode(StrEnum):
    """What happens to the groups a draft has already (导入方式)."""

    APPEND = "append"  # 追加
    REPLACE = "replace"  # 替换


async def put_groups(
    platform: Platform, editor: Subject, request: Request, edition_id: uuid.UUID, content: bytes, mode: ImportMode
) -> Answer:
    """Read a catalog file into a draft, whole or not at all (导入病种).

    The request's order must hold the digest of the content. Answers the number of groups and the warnings.
    Changes: disease_group, catalog_edition. Raises: DataRefused with every fault, Conflict EDITION_NOT_DRAFT, NotFound.
    """

    async def effect(uow: UnitOfWork) -> Answer:
        await edition_row(uow, edition_id)
        row = await catalog.edition_by_id(uow, edition_id, lock=True)
        assert row is not None
        require_draft(row)
        tables = await load_tables(uow, row.diagnosis_table_id, row.procedure_table_id)
        reading = await asyncio.to_thread(read_catalog, content, tables, score_places=row.score_decimals)
        refuse(reading.refusals)
        report = await catalog.build_report(uow, edition_id)
        if mode is ImportMode.REPLACE:
            await catalog.drop_groups(uow, edition_id)
            report = {name: part for name, part in report.items() if name == "rejections"}
            held: Sequence[Row[Any]] = ()
        else:
            held = await catalog.groups(uow, edition_id)
            refuse(_clashes([group_of(one) for one in held], reading.groups))
        first = max((one.ordinal for one in held), default=0) + 1
        added = await catalog.add_groups(uow, edition_id, first, (row_of(one, "imported") for one in reading.groups))
        report["imports"] = [*report.get("imports", ()), _import_report(content, reading, mode)]
        values = {"groups": len(held) + added, "build_report": report}
        if await catalog.change_edition(uow, edition_id, "draft", values) != 1:
            raise moved()
        return {
            "type": "CatalogEdition",
            "id": str(edition_id),
            "added": added,
            "groups": len(held) + added,
            "warning_counts": dict(sorted(Counter(one.code for one in reading.warnings).items())),
            "warnings": [asdict(one) for one in reading.warnings[:WARNINGS_MOST]],
        }

    return await act(platform, editor, Duty.EDIT_CATALOG, request, effect)


def _clashes(held: Sequence[DiseaseGroup], added: Sequence[DiseaseGroup]) -> list[Refusal]:
    codes = {group.group_code for group in held}
    keys = {distinct_key(group): group.group_code for group in held}
    found = []
    for group in added:
        if group.group_code in codes:
            found.append(duplicated_code(group.group_code, group.group_code))
        elif (other := keys.get(distinct_key(group))) is not None:
            found.append(ambiguous_key(group.group_code, group.group_code, other))
    return found


def _import_report(content: bytes, reading: CatalogReading, mode: ImportMode) -> dict[str, Any]:
    dialect = reading.dialect
    return {
        "sha256": hashlib.sha256(content).hexdigest(),
        "groups": len(reading.groups),
        "mode": mode.value,
        "warnings": len(reading.warnings),
        "dialect": {
            "columns": list(dialect.columns),
            "newline": dialect.newline,
            "bom": dialect.bom,
            "final_newline": dialect.final_newline,
        },
    }


async def export_groups(platform: Platform, subject: Subject, edition_id: uuid.UUID) -> tuple[str, bytes]:
    """The code of an edition and its groups as a file (导出病种).

    A draft or edition that came from one file, its scores untouched, leaves in the same bytes. Raises: NotFound.
    """
    async with looking(platform, subject, Duty.READ_CATALOG) as uow:
        row = await edition_row(uow, edition_id)
        if not sees_edition(subject, row.state):
            raise edition_not_found()
        groups = [group_of(one) for one in await catalog.groups(uow, edition_id)]
        imports = await catalog.build_report_part(uow, edition_id, "imports")
    dialect = _dialect(imports or (), groups)
    return row.code, await asyncio.to_thread(write_catalog, groups, dialect)


def _dialect(imports: Sequence[Mapping[str, Any]], groups: Sequence[DiseaseGroup]) -> CatalogDialect:
    if len(imports) != 1:
        return dialect_for(groups)
    kept = imports[0]["dialect"]
    columns = tuple(kept["columns"])
    if CLASS_COLUMN not in columns and any(group.procedure_class is not None for group in groups):
        columns = (*columns, CLASS_COLUMN)
    if any(group.conditions.asked for group in groups):
        columns = (*columns, *(name for name in CONDITION_COLUMNS if name not in columns))
    return CatalogDialect(columns, kept["newline"], kept["bom"], kept["final_newline"])
