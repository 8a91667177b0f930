"""Settlement records in the store (结算记录): payers and items that a national list lacks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Row, func, select, text, update
from sqlalchemy.dialects.postgresql import distinct_on

from fenzhi.store.session import UnitOfWork
from fenzhi.store.tables.filing import (
    filed_list,
    settlement_record,
)


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
