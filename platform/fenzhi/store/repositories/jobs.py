"""Jobs as their owners see them (作业查询)."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from typing import Any

from sqlalchemy import Row, select

from fenzhi.store.session import UnitOfWork
from fenzhi.store.tables.jobs import job


async def job_by_id(uow: UnitOfWork, job_id: uuid.UUID) -> Row[Any] | None:
    """One job of the scope."""
    return await uow.first(select(job).where(job.c.job_id == job_id))


async def jobs_before(uow: UnitOfWork, before: uuid.UUID | None, state: str | None, limit: int) -> Sequence[Row[Any]]:
    """Jobs of the scope, newest first, one page before a job."""
    query = select(job)
    if before is not None:
        query = query.where(job.c.job_id < before)
    if state is not None:
        query = query.where(job.c.state == state)
    return await uow.rows(query.order_by(job.c.job_id.desc()).limit(limit))
