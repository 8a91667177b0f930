"""Filed lists in the store (清单流转): how each stands, its texts, its moves, and their gathering into a batch."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

from sqlalchemy import Row, Select, and_, func, select, text, update

from fenzhi.rules.submission.filing import FiledState
from fenzhi.store.repositories.policy import MARKS
from fenzhi.store.repositories.policy import Mark as PolicyMark
from fenzhi.store.repositories.scope_predicate import within
from fenzhi.store.session import UnitOfWork, new_id
from fenzhi.store.tables.filing import (
    filed_list,
    filed_move,
    filed_text,
)
from fenzhi.store.tables.registry import hospital
from fenzhi.store.tables.submission import intake_row


def _own(uow: UnitOfWork) -> Any:
    return and_(filed_list.c.area_id == uow.scope.area, filed_list.c.hospital_id == uow.scope.hospital_id)


# Lists and their texts


async def share_turn(uow: UnitOfWork, area_id: int, hospital_id: int) -> None:
    """Let no gathering of the hospital's lists begin before this transaction ends (与收集作业互斥)."""
    name = f"filing\x1f{area_id}\x1f{hospital_id}"
    await uow.execute(text("select pg_advisory_xact_lock_shared(hashtextextended(:name, 0))"), {"name": name})


async def take_turn(uow: UnitOfWork, area_id: int, hospital_id: int) -> None:
    """Wait until no submission of the hospital is under way, and let none begin (收集作业独占)."""
    name = f"filing\x1f{area_id}\x1f{hospital_id}"
    await uow.execute(text("select pg_advisory_xact_lock(hashtextextended(:name, 0))"), {"name": name})


@dataclass(frozen=True, slots=True)
class Ground:
    """What filing a list stands on (填报前提), read in one statement."""

    today: date
    county_id: int | None
    is_filed: bool
    has_record: bool
    accepted_version: int
    """The highest version of this settlement id that was accepted; 0 for none."""
    policy: PolicyMark


_GROUND = f"""
select (now() at time zone 'Asia/Shanghai')::date, h.county_id,
  exists(select 1 from filed_list where area_id = $2 and hospital_id = $3 and setl_id = $4),
  exists(select 1 from settlement_record where area_id = $2 and hospital_id = $3 and setl_id = $4),
  coalesce((select max(version) from list_key where area_id = $2 and hospital_id = $3 and setl_id = $4), 0),
  {MARKS.format(province="$1", area="$2", on="(now() at time zone 'Asia/Shanghai')::date")}
from (select 1) as one left join hospital h on h.area_id = $2 and h.hospital_id = $3
"""
_ADD = """
with filed as (
    insert into filed_list
           (area_id, county_id, hospital_id, list_id, setl_id, person_index, state, version, channel, waits_for, filed_by, filed_by_person)
    values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)
    on conflict do nothing returning list_id
), kept as (
    insert into filed_text (area_id, county_id, hospital_id, list_id, version, sha256, key_id, sealed_bytes, filed_by)
    select $1, $2, $3, list_id, $8, $13, $14, $15, $11 from filed
), noted as (
    insert into filed_move
           (area_id, county_id, hospital_id, move_id, list_id, step, from_state, to_state, version, moved_by, moved_by_person)
    select $1, $2, $3, $16, list_id, 'file', '', $7, $8, $11, $12 from filed
)
select list_id from filed
"""


async def ground_for_filing(uow: UnitOfWork, setl_id: str) -> Ground:
    """What filing a list of the acting hospital stands on."""
    scope = uow.scope
    row = await uow.straight(_GROUND, scope.province, scope.area, scope.hospital_id, setl_id)
    assert row is not None
    today, county_id, is_filed, has_record, version, *mark = row
    return Ground(today, county_id, is_filed, has_record, version, tuple(mark))


async def add_list_with_text(uow: UnitOfWork, filed: Mapping[str, Any], kept: Mapping[str, Any]) -> bool:
    """File a list that is new, with its first text and its first step; false when its hospital has one of this settlement id."""
    added = await uow.straight(
        _ADD,
        *(filed[name] for name in _FILED),
        kept["sha256"],
        kept["key_id"],
        kept["sealed_bytes"],
        new_id(),
    )
    return added is not None


