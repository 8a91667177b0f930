"""Jobs (作业): rows written in the transaction that wants them, claimed under a lease, finished under a fencing attempt."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, NamedTuple, Protocol

from sqlalchemy import ColumnElement, Row, case, func, or_, select, text, update

from fenzhi.access.scope import DatabaseRole, Scope
from fenzhi.store.failpoints import failpoint
from fenzhi.store.session import UnitOfWork, new_id
from fenzhi.store.tables.jobs import job

POSTPONED_MOST = 100
"""Attempts up to which an outage of the database costs a job none (延后上限)."""
LEASE_MOST_S = 300
"""The longest lease a worker may be set to (最长租期)."""
_BEYOND_ANY_LEASE = f"clock_timestamp() + interval '{LEASE_MOST_S + 60} seconds'"
LEASE_S = 15
"""A worker that says nothing for this long has lost its job to the next one, unless the platform is opened with another lease."""


class Doorbell(Protocol):
    """Tells a worker that a job waits (门铃). Losing a ring loses nothing: the sweeper rings again."""

    async def ring(self, job_id: uuid.UUID, attempt: int) -> None:
        """Ring for one job."""

    async def close(self) -> None:
        """Hang up."""


@dataclass(frozen=True, slots=True)
class ClaimedJob:
    """A job in this worker's hands (已领取的作业), with the attempt number that fences its end."""

    job_id: uuid.UUID
    kind: str
    tenant: str
    province_id: int | None
    area_id: int | None
    payload: Mapping[str, Any]
    attempt: int
    account_id: str
    person_id: str


class Fenced(Exception):
    """Another worker has taken the job over; this one must write nothing more (作业已被接管)."""


async def enqueue(
    uow: UnitOfWork,
    doorbell: Doorbell,
    kind: str,
    payload: Mapping[str, Any],
    *,
    scope: Scope | None = None,
    max_attempts: int = 5,
) -> uuid.UUID:
    """Want a job done (登记作业). The row commits with the facts; the bell rings after the commit.

    `scope` says whose job it is where that is not the acting scope, such as an area's job wanted by its province.
    """
    owner = scope or uow.scope
    job_id = new_id()
    await uow.execute(
        job.insert().values(
            job_id=job_id,
            kind=kind,
            tenant=owner.tenant,
            province_id=owner.province_id,
            area_id=owner.area_id,
            county_id=owner.county_id,
            hospital_id=owner.hospital_id,
            payload=dict(payload),
            max_attempts=max_attempts,
            requested_by=uuid.UUID(uow.scope.account_id) if uow.scope.account_id else None,
            requested_by_person=uuid.UUID(uow.scope.person_id) if uow.scope.person_id else None,
        )
    )

    async def ring() -> None:
        failpoint("outbox.before_ring")
        await doorbell.ring(job_id, 0)

    uow.after_commit(ring)
    return job_id


async def is_queued(uow: UnitOfWork, kind: str, hospital_id: int) -> bool:
    """Whether a job of a kind waits for a hospital and nobody has begun it (有无待领取作业)."""
    c = job.c
    found = select(1).where(
        c.kind == kind, c.area_id == uow.scope.area, c.hospital_id == hospital_id, c.state == "queued"
    )
    return bool(await uow.scalar(select(found.exists())))


async def has_failed(uow: UnitOfWork, job_id: uuid.UUID) -> bool:
    """Whether a job has ended without doing its work (作业是否失败)."""
    c = job.c
    return await uow.scalar(select(c.state).where(c.job_id == job_id)) in ("refused", "dead")


def _lapsed() -> ColumnElement[bool]:
    """A lease that ended, or that ends later than any lease given now would: the database's clock was set back meanwhile."""
    return (job.c.lease_until < func.clock_timestamp()) | (job.c.lease_until > text(_BEYOND_ANY_LEASE))


def _due() -> ColumnElement[bool]:
    """No wait stands before the job, or one that the clock was set back under."""
    is_over = job.c.not_before <= func.clock_timestamp()
    return (job.c.not_before.is_(None)) | is_over | (job.c.not_before > text(_BEYOND_ANY_LEASE))


