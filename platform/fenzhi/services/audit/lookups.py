"""Reading the audit (审计查询): for audit administrators of a province or a city, and nobody else."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import Row

from fenzhi.access.roles import Duty
from fenzhi.access.subject import Subject
from fenzhi.services.acts import Platform, looking
from fenzhi.store.repositories import audit as store
from fenzhi.store.session import BUSINESS_ZONE


@dataclass(frozen=True, slots=True)
class EventFilter:
    """Which events (审计筛选); nothing given means all of the scope."""

    tenant: str | None = None
    person: uuid.UUID | None = None
    kind: str | None = None
    action: str | None = None
    request_id: str | None = None
    case_id: uuid.UUID | None = None
    """Events in which this case was seen."""
    since: datetime | None = None
    until: datetime | None = None


@dataclass(frozen=True, slots=True)
class EventView:
    """One act or one answer (审计事件). `seq` and `digest` are empty until the sequencer has chained it."""

    event_id: uuid.UUID
    seq: int | None
    digest: bytes | None
    recorded_at: datetime
    tenant: str
    account_id: uuid.UUID | None
    person_id: uuid.UUID | None
    role: str
    kind: str
    action: str
    object_type: str
    object_id: str
    request_id: str
    purpose: str
    reason: str
    field_class: str
    subjects: tuple[uuid.UUID, ...]


def _view(row: Row[Any]) -> EventView:
    return EventView(
        event_id=row.event_id,
        seq=row.seq,
        digest=row.digest,
        recorded_at=row.recorded_at,
        tenant=row.tenant,
        account_id=row.account_id,
        person_id=row.person_id,
        role=row.role,
        kind=row.kind,
        action=row.action,
        object_type=row.object_type,
        object_id=row.object_id,
        request_id=row.request_id,
        purpose=row.purpose,
        reason=row.reason,
        field_class=row.field_class,
        subjects=tuple(row.subjects or ()),
    )


async def audit_event(platform: Platform, subject: Subject, event_id: uuid.UUID) -> EventView | None:
    """One event, or none in this scope (审计事件)."""
    async with looking(platform, subject, Duty.READ_AUDIT) as uow:
        row = await store.event_by_id(uow, event_id)
        return _view(row) if row is not None else None


async def audit_events(
    platform: Platform, subject: Subject, before: uuid.UUID | None, limit: int, wanted: EventFilter
) -> Sequence[EventView]:
    """One page of the scope's events, newest first (审计列表)."""
    async with looking(platform, subject, Duty.READ_AUDIT) as uow:
        rows = await store.events_before(
            uow,
            before,
            limit,
            tenant=wanted.tenant,
            person_id=wanted.person,
            kind=wanted.kind,
            action=wanted.action,
            request_id=wanted.request_id,
            subjects=None if wanted.case_id is None else (wanted.case_id,),
            since=_in_business_zone(wanted.since),
            until=_in_business_zone(wanted.until),
        )
        return [_view(row) for row in rows]


def _in_business_zone(moment: datetime | None) -> datetime | None:
    """A moment without an offset is meant in business time."""
    return moment.replace(tzinfo=ZoneInfo(BUSINESS_ZONE)) if moment is not None and moment.tzinfo is None else moment


@dataclass(frozen=True, slots=True)
class AnchorView:
    """The latest anchor (最近锚点)."""

    seq: int
    algorithm: str
    digest: bytes
    anchored_at: datetime


async def latest_anchor(platform: Platform, subject: Subject) -> AnchorView | None:
    """The latest anchor of the deployment's chain, or none yet (最近锚点)."""
    async with looking(platform, subject, Duty.READ_AUDIT) as uow:
        row = await store.last_anchor(uow)
        return AnchorView(row.seq, row.algorithm, row.digest, row.anchored_at) if row is not None else None
