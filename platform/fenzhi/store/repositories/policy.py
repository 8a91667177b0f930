"""Policy values in the store (政策参数): proposals and what is in force, of a province or a pooling area."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from datetime import date, datetime
from typing import Any

from sqlalchemy import ColumnElement, Row, Table, func, select, update

from fenzhi.store.session import UnitOfWork
from fenzhi.store.tables.policy import area_policy, province_policy


def _owned(uow: UnitOfWork, table: Table) -> ColumnElement[bool]:
    """The rows of the acting tenant's own layer."""
    if table is area_policy:
        return area_policy.c.area_id == uow.scope.area
    return province_policy.c.province_id == uow.scope.province


def own_table(uow: UnitOfWork) -> Table:
    """The table of the layer that acts: the area's where the scope has one, the province's otherwise."""
    return province_policy if uow.scope.area_id is None else area_policy


async def propose(uow: UnitOfWork, rows: Sequence[Mapping[str, Any]]) -> None:
    """Store proposals of the acting layer; the owner's key is added here."""
    table = own_table(uow)
    owner = {"area_id": uow.scope.area} if table is area_policy else {"province_id": uow.scope.province}
    await uow.insert(table, [{**row, **owner} for row in rows])


async def proposals(
    uow: UnitOfWork, *, state: str | None, after: uuid.UUID | None, limit: int, ids: Sequence[uuid.UUID] | None = None
) -> Sequence[Row[Any]]:
    """Entries of the acting layer, newest first."""
    table = own_table(uow)
    query = select(table).where(_owned(uow, table))
    if state is not None:
        query = query.where(table.c.state == state)
    if after is not None:
        query = query.where(table.c.policy_id < after)
    if ids is not None:
        query = query.where(table.c.policy_id.in_(ids))
    return await uow.rows(query.order_by(table.c.policy_id.desc()).limit(limit))


async def decide(uow: UnitOfWork, ids: Sequence[uuid.UUID], state: str) -> int:
    """Put proposals in force or reject them; the number that were still proposals."""
    table = own_table(uow)
    return await uow.execute(
        update(table)
        .where(_owned(uow, table), table.c.policy_id.in_(ids), table.c.state == "proposed")
        .values(
            state=state,
            approved_by=uuid.UUID(uow.scope.account_id),
            approved_by_person=uuid.UUID(uow.scope.person_id),
            approved_at=func.now(),
        )
    )


async def keys_in_force(uow: UnitOfWork, keys: Sequence[str], without: Sequence[uuid.UUID]) -> set[str]:
    """Which of these keys the scope's own layer had a value for, apart from the entries named."""
    table = own_table(uow)
    c = table.c
    found = await uow.rows(
        select(c.key)
        .where(_owned(uow, table), c.key.in_(keys), c.state == "in_force", c.policy_id.not_in(without))
        .distinct()
    )
    return {row.key for row in found}


async def province_values(uow: UnitOfWork, on: date) -> Sequence[Row[Any]]:
    """What the scope's province has in force by a date, in order of publication."""
    c = province_policy.c
    return await uow.rows(
        select(province_policy)
        .where(c.province_id == uow.scope.province, c.state == "in_force", c.effective_from <= on)
        .order_by(c.approved_at, c.policy_id)
    )


async def days_of_change(uow: UnitOfWork, prefix: str, until: date) -> Sequence[date]:
    """The days up to one on which a value of the province or the area begins to count, of the parameters under a prefix."""
    found: set[date] = set()
    for table, owner in (
        (province_policy, province_policy.c.province_id == uow.scope.province),
        (area_policy, area_policy.c.area_id == uow.scope.area),
    ):
        c = table.c
        query = select(c.effective_from).distinct()
        wanted = (owner, c.state == "in_force", c.key.startswith(prefix, autoescape=True), c.effective_from <= until)
        found |= {row.effective_from for row in await uow.rows(query.where(*wanted))}
    return sorted(found)


async def has_entered(uow: UnitOfWork, keys: Sequence[str]) -> bool:
    """Whether the scope's province or area ever put a value of one of these parameters in force."""
    for table, owner in (
        (province_policy, province_policy.c.province_id == uow.scope.province),
        (area_policy, area_policy.c.area_id == uow.scope.area),
    ):
        c = table.c
        if await uow.first(select(c.key).where(owner, c.state == "in_force", c.key.in_(keys)).limit(1)) is not None:
            return True
    return False


async def area_values(uow: UnitOfWork, area_id: int, on: date) -> Sequence[Row[Any]]:
    """What a pooling area has in force by a date, in order of publication."""
    c = area_policy.c
    return await uow.rows(
        select(area_policy)
        .where(c.area_id == area_id, c.state == "in_force", c.effective_from <= on)
        .order_by(c.approved_at, c.policy_id)
    )


Mark = tuple[int, datetime | None, int, datetime | None]
"""How much the province and the area have in force by a date, and when the last of it was approved (版本标记).

Rows in force are never changed and never taken away, so two looks with the same mark see the same rows.
"""
MARKS = """
(select count(*) from province_policy where province_id = {province} and state = 'in_force' and effective_from <= {on}),
(select max(approved_at) from province_policy where province_id = {province} and state = 'in_force' and effective_from <= {on}),
(select count(*) from area_policy where area_id = {area} and state = 'in_force' and effective_from <= {on}),
(select max(approved_at) from area_policy where area_id = {area} and state = 'in_force' and effective_from <= {on})
"""
"""The mark as columns of a query (版本标记列)."""
_MARK = "select" + MARKS.format(province="$1::int", area="$2::int", on="$3::date")


async def mark(uow: UnitOfWork, area_id: int | None, on: date) -> Mark:
    """The mark of what is in force by a date for the scope's province and an area."""
    row = await uow.straight(_MARK, uow.scope.province, area_id, on)
    assert row is not None
    return tuple(row)


def mark_of(province: Sequence[Row[Any]], area: Sequence[Row[Any]]) -> Mark:
    """The mark of rows that were read: what is kept under it is what was read, whatever was approved meanwhile."""
    newest = [max((row.approved_at for row in rows), default=None) for rows in (province, area)]
    return len(province), newest[0], len(area), newest[1]