_FILED = (
    "area_id",
    "county_id",
    "hospital_id",
    "list_id",
    "setl_id",
    "person_index",
    "state",
    "version",
    "channel",
    "waits_for",
    "filed_by",
    "filed_by_person",
)


async def hold_list(uow: UnitOfWork, setl_id: str) -> Row[Any] | None:
    """An own list by settlement id, held until the transaction ends."""
    return await uow.first(select(filed_list).where(_own(uow), filed_list.c.setl_id == setl_id).with_for_update())


async def hold_list_by_id(uow: UnitOfWork, list_id: uuid.UUID) -> Row[Any] | None:
    """A list of the scope by its key, held until the transaction ends."""
    return await uow.first(
        select(filed_list).where(within(filed_list, uow.scope), filed_list.c.list_id == list_id).with_for_update()
    )


async def hold_list_of_case(uow: UnitOfWork, case_id: uuid.UUID) -> Row[Any] | None:
    """The filed list that a case came from, where it came from one."""
    return await uow.first(
        select(filed_list).where(within(filed_list, uow.scope), filed_list.c.case_id == case_id).with_for_update()
    )


async def change_list(uow: UnitOfWork, list_id: uuid.UUID, **values: Any) -> None:
    """Change how a held list stands."""
    await uow.execute(
        update(filed_list).where(within(filed_list, uow.scope), filed_list.c.list_id == list_id).values(**values)
    )


async def add_text(uow: UnitOfWork, row: Mapping[str, Any]) -> None:
    await uow.insert(filed_text, [dict(row)])


async def newest_digest(uow: UnitOfWork, list_id: uuid.UUID, version: int) -> bytes | None:
    """The digest of one version of a list."""
    c = filed_text.c
    digest: bytes | None = await uow.scalar(
        select(c.sha256).where(within(filed_text, uow.scope), c.list_id == list_id, c.version == version)
    )
    return digest


async def text_of(uow: UnitOfWork, list_id: uuid.UUID, version: int) -> Row[Any] | None:
    """The encrypted text of one version."""
    c = filed_text.c
    return await uow.first(
        select(filed_text).where(within(filed_text, uow.scope), c.list_id == list_id, c.version == version)
    )


async def text_before(uow: UnitOfWork, list_id: uuid.UUID, version: int) -> Row[Any] | None:
    """The encrypted text of the version before another."""
    c = filed_text.c
    return await uow.first(
        select(filed_text)
        .where(within(filed_text, uow.scope), c.list_id == list_id, c.version < version)
        .order_by(c.version.desc())
        .limit(1)
    )


async def note_move(uow: UnitOfWork, place: Row[Any] | Mapping[str, Any], **values: Any) -> None:
    """Append one step of a list."""
    row: Any = place if isinstance(place, Mapping) else place._mapping
    scope = uow.scope
    await uow.insert(
        filed_move,
        [
            {
                "area_id": row["area_id"],
                "county_id": row["county_id"],
                "hospital_id": row["hospital_id"],
                "move_id": new_id(),
                "list_id": row["list_id"],
                "moved_by": uuid.UUID(scope.account_id) if scope.account_id else None,
                "moved_by_person": uuid.UUID(scope.person_id) if scope.person_id else None,
                **values,
            }
        ],
    )


def _lists(uow: UnitOfWork) -> Select[Any]:
    return (
        select(filed_list, hospital.c.code.label("hospital_code"))
        .join(
            hospital,
            and_(hospital.c.hospital_id == filed_list.c.hospital_id, hospital.c.area_id == filed_list.c.area_id),
        )
        .where(within(filed_list, uow.scope))
    )


async def list_by_id(uow: UnitOfWork, list_id: uuid.UUID) -> Row[Any] | None:
    """One list of the scope."""
    return await uow.first(_lists(uow).where(filed_list.c.list_id == list_id))


async def lists_by_setl(uow: UnitOfWork, setl_ids: Sequence[str]) -> Sequence[Row[Any]]:
    """Own lists by settlement id."""
    return await uow.rows(
        select(filed_list).where(_own(uow), filed_list.c.setl_id == func.any(text("cast(:wanted as text[])"))),
        {"wanted": list(setl_ids)},
    )


