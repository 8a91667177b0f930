"""Submission look-ups (上报查询): batches, their counts, every verdict."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Row

from fenzhi.access.roles import Duty
from fenzhi.access.subject import Subject
from fenzhi.services.acts import Platform, looking
from fenzhi.services.submission.ownership import no_such_batch
from fenzhi.store.repositories import submission as store

_PAGE = 2_000


@dataclass(frozen=True, slots=True)
class BatchView:
    """A batch as its readers see it (批次)."""

    batch_id: uuid.UUID
    hospital_code: str | None
    purpose: str
    mode: str
    state: str
    label: str
    parts: int
    size: int
    counts: Mapping[str, Any] | None
    job_id: uuid.UUID | None
    recorded_at: datetime
    sealed_at: datetime | None
    judged_at: datetime | None


@dataclass(frozen=True, slots=True)
class VerdictView:
    """One finding about one row (质控结论)."""

    row_no: int
    seq: int
    setl_id: str
    rule: str
    code: str
    severity: str
    path: str
    saw: str
    zh: str
    en: str
    remedy_zh: str
    remedy_en: str


@dataclass(frozen=True, slots=True)
class VerdictCount:
    """How often a code was given (结论计数)."""

    rule: str
    code: str
    severity: str
    times: int
    rows: int


def _batch(row: Row[Any]) -> BatchView:
    return BatchView(
        batch_id=row.batch_id,
        hospital_code=row.hospital_code,
        purpose=row.purpose,
        mode=row.mode,
        state=row.state,
        label=row.label,
        parts=row.parts,
        size=row.bytes,
        counts=row.counts,
        job_id=row.job_id,
        recorded_at=row.recorded_at,
        sealed_at=row.sealed_at,
        judged_at=row.judged_at,
    )


async def batch(platform: Platform, subject: Subject, batch_id: uuid.UUID) -> BatchView | None:
    """One batch, or none in this scope (批次)."""
    async with looking(platform, subject, Duty.READ_SUBMISSION) as uow:
        row = await store.batch_by_id(uow, batch_id)
        return _batch(row) if row is not None else None


async def batches(platform: Platform, subject: Subject, before: uuid.UUID | None, limit: int) -> Sequence[BatchView]:
    """One page of the scope's batches, newest first (批次列表)."""
    async with looking(platform, subject, Duty.READ_SUBMISSION) as uow:
        return [_batch(row) for row in await store.batches_before(uow, before, limit)]


async def verdicts(
    platform: Platform,
    subject: Subject,
    batch_id: uuid.UUID,
    after: tuple[int, int],
    severity: str | None,
    limit: int,
) -> Sequence[VerdictView]:
    """One page of a batch's verdicts in order of row (结论列表)."""
    async with looking(platform, subject, Duty.READ_SUBMISSION) as uow:
        rows = await store.verdicts_after(uow, batch_id, after, severity, limit)
        return [
            VerdictView(
                row_no=row.row_no,
                seq=row.seq,
                setl_id=row.setl_id,
                rule=row.rule,
                code=row.code,
                severity=row.severity,
                path=row.path,
                saw=row.saw,
                zh=row.zh,
                en=row.en,
                remedy_zh=row.remedy_zh,
                remedy_en=row.remedy_en,
            )
            for row in rows
        ]


async def verdict_summary(platform: Platform, subject: Subject, batch_id: uuid.UUID) -> Sequence[VerdictCount]:
    """A batch's verdicts by rule and code (结论汇总)."""
    async with looking(platform, subject, Duty.READ_SUBMISSION) as uow:
        rows = await store.verdict_summary(uow, batch_id)
        return [VerdictCount(row.rule, row.code, row.severity, row.times, row.rows) for row in rows]


async def every_verdict(
    platform: Platform, subject: Subject, batch_id: uuid.UUID
) -> AsyncIterator[Sequence[VerdictView]]:
    """All verdicts of a batch, page by page, each page in a transaction of its own (全部结论). Raises: NotFound at once."""
    if await batch(platform, subject, batch_id) is None:
        raise no_such_batch()
    after = (0, -1)
    while page := await verdicts(platform, subject, batch_id, after, None, _PAGE):
        yield page
        if len(page) < _PAGE:
            return
        after = (page[-1].row_no, page[-1].seq)
