"""Carrying out a job (作业执行): its scope, its progress, its single end under the fence."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any
from weakref import WeakKeyDictionary

import pyarrow as pa

from fenzhi.access.scope import DOORBELL_SCOPE, DatabaseRole, Scope, job_scope
from fenzhi.outbox import jobs, timers
from fenzhi.outbox.jobs import ClaimedJob, Fenced
from fenzhi.rules.refusals import FenzhiError, InvariantBroken
from fenzhi.services.acts import Platform
from fenzhi.store.failpoints import failpoint
from fenzhi.store.repositories import registry
from fenzhi.store.session import Unavailable, UnitOfWork
from fenzhi.telemetry.metrics import FAULTS

_engine_slots: WeakKeyDictionary[asyncio.AbstractEventLoop, asyncio.Semaphore] = WeakKeyDictionary()


@asynccontextmanager
async def engine_slot() -> AsyncIterator[None]:
    """The one place of this process for work on a whole pool (批量计算席位): others wait for it, their leases kept.

    Two pools at once would need the memory of two, and not be ready sooner: the engine takes every core it is given.
    """
    async with _engine_slots.setdefault(asyncio.get_running_loop(), asyncio.Semaphore(1)):
        try:
            yield
        finally:
            pa.default_memory_pool().release_unused()


@dataclass(slots=True)
class JobInHand:
    """A claimed job as its handler sees it (在办作业)."""

    platform: Platform
    claimed: ClaimedJob
    scope: Scope
    lost: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def payload(self) -> Mapping[str, Any]:
        """What the job asks, as JSON values."""
        return self.claimed.payload

    @asynccontextmanager
    async def reading(self) -> AsyncIterator[UnitOfWork]:
        """A transaction in the job's scope that does not end the job."""
        async with self.platform.database.unit_of_work(self.scope) as uow:
            yield uow

    @asynccontextmanager
    async def finishing(self, result: dict[str, Any]) -> AsyncIterator[UnitOfWork]:
        """The one transaction that holds the job's effect and its end (收尾事务).

        The handler may fill `result` inside the block. Raises: Fenced when another worker has the job; everything rolls back.
        """
        async with self.platform.database.unit_of_work(self.scope) as uow:
            yield uow
            failpoint("job.before_fence")
            await jobs.finish(uow, self.claimed, result)

    async def progress(self, done: int, total: int) -> None:
        """Say how far the job is. Raises: Fenced when the lease was lost meanwhile."""
        if self.lost.is_set():
            raise Fenced(str(self.claimed.job_id))
        async with self.platform.database.unit_of_work(DOORBELL_SCOPE) as uow:
            await jobs.note_progress(uow, self.claimed, done, total)


async def _scope_of(platform: Platform, claimed: ClaimedJob) -> Scope:
    area_ids: tuple[int, ...] = ()
    if claimed.area_id is None and claimed.province_id is not None:
        bare = Scope(role=DatabaseRole.PROVINCE, tenant=claimed.tenant, province_id=claimed.province_id)
        async with platform.database.unit_of_work(bare) as uow:
            area_ids = await registry.areas_of_province(uow, claimed.province_id)
    return job_scope(
        tenant=claimed.tenant,
        province_id=claimed.province_id,
        area_id=claimed.area_id,
        area_ids=area_ids,
        account_id=claimed.account_id,
        person_id=claimed.person_id,
    )


async def take(platform: Platform, job_id: Any) -> JobInHand | None:
    """Claim a job by id, or none when it is not this worker's turn (领取)."""
    async with platform.database.unit_of_work(DOORBELL_SCOPE) as uow:
        claimed = await jobs.claim(uow, job_id, platform.lease_s)
    if claimed is None:
        return None
    failpoint("job.claimed")
    return JobInHand(platform=platform, claimed=claimed, scope=await _scope_of(platform, claimed))


async def keep_lease(job: JobInHand) -> None:
    """Renew the lease until cancelled (续租); marks the job lost when another worker has it, or may have it by now.

    Each try is short: a database that answers nothing is one that is away.
    """
    now = asyncio.get_running_loop().time
    renewed_at = now()
    while True:
        await asyncio.sleep(job.platform.lease_s / 3)
        began = now()
        try:
            async with (
                asyncio.timeout(job.platform.lease_s / 3),
                job.platform.database.unit_of_work(DOORBELL_SCOPE) as uow,
            ):
                holds = await jobs.renew(uow, job.claimed, job.platform.lease_s)
        except (TimeoutError, Unavailable):
            holds = now() - renewed_at < job.platform.lease_s
        else:
            renewed_at = began
        if not holds:
            job.lost.set()
            return


def outcome_of(exc: Exception) -> str:
    """How a failed attempt counts in the metrics (结果归类)."""
    match exc:
        case Fenced():
            return "fenced"
        case InvariantBroken():
            return "broken"
        case Unavailable():
            return "unavailable"
        case FenzhiError():
            return "refused"
    FAULTS.labels("job").inc()
    return "fault"


async def end_badly(job: JobInHand, exc: Exception) -> None:
    """Write down why a job did not end well (登记失败原因): a refusal for good, a passing fault for another try."""
    if isinstance(exc, Fenced):
        return
    if isinstance(exc, Unavailable):
        async with job.platform.database.unit_of_work(DOORBELL_SCOPE) as uow:
            await jobs.postpone(uow, job.claimed, exc.code, exc.zh, exc.en)
        return
    if isinstance(exc, InvariantBroken):
        code, zh, en, retry = "INVARIANT_BROKEN", f"守恒校验未通过：{exc}", str(exc), None
    elif isinstance(exc, FenzhiError):
        faults = [f"{r.where}: {r.zh}" for r in getattr(exc, "refusals", ())][:20]
        code, zh, en, retry = exc.code, " ".join([exc.zh, *faults]), exc.en, None
    else:
        code, zh, en, retry = "INTERNAL", "内部错误。", f"Internal error ({type(exc).__name__}).", 5
    async with job.platform.database.unit_of_work(DOORBELL_SCOPE) as uow:
        await jobs.refuse(uow, job.claimed, code, zh, en, retry_in_s=retry)


async def hand_back(job: JobInHand) -> None:
    """Put a job back untouched for another worker (交还作业), as when this one stops. It costs the job no attempt."""
    async with job.platform.database.unit_of_work(DOORBELL_SCOPE) as uow:
        await jobs.hand_back(uow, job.claimed)


async def jobs_waiting(platform: Platform) -> list[jobs.Waiting]:
    """Jobs whose turn it is (待办作业), with those whose time has come; tenants take turns."""
    async with platform.database.unit_of_work(DOORBELL_SCOPE) as uow:
        await timers.wake(uow)
        return list(await jobs.waiting(uow))
