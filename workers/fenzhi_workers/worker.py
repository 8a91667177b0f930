"""The worker (作业进程): arq carries ids, PostgreSQL holds the truth.

A ring wakes the sweeper, which asks PostgreSQL what waits, tenant by tenant in turns, and claims it under a lease; the lease is kept alive
while the handler works, and the handler ends the job under the fence. Without a ring the sweeper looks once a second: an empty or absent
Redis delays nothing.
"""

from __future__ import annotations

import asyncio
import gc
import signal
import time
import uuid
from contextlib import suppress
from typing import Any

import structlog
from arq.worker import Worker, func

from fenzhi.outbox.arq_queue import QUEUE, deserialize, listening_pool, serialize
from fenzhi.outbox.jobs import Fenced
from fenzhi.rules.refusals import FenzhiError
from fenzhi.services.acts import Platform
from fenzhi.services.audit.chain import ANCHOR_EVERY, LINKS_AT_ONCE, anchor, chain_waiting
from fenzhi.services.jobs.execution import JobInHand, end_badly, hand_back, jobs_waiting, keep_lease, outcome_of, take
from fenzhi.services.jobs.observation import watch_connections, watch_queue
from fenzhi.telemetry.exposition import keep_pulse
from fenzhi.telemetry.metrics import JOB_SECONDS, JOBS_ENDED, KINDS
from fenzhi.telemetry.traces import SpanKind, fail, span, tell, trace_id
from fenzhi_workers.jobs import HANDLERS
from fenzhi_workers.jobs.registry import Handler
from fenzhi_workers.shares import TenantShares

_log = structlog.get_logger("fenzhi.worker")
SWEEP_S = 1.0
LOOK_S = 10.0
"""How long a look at what waits may take."""
SEQUENCE_S = 60.0
"""How long one step of the sequencer may take."""
HAND_BACK_S = 5.0
"""How long work that was stopped may take to let go."""
KINDS.add(HANDLERS)


