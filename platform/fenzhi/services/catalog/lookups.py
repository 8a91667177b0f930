"""Catalog look-ups (目录查询)."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from fractions import Fraction
from typing import Any

from sqlalchemy import Row

from fenzhi.access.roles import Duty, TenantKind
from fenzhi.access.subject import Subject
from fenzhi.rules.catalog.row_version import row_version
from fenzhi.rules.catalog.score_derivation import cv_text
from fenzhi.rules.quantities import decimal_places
from fenzhi.services.acts import Platform, looking
from fenzhi.services.catalog.book import group_of
from fenzhi.store.repositories import catalog


@dataclass(frozen=True, slots=True)
class CodeTableView:
    """A code table (代码表)."""

    code_table_id: uuid.UUID
    kind: str
    version: str
    document: str
    is_constructed: bool
    entries: int
    content_sha256: str


@dataclass(frozen=True, slots=True)
class CodeEntryView:
    """One code (代码条目)."""

    code: str
    name: str
    is_gray: bool
    procedure_class: str | None


@dataclass(frozen=True, slots=True)
class EditionView:
    """An edition (目录版本)."""

    edition_id: uuid.UUID
    code: str
    title: str
    state: str
    effective_from: date
    effective_to: date | None
    scale: int
    points_decimals: int
    score_decimals: int
    diagnosis_table_id: uuid.UUID
    procedure_table_id: uuid.UUID
    document: str
    is_constructed: bool
    groups: int
    content_sha256: str | None
    published_at: datetime | None
    standard: str


@dataclass(frozen=True, slots=True)
class GroupView:
    """A disease group (病种)."""

    edition_id: uuid.UUID
    group_code: str
    diagnosis: str
    diagnosis_name: str
    granularity: int
    main_procedures: str
    main_procedure_names: str
    related_procedures: str
    related_procedure_names: str
    kind: str
    procedure_class: str | None
    level: str
    score: Decimal
    cases: int | None
    is_grassroots: bool
    is_local_addition: bool
    source: str
    row_version: str
    layer: str
    more_diagnoses: str
    secondary_diagnoses: str
    facts: str


@dataclass(frozen=True, slots=True)
class ScoreEditView:
    """One change of a score (分值沿革)."""

    score_before: Decimal
    score_after: Decimal
    kind: str
    reason: str
    recorded_at: datetime


@dataclass(frozen=True, slots=True)
class OverlayView:
    """A city's overlay (市级调整)."""

    overlay_id: uuid.UUID
    edition_id: uuid.UUID
    state: str
    effective_from: date
    document: str
    is_constructed: bool
    working: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class OverlayScoreView:
    """One score of an overlay (调整后分值)."""

    group_code: str
    province_score: Decimal
    score: Decimal


@dataclass(frozen=True, slots=True)
class ReferenceView:
    """One reference cost (参照费用). Units: fen, days."""

    group_code: str
    level: str
    cases: int
    total_fen: int
    los_days: int


def yuan_shown(fen: str) -> Decimal:
    """An exact mean in fen, kept as a fraction, in yuan with 2 places, half up (展示用均费, 元)."""
    return exact(decimal_places(Fraction(fen) / 100, 2))


def exact(text: str) -> Decimal:
    """A kept total as an exact decimal (精确小数)."""
    return Decimal(text)


def shown_ratio(value: Fraction) -> str:
    """A ratio as shown, 4 places, half up (展示用比值)."""
    return decimal_places(value, 4)


def shown_cv(squared: Fraction) -> str:
    """A coefficient of variation as shown, 4 places, from its exact square (展示用变异系数)."""
    return cv_text(squared)


def _sees_drafts(subject: Subject) -> bool:
    return subject.tenant_kind is TenantKind.PROVINCE


def _table(row: Row[Any]) -> CodeTableView:
    return CodeTableView(
        row.code_table_id,
        row.kind,
        row.version,
        row.document,
        row.is_constructed,
        row.entries,
        bytes(row.content_sha256).hex(),
    )


