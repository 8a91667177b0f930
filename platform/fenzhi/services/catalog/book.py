"""Opening a catalog at the right page (打开目录): what submission, grouping and clearing read of an edition.

A published edition never changes, so a process opens it once. Every call first asks the store whether the caller's scope
sees the edition at all; the cache only spares the reading.
"""

from __future__ import annotations

import asyncio
import uuid
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Any, Generic, TypeVar

from sqlalchemy import Row

from fenzhi.rules.catalog.conjunctions import conjunction_text, parse_conjunction
from fenzhi.rules.catalog.disease_group import DiseaseGroup, Granularity, GroupKind, ProcedureClass
from fenzhi.rules.catalog.edition import CodeTables, Edition, ProcedureEntry
from fenzhi.rules.catalog.edition_lists import CatalogStandard, edition_lists
from fenzhi.rules.catalog.group_conditions import (
    FACTS_COLUMN,
    LAYER_COLUMN,
    MORE_COLUMN,
    NO_CONDITIONS,
    SECONDARY_COLUMN,
    GroupConditions,
    condition_cells,
    parse_conditions,
)
from fenzhi.rules.editions import NothingInForce
from fenzhi.rules.grouping.catalog_book import CatalogBook
from fenzhi.rules.refusals import NotFound
from fenzhi.store.repositories import catalog
from fenzhi.store.session import UnitOfWork

K = TypeVar("K")
V = TypeVar("V")


class _Shelf(Generic[K, V]):
    """A few opened things, the least used put back first."""

    def __init__(self, room: int) -> None:
        self._room = room
        self._held: OrderedDict[K, V] = OrderedDict()

    def get(self, key: K) -> V | None:
        if key in self._held:
            self._held.move_to_end(key)
        return self._held.get(key)

    def put(self, key: K, value: V) -> V:
        self._held[key] = value
        self._held.move_to_end(key)
        while len(self._held) > self._room:
            self._held.popitem(last=False)
        return value


_books: _Shelf[tuple[uuid.UUID, bytes], CatalogBook] = _Shelf(6)
_tables: _Shelf[tuple[uuid.UUID, uuid.UUID], CodeTables] = _Shelf(6)


@dataclass(frozen=True, slots=True)
class Reference:
    """Last-year cost and stay of a group at a level (上年参照). Units: fen, cases, days; level '' is all levels."""

    total_fen: int
    n: int
    los_days: int


async def edition_row(uow: UnitOfWork, edition_id: uuid.UUID) -> Row[Any]:
    """An edition the scope sees (目录版本). Raises: NotFound."""
    row = await catalog.edition_by_id(uow, edition_id)
    if row is None:
        raise edition_not_found()
    return row


def edition_not_found() -> NotFound:
    """No such edition in this scope (范围内没有该目录版本)."""
    return NotFound("没有该目录版本。", "No such catalog edition.", code="EDITION_NOT_FOUND")


async def edition_for(uow: UnitOfWork, discharge_date: date) -> Row[Any]:
    """The published edition in force on a discharge date (适用目录版本): a row of catalog_edition.

    Raises: NothingInForce when the province has none for that day.
    """
    row = await catalog.edition_in_force(uow, discharge_date)
    if row is None:
        day = discharge_date.isoformat()
        raise NothingInForce(
            f"{day} 没有生效的目录版本。",
            f"No catalog edition was in force on {day}.",
            date=day,
        )
    return row


async def load_tables(uow: UnitOfWork, diagnosis_table_id: uuid.UUID, procedure_table_id: uuid.UUID) -> CodeTables:
    """The code tables an edition is read against (代码表). A code table never changes once imported."""
    key = (diagnosis_table_id, procedure_table_id)
    held = _tables.get(key)
    if held is not None:
        return held
    diagnoses = await catalog.code_entries(uow, diagnosis_table_id)
    procedures = await catalog.code_entries(uow, procedure_table_id)
    tables = await asyncio.to_thread(_code_tables, diagnoses, procedures)
    return _tables.put(key, tables) if diagnoses and procedures else tables


def _code_tables(diagnoses: Any, procedures: Any) -> CodeTables:
    return CodeTables(
        {row.code: row.is_gray for row in diagnoses},
        {
            row.code: ProcedureEntry(ProcedureClass(row.procedure_class) if row.procedure_class else None, row.is_gray)
            for row in procedures
        },
    )