class NightShift:
    """Carries out jobs, at most `concurrency` at a time (执行器)."""

    def __init__(self, platform: Platform, concurrency: int) -> None:
        self._platform = platform
        self._slots = asyncio.Semaphore(concurrency)
        self._concurrency = concurrency
        self._rung = asyncio.Event()
        self._busy: set[uuid.UUID] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._stopping = False
        self._shares = TenantShares()

    def begin(self, job_id: uuid.UUID, tenant: str = "") -> None:
        """Carry out one job in a task of its own, unless it is under way here or this worker is stopping."""
        if job_id in self._busy or self._stopping:
            return
        self._busy.add(job_id)
        task = asyncio.create_task(self._in_slot(job_id, tenant))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def carry_out(self, job_id: uuid.UUID) -> None:
        """Claim and carry out one job; a job that is not waiting is passed over."""
        if job_id not in self._busy:
            self._busy.add(job_id)
            await self._in_slot(job_id)

    async def _in_slot(self, job_id: uuid.UUID, tenant: str = "") -> None:
        try:
            async with self._slots:
                if not self._stopping:
                    with self._shares.under_way(job_id, tenant):
                        await self._carry_out(job_id)
        finally:
            self._busy.discard(job_id)
            self.ring()

    def stop(self) -> None:
        """Take nothing more."""
        self._stopping = True
        self.ring()

    async def drain(self, limit_s: float) -> None:
        """Take nothing more, let what is in hand end within the limit, hand the rest back for another worker (排空)."""
        self.stop()
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=limit_s)
        rest = list(self._tasks)
        for task in rest:
            task.cancel()
        if rest:
            # Each lets its work go first and tells the database then.
            await asyncio.wait(rest, timeout=3 * HAND_BACK_S)

    async def _carry_out(self, job_id: uuid.UUID) -> None:
        job = await self._taken(job_id)
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

    async def _taken(self, job_id: uuid.UUID) -> JobInHand | None:
        """Claim a job, or none. A worker told to stop meanwhile gives back what it was given: nobody else knows that it has it."""
        taking = asyncio.create_task(take(self._platform, job_id))
        try:
            return await asyncio.shield(taking)
        except asyncio.CancelledError:
            with suppress(Exception):
                job = await asyncio.wait_for(taking, HAND_BACK_S)
                if job is not None:
                    await self._give_back(job)
            raise

    async def _give_back(self, job: JobInHand) -> None:
        """Hand a job back; one that could not be waits for its lease, and that is said."""
        log = _log.bind(job_id=str(job.claimed.job_id), kind=job.claimed.kind, attempt=job.claimed.attempt)
        try:
            await asyncio.wait_for(hand_back(job), HAND_BACK_S)
            log.info("job_handed_back")
        except Exception as exc:
            log.warning("job_kept_by_its_lease", error=type(exc).__name__)

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
            await self._while_held(handler, job)
            log.info("job_done")
        except asyncio.CancelledError:
            outcome = "handed_back"
            await self._give_back(job)
            raise
        except Exception as exc:
            outcome = outcome_of(exc)
            log.warning("job_failed", error=type(exc).__name__, exc_info=exc)
            try:
                await self._tell(job, exc)
            except Exception as untold:
                log.warning("job_end_untold", error=type(untold).__name__)
        finally:
            lease.cancel()
            with suppress(asyncio.CancelledError):
                await lease
            JOBS_ENDED.labels(label, outcome).inc()
            JOB_SECONDS.labels(label).observe(time.perf_counter() - began)
        return outcome

    async def _while_held(self, handler: Handler, job: JobInHand) -> None:
        """Run the handler as long as the lease is ours. Raises: Fenced when it is not; whoever has it goes on."""
        working = asyncio.ensure_future(handler(self._platform, job))
        losing = asyncio.create_task(job.lost.wait())
        try:
            await asyncio.wait({working, losing}, return_when=asyncio.FIRST_COMPLETED)
            if not working.done():
                raise Fenced(str(job.claimed.job_id))
            working.result()
        finally:
            losing.cancel()
            if not working.done():
                working.cancel()
                # Work in a thread ends by itself; nobody waits for it longer than this.
                await asyncio.wait({working}, timeout=HAND_BACK_S)

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
        """Take up what waits: when a bell rang, when a slot came free, and once a second anyway (巡检).

        Tenants take turns. No more is begun than there are slots, and the last free one is kept for a tenant for which nothing is
        under way: whoever sends a hundred batches does not stand before the others with them. While a job of a tenant that had much less
        of late is under way, the next of a heavy one is not begun, for a second at the most.
        """
        while not self._stopping:
            self._rung.clear()
            try:
                async with asyncio.timeout(LOOK_S):
                    waiting = await jobs_waiting(self._platform)
                for job_id, _attempt, turn, tenant in waiting:
                    free = self._concurrency - len(self._busy)
                    may_begin = free > 1 or (free == 1 and (turn == 1 or self._concurrency == 1))
                    if may_begin and not self._shares.yields(tenant):
                        self.begin(job_id, tenant)
            except Exception as exc:
                _log.warning("sweep_failed", error=type(exc).__name__)
            with suppress(TimeoutError):
                # Not wait_for: before Python 3.12 it keeps a cancellation to itself when the bell rings at that moment.
                async with asyncio.timeout(SWEEP_S):
                    await self._rung.wait()

    def ring(self) -> None:
        """Look at once (响铃)."""
        self._rung.set()

    async def sequence(self) -> None:
        """Chain the audit once a second and anchor it hourly, unless another worker does (审计排序)."""
        while not self._stopping:
            pause = SWEEP_S
            try:
                async with asyncio.timeout(SEQUENCE_S):
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
            shift.ring()

        while not self._stopping:
            pool = listening_pool(redis_url)
            try:
                worker = Worker(
                    functions=[func(run_job, name="run_job", max_tries=1, timeout=60)],
                    queue_name=QUEUE,
                    redis_pool=pool,
                    job_serializer=serialize,
                    job_deserializer=deserialize,
                    keep_result=0,
                    max_tries=1,
                    retry_jobs=False,
                    handle_signals=False,
                    max_jobs=50,
                    poll_delay=0.1,
                )
                await _until_ended(asyncio.create_task(worker.async_run()))
            except asyncio.CancelledError:
                raise
            except Exception as exc:
                _log.warning("bell_lost", error=type(exc).__name__)
            finally:
                with suppress(Exception):
                    await asyncio.wait_for(pool.aclose(), 1)
            await asyncio.sleep(1)


async def _until_ended(listening: asyncio.Task[None]) -> None:
    """Wait for a task that may swallow a cancellation, as arq does in the midst of a poll: it is told again until it ends."""
    try:
        await asyncio.wait({listening})
        listening.result()
    finally:
        while not listening.done():
            listening.cancel()
            await asyncio.wait({listening}, timeout=0.1)


async def work(platform: Platform, redis_url: str, concurrency: int, drain_s: float = 25) -> None:
    """Work until SIGTERM or SIGINT (作业进程主循环). Jobs in hand get `drain_s` to end; what is left is handed back."""
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
    gc.collect()
    gc.freeze()
    # A batch in hand is some hundred thousand small objects without a cycle among them: looking them through again and again
    # costs a tenth of the work.
    gc.set_threshold(50_000, 50, 100)
    _log.info("worker_ready", concurrency=concurrency)
    await stop.wait()
    shift.stop()
    for task in tasks:
        task.cancel()
    draining = asyncio.create_task(shift.drain(drain_s))
    await asyncio.wait(tasks, timeout=HAND_BACK_S)
    await draining