def _edition(row: Row[Any]) -> EditionView:
    return EditionView(
        edition_id=row.edition_id,
        code=row.code,
        title=row.title,
        state=row.state,
        effective_from=row.effective_from,
        effective_to=row.effective_to,
        scale=row.scale,
        points_decimals=row.points_decimals,
        score_decimals=row.score_decimals,
        diagnosis_table_id=row.diagnosis_table_id,
        procedure_table_id=row.procedure_table_id,
        document=row.document,
        is_constructed=row.is_constructed,
        groups=row.groups,
        content_sha256=bytes(row.content_sha256).hex() if row.content_sha256 else None,
        published_at=row.published_at,
        standard=row.standard,
    )


def _group(row: Row[Any]) -> GroupView:
    return GroupView(
        row.edition_id,
        row.group_code,
        row.diagnosis,
        row.diagnosis_name,
        row.granularity,
        row.main_procedures,
        row.main_procedure_names,
        row.related_procedures,
        row.related_procedure_names,
        row.kind,
        row.procedure_class,
        row.level,
        row.score,
        row.cases,
        row.is_grassroots,
        row.is_local_addition,
        row.source,
        row_version(group_of(row)),
        row.layer,
        row.more_diagnoses,
        row.secondary_diagnoses,
        row.facts,
    )


def _overlay(row: Row[Any]) -> OverlayView:
    return OverlayView(
        row.overlay_id,
        row.edition_id,
        row.state,
        row.effective_from,
        row.document,
        row.is_constructed,
        row.working or {},
    )


async def code_tables(platform: Platform, subject: Subject) -> Sequence[CodeTableView]:
    """The province's code tables, newest first (代码表列表)."""
    async with looking(platform, subject, Duty.READ_CATALOG) as uow:
        return [_table(row) for row in await catalog.code_tables(uow)]


async def code_table(platform: Platform, subject: Subject, code_table_id: uuid.UUID) -> CodeTableView | None:
    """One code table, or none in this scope (代码表)."""
    async with looking(platform, subject, Duty.READ_CATALOG) as uow:
        row = await catalog.code_table_by_id(uow, code_table_id)
        return _table(row) if row is not None else None


async def code_entries(
    platform: Platform, subject: Subject, code_table_id: uuid.UUID, prefix: str, after: str, limit: int
) -> Sequence[CodeEntryView]:
    """One page of codes in byte order (代码条目)."""
    async with looking(platform, subject, Duty.READ_CATALOG) as uow:
        rows = await catalog.code_entries_page(uow, code_table_id, prefix, after, limit)
        return [CodeEntryView(row.code, row.name, row.is_gray, row.procedure_class) for row in rows]


async def editions(platform: Platform, subject: Subject, after: uuid.UUID | None, limit: int) -> Sequence[EditionView]:
    """One page of editions, newest first (目录版本列表). Below the province only what is published."""
    async with looking(platform, subject, Duty.READ_CATALOG) as uow:
        rows = await catalog.editions(uow, drafts=_sees_drafts(subject), after=after, limit=limit)
        return [_edition(row) for row in rows]


async def edition(platform: Platform, subject: Subject, edition_id: uuid.UUID) -> EditionView | None:
    """One edition, or none in this scope (目录版本)."""
    async with looking(platform, subject, Duty.READ_CATALOG) as uow:
        row = await catalog.edition_by_id(uow, edition_id)
        return _edition(row) if row is not None and sees_edition(subject, row.state) else None


async def edition_report(
    platform: Platform, subject: Subject, edition_id: uuid.UUID, part: str
) -> Mapping[str, Any] | None:
    """One part of what an edition was made from (测算记录): build, adequacy or conversion; none where it has none."""
    async with looking(platform, subject, Duty.READ_CATALOG) as uow:
        row = await catalog.edition_by_id(uow, edition_id)
        if row is None or not sees_edition(subject, row.state):
            return None
        found: Mapping[str, Any] | None = await catalog.build_report_part(uow, edition_id, part)
        return found


def sees_edition(subject: Subject, state: str) -> bool:
    """Whether an edition in this state is for the subject's eyes (可见性): below the province only once published."""
    return _sees_drafts(subject) or state in ("published", "withdrawn")


