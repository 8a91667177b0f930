"""Provisional groups in the store (临时病种): rows are added, never changed; the state of one is its last act."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any

from sqlalchemy import Row, and_, select, text

from fenzhi.store.repositories.scope_predicate import within
from fenzhi.store.session import UnitOfWork
from fenzhi.store.tables.catalog import catalog_edition
from fenzhi.store.tables.provisional import provisional_act, provisional_group, provisional_vote
from fenzhi.store.tables.registry import pooling_area


async def add_group(uow: UnitOfWork, row: Mapping[str, Any]) -> None:
    await uow.insert(provisional_group, [{**row, "area_id": uow.scope.area}])


async def add_votes(uow: UnitOfWork, rows: Sequence[Mapping[str, Any]]) -> None:
    await uow.insert(provisional_vote, [{**row, "area_id": uow.scope.area} for row in rows])


async def add_act(uow: UnitOfWork, row: Mapping[str, Any]) -> None:
    await uow.insert(provisional_act, [{**row, "area_id": uow.scope.area}])


async def lock(uow: UnitOfWork, provisional_id: uuid.UUID) -> None:
    """One act on a group at a time."""
    await uow.rows(
        text("select pg_advisory_xact_lock(hashtextextended(cast(:one as text), 0))"), {"one": str(provisional_id)}
    )


async def approved(uow: UnitOfWork, area_id: int) -> Sequence[Row[Any]]:
    """The approved groups of an area with the last day of an approved end, by code."""
    c, yes, end = provisional_group.c, provisional_act.alias("yes"), provisional_act.alias("ending")
    return await uow.rows(
        select(provisional_group, end.c.last_day.label("ended_last_day"))
        .join(yes, and_(yes.c.provisional_id == c.provisional_id, yes.c.act == "approved"))
        .outerjoin(end, and_(end.c.provisional_id == c.provisional_id, end.c.act == "ended"))
        .where(c.area_id == area_id)
        .order_by(c.group_code)
    )


_LISTED = (
    select(
        provisional_group,
        pooling_area.c.code.label("area_code"),
        catalog_edition.c.code.label("edition_code"),
    )
    .join(pooling_area, pooling_area.c.area_id == provisional_group.c.area_id)
    .join(catalog_edition, catalog_edition.c.edition_id == provisional_group.c.edition_id)
)


async def page(uow: UnitOfWork, after: uuid.UUID | None, limit: int) -> Sequence[Row[Any]]:
    """Groups of the scope, newest first."""
    c = provisional_group.c
    query = _LISTED.where(within(provisional_group, uow.scope))
    if after is not None:
        query = query.where(c.provisional_id < after)
    return await uow.rows(query.order_by(c.provisional_id.desc()).limit(limit))


async def by_id(uow: UnitOfWork, provisional_id: uuid.UUID) -> Row[Any] | None:
    c = provisional_group.c
    return await uow.first(_LISTED.where(within(provisional_group, uow.scope), c.provisional_id == provisional_id))


async def acts(uow: UnitOfWork, ids: Sequence[uuid.UUID]) -> Sequence[Row[Any]]:
    """The acts of groups, in order; the edition's code beside each that names one."""
    c = provisional_act.c
    return await uow.rows(
        select(provisional_act, catalog_edition.c.code.label("edition_code"))
        .outerjoin(catalog_edition, catalog_edition.c.edition_id == c.edition_id)
        .where(within(provisional_act, uow.scope), c.provisional_id.in_(ids))
        .order_by(c.provisional_id, c.place)
    )


async def votes(uow: UnitOfWork, provisional_id: uuid.UUID) -> Sequence[Row[Any]]:
    c = provisional_vote.c
    return await uow.rows(
        select(provisional_vote)
        .where(within(provisional_vote, uow.scope), c.provisional_id == provisional_id)
        .order_by(c.expert_code)
    )


async def count(uow: UnitOfWork) -> int:
    """How many groups the area ever proposed."""
    row = await uow.first(
        text("select count(*) as n from provisional_group where area_id = :area"), {"area": uow.scope.area}
    )
    return int(row.n) if row is not None else 0


async def cases_of_kind(uow: UnitOfWork, diagnosis: str, procedures: Sequence[str], before: date) -> Row[Any] | None:
    """How many cases of the area have a diagnosis under the key and exactly these procedures, and their cost."""
    return await uow.first(
        text(
            "select count(*) as cases, coalesce(sum(total_fen), 0)::bigint as total_fen from inpatient_case"
            " where area_id = :area and discharge_date <= :before and starts_with(diagnoses[1], :diagnosis)"
            "   and procedures @> cast(:procedures as text[]) and procedures <@ cast(:procedures as text[])"
        ),
        {"area": uow.scope.area, "before": before, "diagnosis": diagnosis, "procedures": list(procedures)},
    )


async def unmatched_kinds(uow: UnitOfWork, year: int, limit: int) -> Sequence[Row[Any]]:
    """Diagnosis and procedures of the cases that the latest runs of a year left without a group, most cases first."""
    return await uow.rows(
        text(
            "with last as (select distinct on (c.case_id) c.case_id, c.disposition, c.group_code, c.total_fen"
            "    from run_case c join clearing_run r on r.run_id = c.run_id and r.area_id = c.area_id"
            "   where c.area_id = :area and r.year = :year"
            "     and r.state in ('computed', 'issued', 'approved', 'published')"
            "   order by c.case_id, r.computed_at desc)"
            " select i.diagnoses[1] as diagnosis, i.procedures, count(*) as cases, sum(last.total_fen)::bigint as total_fen"
            "   from last join inpatient_case i on i.case_id = last.case_id and i.area_id = :area"
            "  where last.group_code = '' and (last.disposition = 'cleared'"
            "     or last.disposition in ('pending:ungrouped:no_group_for_diagnosis', 'pending:ungrouped:no_group_for_procedures'))"
            "  group by 1, 2 order by 3 desc, 1, 2 limit :limit"
        ),
        {"area": uow.scope.area, "year": year, "limit": limit},
    )