async def claim(uow: UnitOfWork, job_id: uuid.UUID, lease_s: int = LEASE_S) -> ClaimedJob | None:
    """Take a job whose turn it is, or none if it is done, held by another, or out of attempts (领取作业)."""
    row = await uow.first(
        update(job)
        .where(
            job.c.job_id == job_id,
            job.c.attempt < job.c.max_attempts,
            (job.c.state == "queued") | ((job.c.state == "running") & _lapsed()),
            _due(),
        )
        .values(
            state="running",
            attempt=job.c.attempt + 1,
            lease_until=text(f"clock_timestamp() + interval '{int(lease_s)} seconds'"),
            started_at=func.coalesce(job.c.started_at, func.clock_timestamp()),
        )
        .returning(job)
    )
    if row is None:
        return None
    return ClaimedJob(
        job_id=row.job_id,
        kind=row.kind,
        tenant=row.tenant,
        province_id=row.province_id,
        area_id=row.area_id,
        payload=row.payload,
        attempt=row.attempt,
        account_id=str(row.requested_by or ""),
        person_id=str(row.requested_by_person or ""),
    )


async def renew(uow: UnitOfWork, claimed: ClaimedJob, lease_s: int = LEASE_S) -> bool:
    """Keep the lease (续租); false when another worker has taken over."""
    touched = await uow.execute(
        update(job)
        .where(job.c.job_id == claimed.job_id, job.c.state == "running", job.c.attempt == claimed.attempt)
        .values(lease_until=text(f"clock_timestamp() + interval '{int(lease_s)} seconds'"))
    )
    return touched == 1


async def note_progress(uow: UnitOfWork, claimed: ClaimedJob, done: int, total: int) -> None:
    """Say how far the job is (进度)."""
    await uow.execute(
        update(job)
        .where(job.c.job_id == claimed.job_id, job.c.attempt == claimed.attempt)
        .values(progress_done=done, progress_total=total)
    )


async def finish(uow: UnitOfWork, claimed: ClaimedJob, result: Mapping[str, Any]) -> None:
    """End the job in the transaction that holds its effect (完成作业).

    Raises: Fenced when the attempt is no longer this worker's; the caller's transaction then rolls back whole.
    """
    async with uow.as_role(DatabaseRole.WORKER):
        touched = await uow.execute(
            update(job)
            .where(job.c.job_id == claimed.job_id, job.c.state == "running", job.c.attempt == claimed.attempt)
            .values(
                state="done",
                result=dict(result),
                finished_at=func.clock_timestamp(),
                lease_until=None,
                progress_done=job.c.progress_total,
            )
        )
    if touched != 1:
        raise Fenced(str(claimed.job_id))


async def hand_back(uow: UnitOfWork, claimed: ClaimedJob) -> bool:
    """Put a job back for another worker at once (交还). The attempt's number stays used, because it fences; its share does not."""
    touched = await uow.execute(
        update(job)
        .where(job.c.job_id == claimed.job_id, job.c.state == "running", job.c.attempt == claimed.attempt)
        .values(state="queued", lease_until=None, not_before=None, max_attempts=job.c.max_attempts + 1)
    )
    return touched == 1


async def postpone(uow: UnitOfWork, claimed: ClaimedJob, code: str, zh: str, en: str) -> None:
    """Put a job back because the database was away or full (延后), which is no fault of the job's: it costs no attempt.

    Each pause is longer, up to half a minute, and the pauses come to an end: after `POSTPONED_MOST` attempts they count.
    """
    pause_s = min(2 ** min(claimed.attempt, 5), 30)
    await uow.execute(
        update(job)
        .where(job.c.job_id == claimed.job_id, job.c.state == "running", job.c.attempt == claimed.attempt)
        .values(
            state=text(f"case when attempt < max_attempts or attempt < {POSTPONED_MOST} then 'queued' else 'dead' end"),
            max_attempts=text(f"case when attempt < {POSTPONED_MOST} then max_attempts + 1 else max_attempts end"),
            not_before=text(f"clock_timestamp() + interval '{pause_s} seconds'"),
            lease_until=None,
            error_code=code,
            error_zh=zh,
            error_en=en,
        )
    )


