"""Telling tenants what happened (通知): events with a number of their own stream, kept in the transaction of what happened.

The number is given under a lock that lasts until the commit, so that numbers become visible in their order and without gaps: whoever has
read up to a number has missed nothing below it. `announce` therefore comes last in its transaction.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import msgspec
from sqlalchemy import Row

from fenzhi.access.roles import Duty
from fenzhi.access.subject import Subject
from fenzhi.rules.events.kinds import EventKind
from fenzhi.services.acts import Platform, looking
from fenzhi.store.repositories import events as store
from fenzhi.store.session import UnitOfWork

DELIVER = "events.deliver"


@dataclass(frozen=True, slots=True)
class Notice:
    """One thing to tell one tenant (通知). `facts` hold codes, dates and counts: nothing of a patient, no amount."""

    tenant: str
    kind: EventKind
    subject_type: str
    subject_id: str
    facts: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class EventView:
    """One event of a tenant (事件)."""

    event_id: uuid.UUID
    seq: int
    kind: EventKind
    subject_type: str
    subject_id: str
    facts: Mapping[str, str]
    recorded_at: datetime


async def announce(uow: UnitOfWork, notices: Sequence[Notice]) -> None:
    """Tell tenants (登记事件), as the last thing of the caller's transaction. Changes: event_stream, tenant_event, job_timer."""
    if notices:
        columns = {
            "tenants": [one.tenant for one in notices],
            "kinds": [one.kind.value for one in notices],
            "types": [one.subject_type for one in notices],
            "ids": [one.subject_id for one in notices],
            "facts": [msgspec.json.encode(dict(one.facts), order="sorted").decode() for one in notices],
        }
        await store.announce(uow, columns, DELIVER)


async def tell_hospital(
    uow: UnitOfWork, hospital_id: int, kind: EventKind, subject_type: str, subject_id: object, **facts: str
) -> None:
    """Tell one hospital of the area (通知医疗机构). Changes: as `announce`."""
    known = await store.codes_of_hospitals(uow, [hospital_id])
    if hospital_id in known:
        await announce(uow, [Notice(known[hospital_id], kind, subject_type, str(subject_id), facts)])


async def tell_hospital_once(
    uow: UnitOfWork, hospital_id: int, kind: EventKind, subject_type: str, subject_id: object, **facts: str
) -> bool:
    """Tell one hospital of the area what it was not told before in the same words (只通知一次); whether it was told now. Changes: as `announce`."""
    known = await store.codes_of_hospitals(uow, [hospital_id])
    if hospital_id not in known:
        return False
    tenant, subject = known[hospital_id], str(subject_id)
    await store.lock_telling(uow, tenant, subject_type, subject)
    if await store.was_told(uow, tenant, kind.value, subject_type, subject, facts):
        return False
    await announce(uow, [Notice(tenant, kind, subject_type, subject, facts)])
    return True


async def tell_of_statements(uow: UnitOfWork, run: Row[Any], stage: str) -> None:
    """Tell the city, its counties and every hospital with a statement (结算单通知). `stage`: issued or published."""
    area = await store.own_area(uow)
    hospitals = await store.statement_hospitals(uow, run.run_id)
    facts = {
        "stage": stage,
        "run": run.kind,
        "insurance": run.insurance,
        "year": str(run.year),
        "period": str(run.period),
    }
    above = {row.county_code for row in hospitals if row.county_code} | ({area.code} if area is not None else set())
    notices = [
        Notice(code, EventKind.STATEMENT_PUBLISHED, "ClearingRun", str(run.run_id), facts) for code in sorted(above)
    ]
    notices += [
        Notice(row.code, EventKind.STATEMENT_PUBLISHED, "HospitalStatement", f"{run.run_id}.{row.hospital_id}", facts)
        for row in hospitals
    ]
    await announce(uow, notices)


async def tell_of_edition(uow: UnitOfWork, edition: Row[Any]) -> None:
    """Tell every tenant of the province that an edition was published (目录发布通知)."""
    facts = {"code": edition.code, "effective_from": edition.effective_from.isoformat()}
    told = await store.tenants_of_province(uow)
    await announce(
        uow,
        [Notice(code, EventKind.CATALOG_PUBLISHED, "CatalogEdition", str(edition.edition_id), facts) for code in told],
    )


def view_of(row: Row[Any]) -> EventView:
    """An event as it is shown and sent."""
    return EventView(
        row.event_id,
        row.seq,
        EventKind(row.kind),
        row.subject_type,
        row.subject_id,
        row.facts,
        row.recorded_at,
    )


async def events(
    platform: Platform, subject: Subject, after: int, limit: int, kinds: Sequence[EventKind] = ()
) -> Sequence[EventView]:
    """The subject's own events beyond a number, in their order (事件列表). Raises: Forbidden."""
    async with looking(platform, subject, Duty.READ_EVENTS) as uow:
        return [view_of(row) for row in await store.events_after(uow, after, limit, [kind.value for kind in kinds])]
