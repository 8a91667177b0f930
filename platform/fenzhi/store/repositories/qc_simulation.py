"""Simulated rule changes in the store (质控规则模拟): the lists of a month as they stand, and simulations that were asked for."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from typing import Any

from sqlalchemy import Row, func, select, text

from fenzhi.store.session import UnitOfWork
from fenzhi.store.tables.jobs import job
from fenzhi.store.tables.submission import batch


async def newest_rows(uow: UnitOfWork, month: int) -> Sequence[Row[Any]]:
    """The newest row of each list of the area's month, whichever way it came out, by batch and part."""
    return await uow.rows(
        text(
            """
            select hospital_id, batch_id, part_no, row_no from (
              select distinct on (area_id, hospital_id, setl_id) hospital_id, batch_id, part_no, row_no
              from intake_row where area_id = :area and settlement_month = :month
              order by area_id, hospital_id, setl_id, batch_id desc, row_no desc) newest
            order by batch_id, part_no, row_no
            """
        ),
        {"area": uow.scope.area, "month": month},
    )


async def judged_batch(uow: UnitOfWork, batch_id: uuid.UUID) -> Row[Any] | None:
    """A batch of the area, with the business day of its seal."""
    received_on = func.date(func.timezone("Asia/Shanghai", batch.c.sealed_at)).label("received_on")
    return await uow.first(
        select(batch, received_on).where(batch.c.batch_id == batch_id, batch.c.area_id == uow.scope.area)
    )


async def simulations(uow: UnitOfWork, kind: str, after: uuid.UUID | None, limit: int) -> Sequence[Row[Any]]:
    """Simulations the area asked for, the newest first."""
    c = job.c
    query = select(c.job_id, c.state, c.payload, c.result, c.recorded_at).where(
        c.area_id == uow.scope.area, c.kind == kind
    )
    if after is not None:
        query = query.where(c.job_id < after)
    return await uow.rows(query.order_by(c.job_id.desc()).limit(limit))
