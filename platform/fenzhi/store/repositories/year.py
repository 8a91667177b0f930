"""The year in the store (年度): entries by four eyes, movements that only grow, the acts on a statement."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Row, Table, and_, func, select, text, update

from fenzhi.store.repositories.fund import Pool
from fenzhi.store.repositories.scope_predicate import within
from fenzhi.store.session import UnitOfWork, new_id
from fenzhi.store.tables.clearing import clearing_run
from fenzhi.store.tables.registry import hospital, pooling_area
from fenzhi.store.tables.year import (
    account_opening,
    advance,
    advance_movement,
    assessment_result,
    receivable,
    receivable_movement,
    statement_act,
    volume_baseline,
)

ENTRY_TABLES: Mapping[str, Table] = {
    "AssessmentResult": assessment_result,
    "AccountOpening": account_opening,
    "Receivable": receivable,
    "Advance": advance,
    "VolumeBaseline": volume_baseline,
}
"""Node type → table of what is entered by one person and decided by another (双人录入事项)."""


def _key(table: Table) -> Any:
    return next(iter(table.primary_key.columns))


def _of_pool(table: Table, uow: UnitOfWork, pool: Pool) -> list[Any]:
    insurance, pool_scope, year = pool
    c = table.c
    return [c.area_id == uow.scope.area, c.insurance == insurance, c.pool_scope == pool_scope, c.year == year]


# Entries by four eyes


async def add_entry(uow: UnitOfWork, kind: str, row: Mapping[str, Any], *, state: str = "draft") -> uuid.UUID:
    """A new entry of a kind, by the person of the scope."""
    table = ENTRY_TABLES[kind]
    entry_id = new_id()
    who = {"entered_by": uuid.UUID(uow.scope.account_id), "entered_by_person": uuid.UUID(uow.scope.person_id)}
    await uow.insert(table, [{_key(table).name: entry_id, "state": state} | who | dict(row)])
    return entry_id


def _shown(table: Table) -> Any:
    columns = [table, _key(table).label("entry_id"), pooling_area.c.code.label("area_code")]
    query = select(*columns).join(pooling_area, pooling_area.c.area_id == table.c.area_id)
    if "hospital_id" in table.c:
        query = query.add_columns(hospital.c.code.label("hospital_code")).join(
            hospital, hospital.c.hospital_id == table.c.hospital_id
        )
    return query


async def entry_by_id(uow: UnitOfWork, kind: str, entry_id: uuid.UUID) -> Row[Any] | None:
    table = ENTRY_TABLES[kind]
    return await uow.first(_shown(table).where(within(table, uow.scope), _key(table) == entry_id))


async def decide_entry(uow: UnitOfWork, kind: str, entry_id: uuid.UUID, state: str) -> bool:
    """Move a draft on; false when it is a draft no more."""
    table = ENTRY_TABLES[kind]
    touched = await uow.execute(
        update(table)
        .where(within(table, uow.scope), _key(table) == entry_id, table.c.state == "draft")
        .values(
            state=state,
            approved_by=uuid.UUID(uow.scope.account_id),
            approved_by_person=uuid.UUID(uow.scope.person_id),
            approved_at=func.now(),
        )
    )
    return touched == 1


async def entries(
    uow: UnitOfWork, kind: str, after: uuid.UUID | None, limit: int, *, year: int | None = None
) -> Sequence[Row[Any]]:
    """Entries of a kind in the scope, in order of entry, one page."""
    table = ENTRY_TABLES[kind]
    query = _shown(table).where(within(table, uow.scope))
    if after is not None:
        query = query.where(_key(table) > after)
    if year is not None:
        query = query.where(table.c.year == year)
    return await uow.rows(query.order_by(_key(table)).limit(limit))


async def approved_of_pool(uow: UnitOfWork, kind: str, pool: Pool) -> Sequence[Row[Any]]:
    """The approved entries of a pool's year, in order of their approval."""
    table = ENTRY_TABLES[kind]
    return await uow.rows(
        select(table)
        .where(*_of_pool(table, uow, pool), table.c.state == "approved")
        .order_by(table.c.approved_at, _key(table))
    )


# Receivables and advances


async def open_receivables(uow: UnitOfWork, pool: Pool) -> Sequence[Row[Any]]:
    """Approved receivables of years before a pool's year, with what this year's runs took and what was taken otherwise."""
    insurance, pool_scope, year = pool
    c, m = receivable.c, receivable_movement.c
    of_year = and_(m.kind == "offset", m.year == year)
    moved = (
        select(
            m.receivable_id,
            func.coalesce(func.sum(m.amount_fen).filter(of_year), 0).label("this_year_fen"),
            func.coalesce(func.sum(m.amount_fen).filter(~of_year), 0).label("otherwise_fen"),
        )
        .where(m.area_id == uow.scope.area)
        .group_by(m.receivable_id)
        .subquery()
    )
    return await uow.rows(
        select(
            receivable,
            func.coalesce(moved.c.this_year_fen, 0).label("this_year_fen"),
            func.coalesce(moved.c.otherwise_fen, 0).label("otherwise_fen"),
        )
        .outerjoin(moved, moved.c.receivable_id == c.receivable_id)
        .where(
            c.area_id == uow.scope.area,
            c.insurance == insurance,
            c.pool_scope == pool_scope,
            c.year < year,
            c.state == "approved",
        )
        .order_by(c.since, c.receivable_id)
    )


