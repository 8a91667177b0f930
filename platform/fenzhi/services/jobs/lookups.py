"""Job look-ups (作业查询): state, progress, attempts, error."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Row

from fenzhi.access.roles import Duty
from fenzhi.access.subject import Subject
from fenzhi.rules.refusals import NotFound
from fenzhi.services.acts import Platform, looking
from fenzhi.store.repositories import jobs

ENDED = frozenset({"done", "refused", "dead"})
_LOOK_AGAIN_S = 0.5
_LONGEST_S = 900


@dataclass(frozen=True, slots=True)
class JobView:
    """A job as its owner sees it (作业)."""

    job_id: uuid.UUID
    kind: str
    state: str
    attempt: int
    max_attempts: int
    done: int
    total: int
    error_code: str | None
    error_zh: str | None
    error_en: str | None
    recorded_at: datetime
    started_at: datetime | None
    finished_at: datetime | None


def _view(row: Row[Any]) -> JobView:
    return JobView(
        job_id=row.job_id,
        kind=row.kind,
        state=row.state,
        attempt=row.attempt,
        max_attempts=row.max_attempts,
        done=row.progress_done,
        total=row.progress_total,
        error_code=row.error_code,
        error_zh=row.error_zh,
        error_en=row.error_en,
        recorded_at=row.recorded_at,
        started_at=row.started_at,
        finished_at=row.finished_at,
    )


async def job(platform: Platform, subject: Subject, job_id: uuid.UUID) -> JobView | None:
    """One job of the scope, or none (作业)."""
    async with looking(platform, subject, Duty.READ_JOBS) as uow:
        row = await jobs.job_by_id(uow, job_id)
        return _view(row) if row is not None else None


async def jobs_before(
    platform: Platform, subject: Subject, before: uuid.UUID | None, state: str | None, limit: int
) -> Sequence[JobView]:
    """One page of the scope's jobs, newest first (作业列表)."""
    async with looking(platform, subject, Duty.READ_JOBS) as uow:
        return [_view(row) for row in await jobs.jobs_before(uow, before, state, limit)]


async def watch(platform: Platform, subject: Subject, job_id: uuid.UUID) -> AsyncIterator[JobView]:
    """A job at every change until it ends, for at most 15 minutes (作业进度流). Raises: NotFound."""
    last: JobView | None = None
    for _ in range(int(_LONGEST_S / _LOOK_AGAIN_S)):
        view = await job(platform, subject, job_id)
        if view is None:
            raise NotFound("没有该作业。", "No such job.")
        if view != last:
            last = view
            yield view
        if view.state in ENDED:
            return
        await asyncio.sleep(_LOOK_AGAIN_S)