async def edition_in_force(platform: Platform, subject: Subject, on: date) -> EditionView | None:
    """The edition in force on a discharge date, or none (适用目录版本)."""
    async with looking(platform, subject, Duty.READ_CATALOG) as uow:
        row = await catalog.edition_in_force(uow, on)
        return _edition(row) if row is not None else None


async def groups(
    platform: Platform, subject: Subject, edition_id: uuid.UUID, *, prefix: str, search: str, after: str, limit: int
) -> Sequence[GroupView]:
    """One page of an edition's groups in byte order of their codes (病种列表)."""
    async with looking(platform, subject, Duty.READ_CATALOG) as uow:
        row = await catalog.edition_by_id(uow, edition_id)
        if row is None or not sees_edition(subject, row.state):
            return []
        rows = await catalog.groups_page(uow, edition_id, prefix=prefix, search=search, after=after, limit=limit)
        return [_group(one) for one in rows]


async def group(platform: Platform, subject: Subject, edition_id: uuid.UUID, group_code: str) -> GroupView | None:
    """One group of an edition, or none in this scope (病种)."""
    async with looking(platform, subject, Duty.READ_CATALOG) as uow:
        edition_row = await catalog.edition_by_id(uow, edition_id)
        if edition_row is None or not sees_edition(subject, edition_row.state):
            return None
        row = await catalog.group_by_code(uow, edition_id, group_code)
        return _group(row) if row is not None else None


async def score_history(
    platform: Platform, subject: Subject, edition_id: uuid.UUID, group_code: str
) -> Sequence[ScoreEditView]:
    """The changes of a group's score, oldest first (分值沿革). Kept by the province: nobody below reads it."""
    if not _sees_drafts(subject):
        return []
    async with looking(platform, subject, Duty.READ_CATALOG) as uow:
        rows = await catalog.score_edits(uow, edition_id, group_code)
        return [ScoreEditView(r.score_before, r.score_after, r.kind, r.reason, r.recorded_at) for r in rows]


def _has_area(subject: Subject) -> bool:
    return subject.area_id is not None


async def overlays(platform: Platform, subject: Subject, edition_id: uuid.UUID | None) -> Sequence[OverlayView]:
    """The area's overlays, newest first (市级调整列表). Below the city only what is published."""
    subject.scope_for(Duty.READ_CATALOG)
    if not _has_area(subject):
        return []
    async with looking(platform, subject, Duty.READ_CATALOG) as uow:
        return [_overlay(row) for row in await catalog.overlays(uow, edition_id)]


async def overlay(platform: Platform, subject: Subject, overlay_id: uuid.UUID) -> OverlayView | None:
    """One overlay, or none in this scope (市级调整)."""
    if not _has_area(subject):
        return None
    async with looking(platform, subject, Duty.READ_CATALOG) as uow:
        row = await catalog.overlay_by_id(uow, overlay_id)
        return _overlay(row) if row is not None else None


async def overlay_scores(
    platform: Platform, subject: Subject, overlay_id: uuid.UUID, after: str, limit: int
) -> Sequence[OverlayScoreView]:
    """One page of an overlay's scores (调整后分值)."""
    if not _has_area(subject):
        return []
    async with looking(platform, subject, Duty.READ_CATALOG) as uow:
        rows = await catalog.overlay_scores_page(uow, overlay_id, after, limit)
        return [OverlayScoreView(row.group_code, row.province_score, row.score) for row in rows]


async def reference_costs(
    platform: Platform, subject: Subject, edition_id: uuid.UUID, year: int, after: tuple[str, str], limit: int
) -> Sequence[ReferenceView]:
    """One page of the area's reference costs (参照费用): the registered peer statistics of the area."""
    subject.scope_for(Duty.READ_CATALOG)
    if not _has_area(subject):
        return []
    async with looking(platform, subject, Duty.READ_CATALOG) as uow:
        rows = await catalog.reference_costs_page(uow, edition_id, year, after, limit)
        return [ReferenceView(r.group_code, r.level, r.cases, r.total_fen, r.los_days) for r in rows]
