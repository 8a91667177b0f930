"""What the national adapter reads and keeps (国家接口): verdicts and cases of its pages, keys of messages already seen."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any

from sqlalchemy import Row, and_, func, select, text

from fenzhi.store.repositories.scope_predicate import within
from fenzhi.store.session import UnitOfWork
from fenzhi.store.tables.filing import (
    filed_list,
    message_key,
    settlement_record,
)
from fenzhi.store.tables.submission import case_supersession, inpatient_case, intake_row, list_key, verdict


def _own(uow: UnitOfWork) -> Any:
    return and_(filed_list.c.area_id == uow.scope.area, filed_list.c.hospital_id == uow.scope.hospital_id)


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
