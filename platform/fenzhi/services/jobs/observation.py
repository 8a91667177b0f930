"""Looking at the queue for the metrics (队列观测), every few seconds and never because somebody asked."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from datetime import timedelta

import structlog
from prometheus_client import Gauge

from fenzhi.access.scope import DOORBELL_SCOPE
from fenzhi.outbox import jobs
from fenzhi.services.acts import Platform
from fenzhi.services.audit.chain import chain_state
from fenzhi.telemetry import metrics

OPEN_STATES = ("queued", "running", "lapsed")
ENDED_STATES = ("done", "refused", "dead")
ENDED_WITHIN = timedelta(days=1)
LOOK_AGAIN_S = 10.0
_log = structlog.get_logger("fenzhi.worker")


async def look_at_queue(platform: Platform, kinds: frozenset[str]) -> None:
    """Set the gauges of the queue to what the database holds (刷新队列指标); a kind that is not among `kinds` counts as other."""
    async with platform.database.unit_of_work(DOORBELL_SCOPE) as uow:
        rows = await jobs.by_kind(uow, ENDED_WITHIN)
        seen_at = (await uow.now()).timestamp()
    numbers: dict[tuple[str, str], float] = defaultdict(float)
    longest: dict[tuple[Gauge, str], float] = defaultdict(float)
    steps: dict[tuple[str, str], float] = defaultdict(float)
    for kind in (*kinds, metrics.OTHER):
        numbers.update({(kind, state): 0.0 for state in (*OPEN_STATES, *ENDED_STATES)})
        steps.update({(kind, which): 0.0 for which in ("done", "all")})
        longest.update({(gauge, kind): 0.0 for gauge in _LONGEST})
    for row in rows:
        kind = row.kind if row.kind in kinds else metrics.OTHER
        numbers[kind, row.state] += row.number
        for gauge, seconds in zip(_LONGEST, (row.waited_s, row.lapsed_s, row.running_s), strict=True):
            longest[gauge, kind] = max(longest[gauge, kind], seconds)
        if row.state in ("running", "lapsed"):
            steps[kind, "done"] += int(row.done)
            steps[kind, "all"] += int(row.total)
    for labels, number in numbers.items():
        metrics.JOBS.labels(*labels).set(number)
    for labels, number in steps.items():
        metrics.JOB_STEPS.labels(*labels).set(number)
    for (gauge, kind), seconds in longest.items():
        gauge.labels(kind).set(seconds)
    metrics.QUEUE_SEEN.set(seen_at)


async def look_at_chain(platform: Platform) -> None:
    """Set the gauges of the audit chain to what the database holds (刷新审计链指标)."""
    found = await chain_state(platform.database)
    metrics.AUDIT_LAG.set(found.oldest_s)
    metrics.AUDIT_WAITING.set(found.waiting)
    metrics.AUDIT_ANCHORED.set(found.anchored_at.timestamp() if found.anchored_at is not None else 0)


async def watch_queue(platform: Platform, kinds: frozenset[str]) -> None:
    """Look again and again until cancelled (持续观测). A database that is away leaves the figures, and their time, as they were."""
    while True:
        try:
            await look_at_queue(platform, kinds)
            await look_at_chain(platform)
        except Exception as exc:
            _log.warning("queue_not_seen", error=type(exc).__name__)
        await asyncio.sleep(LOOK_AGAIN_S)


def watch_connections(platform: Platform) -> None:
    """Let the metrics read the pool of this process whenever they are asked for (连接池指标)."""
    pool = platform.database.engine.pool
    busy, idle = getattr(pool, "checkedout"), getattr(pool, "checkedin")  # noqa: B009
    metrics.POOL_CONNECTIONS.labels("busy").set_function(busy)
    metrics.POOL_CONNECTIONS.labels("idle").set_function(idle)
    metrics.POOL_CONNECTIONS.labels("most").set(platform.database.connections_most)


_LONGEST = (metrics.QUEUE_AGE, metrics.LEASE_LAPSED, metrics.RUNNING_SECONDS)