async def moved_of_receivables(uow: UnitOfWork, receivable_ids: Sequence[uuid.UUID]) -> Mapping[uuid.UUID, int]:
    """What was taken or paid back of each receivable so far."""
    m = receivable_movement.c
    rows = await uow.rows(
        select(m.receivable_id, func.sum(m.amount_fen).label("fen"))
        .where(within(receivable_movement, uow.scope), m.receivable_id.in_(receivable_ids))
        .group_by(m.receivable_id)
    )
    return {row.receivable_id: int(row.fen) for row in rows}


async def lock_entry(uow: UnitOfWork, kind: str, entry_id: uuid.UUID) -> None:
    """Let one transaction at a time move an entry's money; held until the transaction ends."""
    await uow.scalar(
        text("select pg_advisory_xact_lock(hashtextextended(:name, 0))"), {"name": f"{kind}\x1f{entry_id}"}
    )


async def add_receivable_movements(uow: UnitOfWork, rows: Sequence[Mapping[str, Any]]) -> Sequence[uuid.UUID]:
    """What was taken or paid back; the new keys in the order given."""
    who = uuid.UUID(uow.scope.person_id)
    ids = [new_id() for _ in rows]
    filled = {"run_id": None, "voucher": ""}
    await uow.insert(
        receivable_movement,
        [
            filled | {"movement_id": key, "recorded_by_person": who} | dict(row)
            for key, row in zip(ids, rows, strict=True)
        ],
    )
    return ids


async def add_advance_movement(uow: UnitOfWork, row: Mapping[str, Any]) -> uuid.UUID:
    movement_id = new_id()
    who = uuid.UUID(uow.scope.person_id)
    await uow.insert(advance_movement, [{"movement_id": movement_id, "recorded_by_person": who, **row}])
    return movement_id


async def advance_sums(uow: UnitOfWork, advance_ids: Sequence[uuid.UUID]) -> Mapping[uuid.UUID, tuple[int, int]]:
    """Paid and returned of each advance."""
    m = advance_movement.c
    rows = await uow.rows(
        select(
            m.advance_id,
            func.coalesce(func.sum(m.amount_fen).filter(m.kind == "paid"), 0).label("paid"),
            func.coalesce(func.sum(m.amount_fen).filter(m.kind == "returned"), 0).label("returned"),
        )
        .where(within(advance_movement, uow.scope), m.advance_id.in_(advance_ids))
        .group_by(m.advance_id)
    )
    return {row.advance_id: (int(row.paid), int(row.returned)) for row in rows}


async def advances_of_pool(uow: UnitOfWork, pool: Pool) -> Mapping[int, int]:
    """Advances of a pool's year by hospital: paid less returned."""
    m, a = advance_movement.c, advance.c
    sign = func.sum(func.coalesce(m.amount_fen, 0)).filter(m.kind == "paid")
    back = func.sum(func.coalesce(m.amount_fen, 0)).filter(m.kind == "returned")
    rows = await uow.rows(
        select(a.hospital_id, (func.coalesce(sign, 0) - func.coalesce(back, 0)).label("fen"))
        .join(advance_movement, m.advance_id == a.advance_id)
        .where(*_of_pool(advance, uow, pool), a.state == "approved")
        .group_by(a.hospital_id)
    )
    return {row.hospital_id: int(row.fen) for row in rows if row.fen}


# Acts on a statement


async def acts_of(uow: UnitOfWork, run_id: uuid.UUID, hospital_id: int | None = None) -> Sequence[Row[Any]]:
    """The acts on the statements of a run that the scope sees, by hospital and in order."""
    c = statement_act.c
    query = select(statement_act).where(within(statement_act, uow.scope), c.run_id == run_id)
    if hospital_id is not None:
        query = query.where(c.hospital_id == hospital_id)
    return await uow.rows(query.order_by(c.hospital_id, c.seq))


async def last_acts(uow: UnitOfWork, run_id: uuid.UUID) -> Sequence[Row[Any]]:
    """The last act on each statement of a run that the scope sees, by hospital."""
    found = {row.hospital_id: row for row in await acts_of(uow, run_id)}
    return list(found.values())


async def disputes(uow: UnitOfWork, pool: Pool) -> Sequence[Row[Any]]:
    """Upheld disputes of a pool's year, in order, with the run they ended."""
    c = statement_act.c
    return await uow.rows(
        select(statement_act, clearing_run.c.state.label("run_state"))
        .join(clearing_run, clearing_run.c.run_id == c.run_id)
        .where(*_of_pool(clearing_run, uow, pool), c.act == "uphold")
        .order_by(c.recorded_at)
    )


async def add_acts(uow: UnitOfWork, rows: Sequence[Mapping[str, Any]]) -> None:
    """New acts by the person of the scope; two at the same place refuse each other."""
    who = {"acted_by": uuid.UUID(uow.scope.account_id), "acted_by_person": uuid.UUID(uow.scope.person_id)}
    await uow.insert(statement_act, [who | dict(row) for row in rows])


async def live_entries(uow: UnitOfWork, kind: str, pool: Pool) -> Sequence[Row[Any]]:
    """The entries of a pool's year that are drafts or approved, in order of entry."""
    table = ENTRY_TABLES[kind]
    return await uow.rows(
        select(table).where(*_of_pool(table, uow, pool), table.c.state.in_(("draft", "approved"))).order_by(_key(table))
    )
