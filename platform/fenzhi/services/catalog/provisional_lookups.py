"""Provisional groups as they are read (临时病种查询): with their state as of today, and the kinds of case without a group."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Any

from sqlalchemy import Row

from fenzhi.access.roles import Duty, TenantKind
from fenzhi.access.subject import Subject
from fenzhi.services.acts import Platform, looking
from fenzhi.store.repositories import provisional

KINDS_MOST = 100
_STATE = {
    "carried": "carried",
    "refused": "refused",
    "approved": "in_force",
    "rejected": "rejected",
    "end_proposed": "ending",
    "end_rejected": "in_force",
}


@dataclass(frozen=True, slots=True)
class ProvisionalView:
    """A provisional group as of today (临时病种). `state`: proposed, carried, refused, rejected, in_force, ending, expired, ended,
    absorbed. Days are those it really has. Panel and votes are none below the city.
    """

    provisional_id: uuid.UUID
    area_code: str
    group_code: str
    diagnosis: str
    procedures: tuple[str, ...]
    name: str
    score: Decimal
    edition_code: str
    first_day: date
    last_day: date
    cases: int
    total_fen: int
    document: str
    state: str
    absorbed_by: str | None
    absorbing_edition: str | None
    panel: tuple[str, ...]
    seed: str


def state_of(acts: Sequence[Row[Any]], last_day: date, today: date) -> str:
    """The state its last act and the day give (状态)."""
    last = acts[-1] if acts else None
    if last is None:
        return "proposed"
    if last.act == "ended":
        return "absorbed" if last.absorbed_by is not None else "ended"
    found = _STATE[last.act]
    return "expired" if found in ("in_force", "ending") and today > last_day else found


def _view(row: Row[Any], acts: Sequence[Row[Any]], today: date, subject: Subject) -> ProvisionalView:
    ended = next((one for one in acts if one.act == "ended"), None)
    sees_panel = subject.tenant_kind in (TenantKind.CITY, TenantKind.PROVINCE)
    return ProvisionalView(
        provisional_id=row.provisional_id,
        area_code=row.area_code,
        group_code=row.group_code,
        diagnosis=row.diagnosis,
        procedures=tuple(row.procedures),
        name=row.name,
        score=row.score,
        edition_code=row.edition_code,
        first_day=row.first_day,
        last_day=row.last_day if ended is None else ended.last_day,
        cases=row.cases,
        total_fen=row.total_fen,
        document=row.document,
        state=state_of(acts, row.last_day, today),
        absorbed_by=ended.absorbed_by if ended is not None else None,
        absorbing_edition=ended.edition_code if ended is not None else None,
        panel=tuple(row.panel) if sees_panel else (),
        seed=row.seed if sees_panel else "",
    )


async def page(platform: Platform, subject: Subject, after: uuid.UUID | None, limit: int) -> Sequence[ProvisionalView]:
    """Provisional groups of the scope, newest first (临时病种); below the city the approved ones."""
    if subject.tenant_kind is TenantKind.OPERATOR:
        return []
    async with looking(platform, subject, Duty.READ_CATALOG) as uow:
        rows = await provisional.page(uow, after, limit)
        acts: dict[uuid.UUID, list[Row[Any]]] = {}
        for one in await provisional.acts(uow, [row.provisional_id for row in rows]) if rows else ():
            acts.setdefault(one.provisional_id, []).append(one)
        today = await uow.today()
        return [_view(row, acts.get(row.provisional_id, []), today, subject) for row in rows]


async def by_id(platform: Platform, subject: Subject, provisional_id: uuid.UUID) -> ProvisionalView | None:
    """One provisional group of the scope (临时病种)."""
    if subject.tenant_kind is TenantKind.OPERATOR:
        return None
    async with looking(platform, subject, Duty.READ_CATALOG) as uow:
        row = await provisional.by_id(uow, provisional_id)
        if row is None:
            return None
        return _view(row, await provisional.acts(uow, [provisional_id]), await uow.today(), subject)


async def votes(platform: Platform, subject: Subject, provisional_id: uuid.UUID) -> Sequence[tuple[str, bool]]:
    """The votes of its panel, for city and province (专家表决)."""
    if subject.tenant_kind not in (TenantKind.CITY, TenantKind.PROVINCE):
        return []
    async with looking(platform, subject, Duty.READ_CATALOG) as uow:
        return [(row.expert_code, row.in_favour) for row in await provisional.votes(uow, provisional_id)]


async def unmatched_kinds(platform: Platform, subject: Subject, year: int, limit: int) -> Sequence[Row[Any]]:
    """What the latest runs of a year left without a group, by diagnosis and procedures, most cases first (未入组病例种类).

    For the clerk who may propose; at most `KINDS_MOST`.
    """
    async with looking(platform, subject, Duty.EDIT_OVERLAY) as uow:
        return await provisional.unmatched_kinds(uow, year, min(limit, KINDS_MOST))
