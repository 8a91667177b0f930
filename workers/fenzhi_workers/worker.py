"""The worker (作业进程): arq carries ids, PostgreSQL holds the truth.

A ring names a job; the worker claims it under a lease, keeps the lease alive while the handler works, and the handler ends it under the
fence. A sweeper asks PostgreSQL once a second what waits and takes it itself when no ring came: an empty or absent Redis delays nothing.
"""

from __future__ import annotations

import asyncio
import signal
import time
import uuid
from contextlib import suppress
from typing import Any

import structlog
from arq.connections import ArqRedis
from arq.worker import Worker, func

from fenzhi.outbox.arq_queue import QUEUE, deserialize, redis_settings, serialize
from fenzhi.rules.refusals import FenzhiError
from fenzhi.services.acts import Platform
from fenzhi.services.audit.chain import ANCHOR_EVERY, LINKS_AT_ONCE, anchor, chain_waiting
from fenzhi.services.jobs.execution import JobInHand, end_badly, jobs_waiting, keep_lease, outcome_of, take
from fenzhi.services.jobs.observation import watch_connections, watch_queue
from fenzhi.telemetry.exposition import keep_pulse
from fenzhi.telemetry.metrics import JOB_SECONDS, JOBS_ENDED, KINDS
from fenzhi.telemetry.traces import SpanKind, fail, span, tell, trace_id
from fenzhi_workers.jobs import HANDLERS

_log = structlog.get_logger("fenzhi.worker")
SWEEP_S = 1.0
KINDS.add(HANDLERS)


class NightShift:
    """Carries out jobs, at most `concurrency` at a time (执行器)."""

    def __init__(self, platform: Platform, concurrency: int) -> None:
        self._platform = platform
        self._slots = asyncio.Semaphore(concurrency)
        self._busy: set[uuid.UUID] = set()
        self._tasks: set[asyncio.Task[None]] = set()

    async def carry_out(self, job_id: uuid.UUID) -> None:
        """Claim and carry out one job; a job that is not waiting is passed over."""
        if job_id in self._busy:
            return
        self._busy.add(job_id)
        try:
            async with self._slots:
                await self._carry_out(job_id)
        finally:
            self._busy.discard(job_id)

    async def _carry_out(self, job_id: uuid.UUID) -> None:
        job = await take(self._platform, job_id)
        if job is None:
            return
        label = KINDS.label(job.claimed.kind)
        with span(
            f"job {label}", SpanKind.CONSUMER, fenzhi_job_kind=label, fenzhi_job_attempt=job.claimed.attempt
        ) as traced:
            outcome = await self._attempt(job, label)
            tell(traced, fenzhi_outcome=outcome)
            if outcome != "done":
                fail(traced)

    async def _attempt(self, job: JobInHand, label: str) -> str:
        """One attempt at a job in hand; how it ended, for the metrics."""
        kind = job.claimed.kind
        log = _log.bind(job_id=str(job.claimed.job_id), kind=kind, attempt=job.claimed.attempt)
        if traced := trace_id():
            log = log.bind(trace_id=traced)
        handler = HANDLERS.get(kind)
        began = time.perf_counter()
        outcome = "done"
        lease = asyncio.create_task(keep_lease(job))
        log.info("job_started")
        try:
            if handler is None:
                raise LookupError(f"this worker knows no job kind {kind!r}")
            await handler(self._platform, job)
            log.info("job_done")
        except Exception as exc:
            outcome = outcome_of(exc)
            log.warning("job_failed", error=type(exc).__name__, exc_info=exc)
            with suppress(Exception):
                await self._tell(job, exc)
        finally:
            lease.cancel()
            with suppress(asyncio.CancelledError):
                await lease
            JOBS_ENDED.labels(label, outcome).inc()
            JOB_SECONDS.labels(label).observe(time.perf_counter() - began)
        return outcome

    async def _tell(self, job: JobInHand, exc: Exception) -> None:
        """Write down how the job ended, as often as the database is away, until the lease would let another worker take it anyway."""
        until = asyncio.get_running_loop().time() + self._platform.lease_s
        while True:
            try:
                return await end_badly(job, exc)
            except FenzhiError as told:
                if told.http_status != 503 or asyncio.get_running_loop().time() > until:
                    raise
                await asyncio.sleep(0.5)

    async def sweep(self) -> None:
        """Take up what waits, once a second, whether or not a bell rang (巡检)."""
        while True:
            try:
                for job_id, _attempt in await jobs_waiting(self._platform):
                    if job_id not in self._busy:
                        task = asyncio.create_task(self.carry_out(job_id))
                        self._tasks.add(task)
                        task.add_done_callback(self._tasks.discard)
            except Exception as exc:
                _log.warning("sweep_failed", error=type(exc).__name__)
            await asyncio.sleep(SWEEP_S)

    async def sequence(self) -> None:
        """Chain the audit once a second and anchor it hourly, unless another worker does (审计排序)."""
        while True:
            pause = SWEEP_S
            try:
                linked = await chain_waiting(self._platform)
                if linked == LINKS_AT_ONCE:
                    pause = 0.0
                elif linked is not None and (made := await anchor(self._platform, every=ANCHOR_EVERY)) is not None:
                    _log.info("audit_anchored", seq=made.seq, digest=made.digest.hex())
            except Exception as exc:
                _log.warning("sequence_failed", error=type(exc).__name__)
            await asyncio.sleep(pause)

    async def answer_bell(self, redis_url: str) -> None:
        """Listen for rings while Redis is there; when it goes, come back when it returns."""
        shift = self

        async def run_job(ctx: dict[Any, Any], *args: Any, **kwargs: Any) -> None:
            await shift.carry_out(uuid.UUID(str(args[0])))

        while True:
            try:
                pool = ArqRedis.from_url(redis_url)
                await pool.ping()
                await pool.aclose()
                worker = Worker(
                    functions=[func(run_job, name="run_job", max_tries=1, timeout=24 * 3600)],
                    queue_name=QUEUE,
                    redis_settings=redis_settings(redis_url),
                    job_serializer=serialize,
                    job_deserializer=deserialize,
                    keep_result=0,
                    max_tries=1,
                    retry_jobs=False,
                    handle_signals=False,
                    max_jobs=50,
                    poll_delay=0.1,
                )
                await worker.async_run()
            except asyncio.CancelledError:
                raise
            except Exception as exc:
                _log.warning("bell_lost", error=type(exc).__name__)
            await asyncio.sleep(1)


async def work(platform: Platform, redis_url: str, concurrency: int) -> None:
    """Work until SIGTERM or SIGINT (作业进程主循环). Jobs in hand are left to their leases: the next worker goes on."""
    shift = NightShift(platform, concurrency)
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for signal_ in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(signal_, stop.set)
    watch_connections(platform)
    tasks = [
        asyncio.create_task(shift.sweep()),
        asyncio.create_task(shift.sequence()),
        asyncio.create_task(shift.answer_bell(redis_url)),
        asyncio.create_task(keep_pulse()),
        asyncio.create_task(watch_queue(platform, frozenset(HANDLERS))),
    ]
    _log.info("worker_ready", concurrency=concurrency)
    await stop.wait()
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
