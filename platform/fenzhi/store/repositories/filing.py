"""Filed lists in the store (清单流转): how each stands, its texts, its moves, settlement records, holds on cases."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

from sqlalchemy import Row, Select, and_, func, select, text, update
from sqlalchemy.dialects.postgresql import distinct_on

from fenzhi.rules.submission.filing import FiledState
from fenzhi.store.repositories.policy import MARKS
from fenzhi.store.repositories.policy import Mark as PolicyMark
from fenzhi.store.repositories.scope_predicate import within
from fenzhi.store.session import UnitOfWork, new_id
from fenzhi.store.tables.filing import (
    case_hold,
    case_release,
    filed_list,
    filed_move,
    filed_text,
    message_key,
    settlement_record,
)
from fenzhi.store.tables.registry import hospital
from fenzhi.store.tables.submission import case_supersession, inpatient_case, intake_row, list_key, verdict


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


async def verdicts_of_lists(uow: UnitOfWork, found: Sequence[Row[Any]], limit: int) -> Sequence[Row[Any]]:
    """What the checks said of the newest judgement of each list, in order of settlement id."""
    v = verdict.c
    return await uow.rows(
        select(verdict)
        .where(
            within(verdict, uow.scope),
            v.batch_id == func.any(text("cast(:batches as uuid[])")),
            v.setl_id == func.any(text("cast(:lists as text[])")),
        )
        .order_by(v.setl_id, v.row_no, v.seq)
        .limit(limit),
        {
            "batches": sorted({row.batch_id for row in found if row.batch_id is not None}),
            "lists": sorted({row.setl_id for row in found}),
        },
    )


async def judged_between(uow: UnitOfWork, begin: date, end: date, offset: int, limit: int) -> Sequence[Row[Any]]:
    """Own lists judged in a span of business days, in order of judgement."""
    c = filed_list.c
    judged_on = func.date(func.timezone("Asia/Shanghai", c.judged_at))
    return await uow.rows(
        select(filed_list)
        .where(_own(uow), judged_on.between(begin, end))
        .order_by(c.judged_at, c.list_id)
        .offset(offset)
        .limit(limit)
    )


async def records_without_list(uow: UnitOfWork, begin: date, end: date) -> int:
    """Settlement records imported in a span of business days of which no list was filed or accepted."""
    r = settlement_record.c
    imported_on = func.date(func.timezone("Asia/Shanghai", r.recorded_at))
    filed = select(1).where(
        filed_list.c.area_id == r.area_id, filed_list.c.hospital_id == r.hospital_id, filed_list.c.setl_id == r.setl_id
    )
    kept = select(1).where(
        list_key.c.area_id == r.area_id, list_key.c.hospital_id == r.hospital_id, list_key.c.setl_id == r.setl_id
    )
    count = await uow.scalar(
        select(func.count(func.distinct(r.setl_id))).where(
            within(settlement_record, uow.scope), imported_on.between(begin, end), ~filed.exists(), ~kept.exists()
        )
    )
    return int(count or 0)


async def cases_of_month(uow: UnitOfWork, month: int, offset: int, limit: int) -> Sequence[Row[Any]]:
    """Standing own cases of a settlement month in order of discharge."""
    c, s = inpatient_case.c, case_supersession.c
    return await uow.rows(
        select(inpatient_case)
        .where(
            within(inpatient_case, uow.scope),
            c.settlement_month == month,
            ~select(1).where(s.area_id == c.area_id, s.old_case_id == c.case_id).exists(),
        )
        .order_by(c.discharge_date, c.case_id)
        .offset(offset)
        .limit(limit)
    )


async def verdicts_of_month(uow: UnitOfWork, month: int, offset: int, limit: int) -> Sequence[Row[Any]]:
    """What the checks said of own lists of a settlement month, in order of judgement."""
    v, r = verdict.c, intake_row.c
    return await uow.rows(
        select(verdict)
        .join(intake_row, and_(r.area_id == v.area_id, r.batch_id == v.batch_id, r.row_no == v.row_no))
        .where(within(verdict, uow.scope), within(intake_row, uow.scope), r.settlement_month == month)
        .order_by(v.batch_id, v.row_no, v.seq)
        .offset(offset)
        .limit(limit)
    )


# Settlement records


async def add_records(uow: UnitOfWork, rows: Sequence[Mapping[str, Any]]) -> None:
    await uow.insert(settlement_record, [dict(row) for row in rows])


async def newest_records(uow: UnitOfWork, hospital_id: int, setl_ids: Sequence[str]) -> Sequence[Row[Any]]:
    """The newest settlement record of each settlement id."""
    c = settlement_record.c
    return await uow.rows(
        select(settlement_record)
        .ext(distinct_on(c.setl_id))
        .where(
            c.area_id == uow.scope.area,
            c.hospital_id == hospital_id,
            c.setl_id == func.any(text("cast(:wanted as text[])")),
        )
        .order_by(c.setl_id, c.record_no.desc()),
        {"wanted": list(setl_ids)},
    )


async def end_waiting(uow: UnitOfWork, hospital_id: int, setl_ids: Sequence[str]) -> int:
    """Lists of these settlement ids wait for no settlement record any more; how many did."""
    c = filed_list.c
    return await uow.execute(
        update(filed_list)
        .where(
            c.area_id == uow.scope.area,
            c.hospital_id == hospital_id,
            c.waits_for == "settlement_record",
            c.setl_id == func.any(text("cast(:wanted as text[])")),
        )
        .values(waits_for=""),
        {"wanted": list(setl_ids)},
    )


# Holds on cases


async def standing_case(uow: UnitOfWork, case_id: uuid.UUID) -> Row[Any] | None:
    """A case of the scope that no later version has replaced."""
    c, s = inpatient_case.c, case_supersession.c
    return await uow.first(
        select(c.case_id, c.area_id, c.county_id, c.hospital_id, c.setl_id, c.settlement_month).where(
            within(inpatient_case, uow.scope),
            c.case_id == case_id,
            ~select(1).where(s.area_id == c.area_id, s.old_case_id == c.case_id).exists(),
        )
    )


async def case_exists(uow: UnitOfWork, case_id: uuid.UUID) -> bool:
    """Whether the scope has a case, replaced or not."""
    c = inpatient_case.c
    found = select(1).where(within(inpatient_case, uow.scope), c.case_id == case_id)
    return bool(await uow.scalar(select(found.exists())))


def _open_hold() -> Any:
    h, e = case_hold.c, case_release.c
    return ~select(1).where(e.hold_id == h.hold_id, e.area_id == h.area_id).exists()


async def open_hold(uow: UnitOfWork, case_id: uuid.UUID) -> Row[Any] | None:
    """The hold on a case that was not released, the newest."""
    h = case_hold.c
    return await uow.first(
        select(case_hold)
        .where(within(case_hold, uow.scope), h.case_id == case_id, _open_hold())
        .order_by(h.hold_id.desc())
        .limit(1)
    )


async def returns_of(uow: UnitOfWork, hospital_id: int, setl_id: str) -> int:
    """How often a list was returned and the return not withdrawn."""
    h = case_hold.c
    count = await uow.scalar(
        select(func.count())
        .select_from(case_hold)
        .where(
            within(case_hold, uow.scope),
            h.hospital_id == hospital_id,
            h.setl_id == setl_id,
            h.kind == "returned",
            _open_hold(),
        )
    )
    return int(count or 0)


async def add_hold(uow: UnitOfWork, case: Row[Any], **values: Any) -> uuid.UUID:
    """Hold a case out of every run from now on."""
    hold_id, scope = new_id(), uow.scope
    await uow.insert(
        case_hold,
        [
            {
                "area_id": case.area_id,
                "county_id": case.county_id,
                "hospital_id": case.hospital_id,
                "hold_id": hold_id,
                "case_id": case.case_id,
                "setl_id": case.setl_id,
                "held_by": uuid.UUID(scope.account_id) if scope.account_id else None,
                "held_by_person": uuid.UUID(scope.person_id) if scope.person_id else None,
                **values,
            }
        ],
    )
    return hold_id


async def cases_with_findings(uow: UnitOfWork, batch_id: uuid.UUID, codes: Sequence[str]) -> Sequence[Row[Any]]:
    """Cases of a judged batch with the first finding of some codes about each."""
    return await uow.rows(
        text(
            """
            select distinct on (i.row_no) i.area_id, i.county_id, i.hospital_id, i.case_id, i.setl_id, v.rule, v.code, v.zh
            from intake_row i join verdict v on v.area_id = i.area_id and v.batch_id = i.batch_id and v.row_no = i.row_no
            where i.area_id = :area and i.batch_id = :batch and i.case_id is not null and v.code = any(:codes)
            order by i.row_no, v.seq
            """
        ),
        {"area": uow.scope.area, "batch": batch_id, "codes": list(codes)},
    )


async def release(uow: UnitOfWork, hold: Row[Any], reason: str) -> None:
    """End a hold."""
    scope = uow.scope
    await uow.insert(
        case_release,
        [
            {
                "area_id": hold.area_id,
                "county_id": hold.county_id,
                "hospital_id": hold.hospital_id,
                "hold_id": hold.hold_id,
                "case_id": hold.case_id,
                "reason": reason,
                "released_by": uuid.UUID(scope.account_id) if scope.account_id else None,
                "released_by_person": uuid.UUID(scope.person_id) if scope.person_id else None,
            }
        ],
    )


def _holds(uow: UnitOfWork) -> Select[Any]:
    h, s, e = case_hold.c, case_supersession.c, case_release.c
    corrected = (
        select(s.new_case_id).where(s.area_id == h.area_id, s.old_case_id == h.case_id).limit(1).scalar_subquery()
    )
    corrected_at = (
        select(s.recorded_at).where(s.area_id == h.area_id, s.old_case_id == h.case_id).limit(1).scalar_subquery()
    )
    released_at = select(e.recorded_at).where(e.area_id == h.area_id, e.hold_id == h.hold_id).limit(1).scalar_subquery()
    return (
        select(
            case_hold,
            hospital.c.code.label("hospital_code"),
            corrected.label("corrected_by"),
            corrected_at.label("corrected_at"),
            released_at.label("released_at"),
        )
        .join(hospital, and_(hospital.c.hospital_id == h.hospital_id, hospital.c.area_id == h.area_id))
        .where(within(case_hold, uow.scope))
    )


async def hold_by_id(uow: UnitOfWork, hold_id: uuid.UUID) -> Row[Any] | None:
    """One hold of the scope."""
    return await uow.first(_holds(uow).where(case_hold.c.hold_id == hold_id))


async def holds_after(uow: UnitOfWork, *, only_open: bool, after: uuid.UUID | None, limit: int) -> Sequence[Row[Any]]:
    """Holds of the scope, oldest first, one page after a key."""
    query = _holds(uow)
    h, s = case_hold.c, case_supersession.c
    if only_open:
        query = query.where(_open_hold(), ~select(1).where(s.area_id == h.area_id, s.old_case_id == h.case_id).exists())
    if after is not None:
        query = query.where(h.hold_id > after)
    return await uow.rows(query.order_by(h.hold_id).limit(limit))


# Keys of messages


async def add_message_key(uow: UnitOfWork, row: Mapping[str, Any]) -> None:
    await uow.insert(message_key, [dict(row)])


async def message_keys(uow: UnitOfWork, on: date) -> Sequence[Row[Any]]:
    """The keys an own message may be signed with on a day, newest first."""
    c = message_key.c
    return await uow.rows(
        select(message_key)
        .where(
            c.area_id == uow.scope.area,
            c.hospital_id == uow.scope.hospital_id,
            c.valid_from <= on,
            c.valid_to >= on,
        )
        .order_by(c.message_key_id.desc())
    )