async def refuse(uow: UnitOfWork, claimed: ClaimedJob, code: str, zh: str, en: str, *, retry_in_s: int | None) -> None:
    """End the job with a typed reason, or put it back for another try (作业失败).

    A refusal by rule is final; an unexpected fault is retried until the attempts are used up, then the job is dead and visible.
    """
    again = retry_in_s is not None
    await uow.execute(
        update(job)
        .where(job.c.job_id == claimed.job_id, job.c.state == "running", job.c.attempt == claimed.attempt)
        .values(
            state=text("case when attempt < max_attempts then 'queued' else 'dead' end" if again else "'refused'"),
            not_before=text(f"clock_timestamp() + interval '{retry_in_s or 0} seconds'"),
            lease_until=None,
            error_code=code,
            error_zh=zh,
            error_en=en,
            finished_at=text("case when attempt < max_attempts then null else clock_timestamp() end")
            if again
            else func.clock_timestamp(),
        )
    )


class Waiting(NamedTuple):
    """A job that may be taken (待领取作业)."""

    job_id: uuid.UUID
    attempt: int
    turn: int
    """Its place among its tenant's own, those under way counted: 1 for the first of a tenant for which nothing is under way."""
    tenant: str = ""


async def waiting(uow: UnitOfWork, limit: int = 100) -> Sequence[Waiting]:
    """Jobs whose turn it is: queued, or running with a lapsed lease (待领取作业); tenants take turns, whoever has sent how many.

    A job whose worker died on its last attempt is laid to rest as dead here, so that nobody waits for it for ever.
    """
    await uow.execute(
        update(job)
        .where(
            job.c.state == "running",
            _lapsed(),
            job.c.attempt >= job.c.max_attempts,
        )
        .values(
            state="dead",
            error_code="WORKER_LOST",
            error_zh="作业执行进程多次中断。",
            error_en="The worker was lost on every attempt.",
            finished_at=func.clock_timestamp(),
        )
    )
    mate = job.alias()
    under_way = (
        select(func.count())
        .where(mate.c.tenant == job.c.tenant, mate.c.state == "running", mate.c.lease_until >= func.clock_timestamp())
        .scalar_subquery()
    )
    place = func.row_number().over(partition_by=job.c.tenant, order_by=job.c.job_id)
    turn = (place + under_way).label("turn")
    rows = await uow.rows(
        select(job.c.job_id, job.c.attempt, turn, job.c.tenant)
        .where(
            job.c.state.in_(("queued", "running")),
            (job.c.state == "queued") | _lapsed(),
            _due(),
        )
        .order_by(turn, job.c.job_id)
        .limit(limit)
    )
    return [Waiting(row.job_id, row.attempt, row.turn, row.tenant) for row in rows]


async def by_kind(uow: UnitOfWork, ended_within: timedelta) -> Sequence[Row[Any]]:
    """The queue by kind and state (作业队列概况): every open job, and those entered lately that have ended.

    `lapsed` is running with a lease that ended. Of each: how many, steps done and in all, the longest wait of one whose turn it is,
    the longest time since a lease lapsed, the longest run, in seconds. Ids are ordered by time, so that old rows are not read.
    """
    since = await uow.now() - ended_within
    oldest = uuid.UUID(int=int(since.timestamp() * 1000) << 80)
    clock = func.clock_timestamp()
    is_lapsed = (job.c.state == "running") & (job.c.lease_until < clock)
    state = case((is_lapsed, "lapsed"), else_=job.c.state)
    due = func.greatest(job.c.recorded_at, func.coalesce(job.c.not_before, job.c.recorded_at))
    waited = case(((job.c.state == "queued") & (due <= clock), clock - due), (is_lapsed, clock - job.c.lease_until))

    def longest(span: Any) -> Any:
        return func.coalesce(func.max(func.extract("epoch", span)), 0)

    return await uow.rows(
        select(
            job.c.kind,
            state.label("state"),
            func.count().label("number"),
            func.sum(job.c.progress_done).label("done"),
            func.sum(job.c.progress_total).label("total"),
            longest(waited).label("waited_s"),
            longest(case((is_lapsed, clock - job.c.lease_until))).label("lapsed_s"),
            longest(case((job.c.state == "running", clock - job.c.started_at))).label("running_s"),
        )
        .where(or_(job.c.state.in_(("queued", "running")), job.c.job_id >= oldest))
        .group_by(job.c.kind, state)
    )