async def load_edition(uow: UnitOfWork, row: Row[Any]) -> Edition:
    """The whole edition of a row of catalog_edition (目录版本全文), read afresh."""
    tables = await load_tables(uow, row.diagnosis_table_id, row.procedure_table_id)
    found = await catalog.groups(uow, row.edition_id)
    return Edition(
        edition_id=str(row.edition_id),
        scale=row.scale,
        score_places=row.score_decimals,
        groups=await asyncio.to_thread(lambda: tuple(group_of(one) for one in found)),
        tables=tables,
        effective_from=row.effective_from,
        effective_to=row.effective_to,
        standard=CatalogStandard(row.standard),
        lists=edition_lists((one.list, one.code, one.scope) for one in await catalog.lists_of(uow, row.edition_id)),
    )


async def load_book(uow: UnitOfWork, edition_id: uuid.UUID) -> CatalogBook:
    """An edition ready for grouping (目录索引), kept by the process once it is published.

    The book's `edition.effective_to` is that of the first opening; ask `edition_for` which edition speaks on a day.
    Raises: NotFound when the scope does not see the edition.
    """
    row = await edition_row(uow, edition_id)
    key = (row.edition_id, bytes(row.content_sha256 or b""))
    held = _books.get(key) if row.content_sha256 else None
    if held is not None:
        return held
    edition = await load_edition(uow, row)
    book = await asyncio.to_thread(CatalogBook, edition)
    return _books.put(key, book) if row.content_sha256 else book


async def overlay_scores(
    uow: UnitOfWork, edition_id: uuid.UUID, on: date, *, area_id: int | None = None
) -> Mapping[str, Decimal]:
    """An area's own scores over an edition on a day (市级调整分值): group code → score, only where it differs.

    The area is the scope's; a province scope names one of its areas.
    """
    area = uow.scope.area if area_id is None else area_id
    row = await catalog.overlay_in_force(uow, area, edition_id, on)
    if row is None:
        return {}
    return {one.group_code: one.score for one in await catalog.overlay_scores(uow, area, row.overlay_id)}


async def references(
    uow: UnitOfWork, edition_id: uuid.UUID, year: int, *, area_id: int | None = None, group: str | None = None
) -> Mapping[tuple[str, str], Reference]:
    """An area's reference costs of a year grouped under an edition (上年参照费用): (group code, level) → reference.

    Of one group where it is named. Level '' holds all levels. Empty when nothing was computed yet. Units: fen, cases, days.
    """
    area = uow.scope.area if area_id is None else area_id
    rows = await catalog.reference_costs(uow, area, edition_id, year, group)
    return {(row.group_code, row.level): Reference(row.total_fen, row.cases, row.los_days) for row in rows}


def group_of(row: Row[Any]) -> DiseaseGroup:
    """A stored group in the words of the rules (病种)."""
    return DiseaseGroup(
        group_code=row.group_code,
        diagnosis=row.diagnosis,
        granularity=Granularity(row.granularity),
        score=row.score,
        main_procedures=parse_conjunction(row.main_procedures),
        related_procedures=parse_conjunction(row.related_procedures),
        kind=GroupKind(row.kind),
        procedure_class=ProcedureClass(row.procedure_class) if row.procedure_class else None,
        grassroots=row.is_grassroots,
        level=int(row.level),
        sequence=row.sequence_text,
        diagnosis_name=row.diagnosis_name,
        main_procedure_names=row.main_procedure_names,
        related_procedure_names=row.related_procedure_names,
        local_addition=row.is_local_addition,
        conditions=_conditions(row),
    )


def _conditions(row: Row[Any]) -> GroupConditions:
    if row.layer == "basic":
        return NO_CONDITIONS
    return parse_conditions(
        {
            LAYER_COLUMN: row.layer,
            MORE_COLUMN: row.more_diagnoses,
            SECONDARY_COLUMN: row.secondary_diagnoses,
            FACTS_COLUMN: row.facts,
        }
    )


def row_of(group: DiseaseGroup, source: str, cases: int | None = None) -> tuple[Any, ...]:
    """A group as the store keeps it (病种入库), in the order of `catalog.GROUP_COLUMNS`; `source` is imported or built."""
    return (
        group.group_code,
        group.diagnosis,
        group.diagnosis_name,
        int(group.granularity),
        conjunction_text(group.main_procedures),
        group.main_procedure_names,
        conjunction_text(group.related_procedures),
        group.related_procedure_names,
        group.kind.value,
        group.sequence,
        group.procedure_class.value if group.procedure_class else None,
        str(group.level),
        group.score,
        cases,
        group.grassroots,
        source,
        group.local_addition,
        group.layer.value,
        *(condition_cells(group.conditions)[name] for name in (MORE_COLUMN, SECONDARY_COLUMN, FACTS_COLUMN)),
    )
