"""Delivering events to webhooks (事件推送): a job per tenant, outside of every business transaction.

A message is sent at least once: a worker that dies between the receiver's answer and its own commit sends it again under the same id,
and the receiver passes over what it has. Failures are retried with growing pauses for three days; then the message is dead and shown.
"""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import Sequence
from datetime import datetime
from typing import Any

import msgspec
from sqlalchemy import Row

from fenzhi.outbox.timers import set_timer
from fenzhi.rules.events.webhooks import next_attempt, signature_header
from fenzhi.services.acts import Platform
from fenzhi.services.events.notices import DELIVER
from fenzhi.services.events.sending import Sent, send
from fenzhi.services.events.webhooks import message, secret_place
from fenzhi.services.jobs.execution import JobInHand
from fenzhi.store.failpoints import failpoint
from fenzhi.store.repositories import events as store
from fenzhi.store.session import UnitOfWork

TAKEN_MOST = 200
"""Events put on their way to an address by one job."""
SENT_MOST = 20
"""Messages sent to one address by one job; more wait for the next."""
SENDING_S = 90.0
"""A job begins no more messages after so long."""
LEASE_S = 240
"""How long an address stays a job's that says nothing."""
FAILURES_MOST = 3
"""After so many failures in a row the address is left alone for a while."""
REST_S = 60


async def deliver(platform: Platform, job: JobInHand) -> None:
    """Send a tenant's events to its addresses (推送). Changes: webhook_delivery, webhook_endpoint; webhook_attempt, job_timer, job."""
    tenant = str(job.payload["tenant"])
    result: dict[str, Any] = {"delivered": 0, "failed": 0}
    async with job.reading() as uow:
        taken = await store.take_endpoints(uow, tenant, job.claimed.job_id, LEASE_S)
        for endpoint in taken:
            await _put_on_the_way(uow, endpoint)
    async with job.reading() as uow:
        waiting = {one.endpoint_id: await store.due_deliveries(uow, one.endpoint_id, SENT_MOST) for one in taken}
        secrets = {one.endpoint_id: await _secrets(platform, uow, one.endpoint_id) for one in taken}
    failpoint("events.taken")
    rounds = [_send_all(platform, one, waiting[one.endpoint_id], secrets[one.endpoint_id]) for one in taken]
    rounds_done = await asyncio.gather(*rounds)
    failpoint("events.sent")
    async with job.finishing(result) as uow:
        now = await uow.now()
        for endpoint, attempts in zip(taken, rounds_done, strict=True):
            for delivery, sent in attempts:
                await _note(uow, delivery, sent, now)
                result["delivered" if sent.is_delivered else "failed"] += 1
            is_failing = len(attempts) >= FAILURES_MOST and not any(
                sent.is_delivered for _, sent in attempts[-FAILURES_MOST:]
            )
            await store.let_go(uow, endpoint.endpoint_id, job.claimed.job_id, REST_S if is_failing else 0)
        await _come_again(uow, tenant)


async def _put_on_the_way(uow: UnitOfWork, endpoint: Row[Any]) -> None:
    events = await store.stream_events(uow, endpoint.tenant, endpoint.taken_seq, TAKEN_MOST)
    if not events:
        return
    place = {name: getattr(endpoint, name) for name in ("area_id", "county_id", "hospital_id", "tenant")}
    rows = [
        {
            **place,
            "endpoint_id": endpoint.endpoint_id,
            "event_id": one.event_id,
            "kind": one.kind,
            "body": message(
                one.event_id,
                one.seq,
                one.kind,
                one.tenant,
                one.subject_type,
                one.subject_id,
                one.facts,
                one.recorded_at,
            ),
            "next_at": one.recorded_at,
        }
        for one in events
        if not endpoint.kinds or one.kind in endpoint.kinds
    ]
    await store.add_deliveries(uow, rows)
    await store.note_taken(uow, endpoint.endpoint_id, events[-1].seq)


async def _secrets(platform: Platform, uow: UnitOfWork, endpoint_id: uuid.UUID) -> list[bytes]:
    return [
        platform.keyring.unseal(
            row.area_id, row.key_id, bytes(row.sealed_secret), secret_place(row.endpoint_id, row.secret_no)
        )
        for row in await store.secrets_of(uow, endpoint_id)
    ]


async def _send_all(
    platform: Platform, endpoint: Row[Any], waiting: Sequence[Row[Any]], secrets: Sequence[bytes]
) -> list[tuple[Row[Any], Sent]]:
    """Send what waits for one address, one after another, and stop when it fails again and again."""
    done: list[tuple[Row[Any], Sent]] = []
    failures, until = 0, time.monotonic() + SENDING_S
    for delivery in waiting:
        if failures == FAILURES_MOST or time.monotonic() > until:
            break
        body = msgspec.json.encode(delivery.body, order="sorted")
        timestamp = int(time.time())
        headers = {
            "content-type": "application/json",
            "user-agent": "fenzhi-webhook",
            "fenzhi-event-id": str(delivery.event_id),
            "fenzhi-timestamp": str(timestamp),
            "fenzhi-signature": signature_header(secrets, timestamp, body),
        }
        sent = await send(platform.webhook_hosts, endpoint.url, headers, body, platform.webhook_trust)
        failures = 0 if sent.is_delivered else failures + 1
        done.append((delivery, sent))
    return done


async def _note(uow: UnitOfWork, delivery: Row[Any], sent: Sent, now: datetime) -> None:
    attempt = {"outcome": sent.outcome, "status": sent.status, "took_ms": sent.took_ms}
    again = None if sent.is_delivered else next_attempt(delivery.first_at or now, delivery.attempts + 1, now)
    state = "delivered" if sent.is_delivered else "dead" if again is None else "due"
    await store.note_attempt(
        uow,
        delivery,
        attempt,
        state=state,
        next_at=again,
        ended_at=None if state == "due" else now,
        outcome=sent.outcome,
        status=sent.status,
    )


async def _come_again(uow: UnitOfWork, tenant: str) -> None:
    """Want another job when something waits: at its time, and not before its address is free."""
    due, stream = await store.next_due(uow, tenant), await store.stream_of(uow, tenant)
    if due is not None and stream is not None:
        owner = {name: getattr(stream, name) for name in ("province_id", "area_id", "county_id", "hospital_id")}
        await set_timer(uow, f"deliver/{tenant}", DELIVER, {"tenant": tenant}, tenant=tenant, due_at=due, **owner)