async def lists_after(
    uow: UnitOfWork, state: FiledState | None, after: uuid.UUID | None, limit: int
) -> Sequence[Row[Any]]:
    """Lists of the scope in order of filing, one page after a key."""
    query = _lists(uow)
    if state is not None:
        query = query.where(filed_list.c.state == state.value)
    if after is not None:
        query = query.where(filed_list.c.list_id > after)
    return await uow.rows(query.order_by(filed_list.c.list_id).limit(limit))


async def moves_of(uow: UnitOfWork, list_id: uuid.UUID, limit: int) -> Sequence[Row[Any]]:
    """The steps of a list, oldest first."""
    c = filed_move.c
    return await uow.rows(
        select(filed_move)
        .where(within(filed_move, uow.scope), c.list_id == list_id)
        .order_by(c.recorded_at, c.move_id)
        .limit(limit)
    )


async def counts_by_state(uow: UnitOfWork, begin: date, end: date) -> Mapping[str, int]:
    """How many own lists stand where, of those filed in a span of business days."""
    filed_on = func.date(func.timezone("Asia/Shanghai", filed_list.c.recorded_at))
    rows = await uow.rows(
        select(filed_list.c.state, func.count().label("n"))
        .where(_own(uow), filed_on.between(begin, end))
        .group_by(filed_list.c.state)
    )
    return {row.state: int(row.n) for row in rows}


# Gathering what was submitted


async def waiting_lists(uow: UnitOfWork, hospital_id: int, limit: int) -> Sequence[Row[Any]]:
    """Submitted lists that no batch has taken yet, oldest first, with their newest text."""
    c, t = filed_list.c, filed_text.c
    return await uow.rows(
        select(c.list_id, c.area_id, c.county_id, c.hospital_id, c.setl_id, c.version, t.key_id, t.sealed_bytes)
        .join(filed_text, and_(t.list_id == c.list_id, t.version == c.version))
        .where(
            c.area_id == uow.scope.area,
            c.hospital_id == hospital_id,
            c.state == FiledState.SUBMITTED.value,
            c.batch_id.is_(None),
            c.waits_for == "",
        )
        .order_by(c.list_id)
        .limit(limit)
    )


async def take_lists(uow: UnitOfWork, list_ids: Sequence[uuid.UUID], batch_id: uuid.UUID) -> None:
    """Put lists into a batch."""
    c = filed_list.c
    await uow.execute(
        update(filed_list)
        .where(c.area_id == uow.scope.area, c.list_id == func.any(text("cast(:wanted as uuid[])")))
        .values(batch_id=batch_id),
        {"wanted": list(list_ids)},
    )


async def lists_of_batch(uow: UnitOfWork, batch_id: uuid.UUID) -> Sequence[Row[Any]]:
    """Lists of a judged batch with what became of each."""
    c, r = filed_list.c, intake_row.c
    return await uow.rows(
        select(filed_list, r.outcome, r.case_id.label("new_case_id"))
        .join(
            intake_row,
            and_(r.batch_id == c.batch_id, r.area_id == c.area_id, r.setl_id == c.setl_id, r.version == c.version),
        )
        .where(c.area_id == uow.scope.area, c.batch_id == batch_id, c.state == FiledState.SUBMITTED.value)
    )


async def settle_lists(uow: UnitOfWork, batch_id: uuid.UUID, accepted: FiledState) -> None:
    """Move the lists of a judged batch to what became of them, with one step each in their record."""
    for outcome, step, state in (("accepted", "accept", accepted), ("refused", "reject", FiledState.REJECTED)):
        await uow.execute(
            text(
                """
                with found as (
                    update filed_list l
                       set state = :state, case_id = coalesce(r.case_id, l.case_id), judged_at = now()
                      from intake_row r
                     where l.area_id = :area and l.batch_id = :batch and l.state = 'submitted'
                       and r.batch_id = l.batch_id and r.area_id = l.area_id and r.setl_id = l.setl_id
                       and r.version = l.version and r.outcome = :outcome
                 returning l.area_id, l.county_id, l.hospital_id, l.list_id, l.version
                )
                insert into filed_move
                       (area_id, county_id, hospital_id, move_id, list_id, step, from_state, to_state, version)
                select area_id, county_id, hospital_id, gen_random_uuid(), list_id, :step, 'submitted', :state, version
                  from found
                """
            ),
            {"area": uow.scope.area, "batch": batch_id, "state": state.value, "step": step, "outcome": outcome},
        )
