"""The audit trail (审计): who did what and who saw whom, appended in the transaction of the act; its chain and its anchors."""

from __future__ import annotations

import uuid
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Row, Select, func, select, text

from fenzhi.rules.audit.chain import EVENT_FIELDS, Anchor
from fenzhi.store.session import UnitOfWork, new_id
from fenzhi.store.tables.audit import audit_anchor, audit_event, audit_link

_EVENT = [audit_event.c[name] for name in EVENT_FIELDS]


async def note(
    uow: UnitOfWork,
    *,
    role: str,
    action: str,
    object_type: str,
    object_id: str,
    request_id: str,
    details: Mapping[str, Any] | None = None,
    kind: str = "act",
    purpose: str = "",
    reason: str = "",
    field_class: str = "",
    subjects: Collection[uuid.UUID] | None = None,
) -> None:
    """Append one event of the acting tenant. Details never carry personal data. The subjects are kept sorted, each once."""
    scope = uow.scope
    await uow.execute(
        audit_event.insert().values(
            event_id=new_id(),
            tenant=scope.tenant,
            province_id=scope.province_id,
            area_id=scope.area_id,
            account_id=uuid.UUID(scope.account_id) if scope.account_id else None,
            person_id=uuid.UUID(scope.person_id) if scope.person_id else None,
            role=role,
            kind=kind,
            action=action,
            object_type=object_type,
            object_id=object_id,
            request_id=request_id,
            purpose=purpose,
            reason=reason,
            field_class=field_class,
            subjects=None if subjects is None else sorted(set(subjects)),
            details=dict(details or {}),
        )
    )


# The chain, in the sequencer's scope


async def last_link(uow: UnitOfWork) -> Row[Any] | None:
    """The end of the chain."""
    return await uow.first(select(audit_link).order_by(audit_link.c.seq.desc()).limit(1))


async def oldest_open_transaction(uow: UnitOfWork) -> int:
    """The number below which every transaction is over (最早未结束事务): what they wrote is visible to the next statement."""
    return int(await uow.scalar(text("select pg_snapshot_xmin(pg_current_snapshot())::text::bigint")))


async def unlinked(uow: UnitOfWork, floor: int, most: int) -> Sequence[Row[Any]]:
    """Committed events of transactions from `floor` on that have no link, in order of transaction, the first `most`."""
    return await uow.rows(
        select(*_EVENT)
        .outerjoin(audit_link, audit_link.c.event_id == audit_event.c.event_id)
        .where(audit_event.c.written_in >= floor, audit_link.c.event_id.is_(None))
        .order_by(audit_event.c.written_in, audit_event.c.event_id)
        .limit(most)
    )


async def add_links(uow: UnitOfWork, rows: Sequence[Mapping[str, Any]]) -> None:
    await uow.insert(audit_link, rows)


async def links_after(uow: UnitOfWork, seq: int, limit: int) -> Sequence[Row[Any]]:
    """Links in order of number with their events, one page after a number. A link without its event has a null `event_id`."""
    names = ("seq", "algorithm", "event_digest", "previous", "digest")
    return await uow.rows(
        select(*[audit_link.c[name] for name in names], audit_link.c.event_id.label("linked_event"), *_EVENT)
        .outerjoin(audit_event, audit_event.c.event_id == audit_link.c.event_id)
        .where(audit_link.c.seq > seq)
        .order_by(audit_link.c.seq)
        .limit(limit)
    )


async def seq_of_digest(uow: UnitOfWork, digest: bytes) -> int | None:
    """Where the link with a digest stands."""
    found = await uow.scalar(select(func.min(audit_link.c.seq)).where(audit_link.c.digest == digest))
    return None if found is None else int(found)


async def seq_of_successor(uow: UnitOfWork, digest: bytes) -> int | None:
    """Where the link stands that names a digest as its predecessor's."""
    found = await uow.scalar(select(func.min(audit_link.c.seq)).where(audit_link.c.previous == digest))
    return None if found is None else int(found)


async def seq_of_event_digest(uow: UnitOfWork, digest: bytes) -> int | None:
    """Where the link stands that was made for an event with this digest."""
    found = await uow.scalar(select(func.min(audit_link.c.seq)).where(audit_link.c.event_digest == digest))
    return None if found is None else int(found)


async def strays(uow: UnitOfWork, horizon: int) -> Sequence[Row[Any]]:
    """Events of transactions before the horizon without a link, each with the number of the link that it should have stood before."""
    linked = audit_event.alias("linked")
    place = (
        select(func.min(audit_link.c.seq))
        .join(linked, linked.c.event_id == audit_link.c.event_id)
        .where(linked.c.written_in > audit_event.c.written_in)
        .scalar_subquery()
    )
    end = select(func.max(audit_link.c.seq)).scalar_subquery()
    return await uow.rows(
        select(audit_event.c.event_id, func.coalesce(place, end).label("seq"))
        .outerjoin(audit_link, audit_link.c.event_id == audit_event.c.event_id)
        .where(audit_event.c.written_in < horizon, audit_link.c.event_id.is_(None))
        .order_by(audit_event.c.written_in)
        .limit(100)
    )


async def waiting(uow: UnitOfWork, floor: int) -> Row[Any] | None:
    """How many events wait for their link, and for how many seconds the oldest has."""
    age = func.extract("epoch", func.clock_timestamp() - func.min(audit_event.c.recorded_at))
    return await uow.first(
        select(func.count().label("events"), func.coalesce(age, 0).label("seconds"))
        .select_from(audit_event)
        .outerjoin(audit_link, audit_link.c.event_id == audit_event.c.event_id)
        .where(audit_event.c.written_in >= floor, audit_link.c.event_id.is_(None))
    )


async def add_anchor(uow: UnitOfWork, anchor: Anchor) -> None:
    await uow.execute(
        audit_anchor.insert().values(
            seq=anchor.seq,
            algorithm=anchor.algorithm,
            digest=anchor.digest,
            key_id=anchor.key_id,
            seal=anchor.seal,
            anchored_at=anchor.anchored_at,
        )
    )


async def anchors(uow: UnitOfWork) -> list[Anchor]:
    """All anchors in order."""
    rows = await uow.rows(select(audit_anchor).order_by(audit_anchor.c.seq))
    return [Anchor(r.seq, r.algorithm, r.digest, r.key_id, r.anchored_at, r.seal) for r in rows]


async def last_anchor(uow: UnitOfWork) -> Row[Any] | None:
    """The latest anchor."""
    return await uow.first(select(audit_anchor).order_by(audit_anchor.c.seq.desc()).limit(1))


# Reading, in an auditor's scope


def _events(uow: UnitOfWork) -> Select[Any]:
    query = (
        select(audit_event, audit_link.c.seq, audit_link.c.digest)
        .outerjoin(audit_link, audit_link.c.event_id == audit_event.c.event_id)
        .where(audit_event.c.province_id == uow.scope.province)
    )
    if uow.scope.area_id is not None:
        query = query.where(audit_event.c.area_id == uow.scope.area)
    return query


async def event_by_id(uow: UnitOfWork, event_id: uuid.UUID) -> Row[Any] | None:
    """One event of the scope."""
    return await uow.first(_events(uow).where(audit_event.c.event_id == event_id))


async def events_before(
    uow: UnitOfWork,
    before: uuid.UUID | None,
    limit: int,
    *,
    tenant: str | None = None,
    person_id: uuid.UUID | None = None,
    kind: str | None = None,
    action: str | None = None,
    request_id: str | None = None,
    subjects: Collection[uuid.UUID] | None = None,
    since: datetime | None = None,
    until: datetime | None = None,
) -> Sequence[Row[Any]]:
    """Events of the scope, newest first, one page before an event."""
    c = audit_event.c
    query = _events(uow)
    for column, value in ((c.tenant, tenant), (c.person_id, person_id), (c.kind, kind), (c.action, action)):
        if value is not None:
            query = query.where(column == value)
    if request_id is not None:
        query = query.where(c.request_id == request_id)
    if before is not None:
        query = query.where(c.event_id < before)
    if subjects is not None:
        query = query.where(c.subjects.op("&&")(list(subjects)))
    if since is not None:
        query = query.where(c.recorded_at >= since)
    if until is not None:
        query = query.where(c.recorded_at < until)
    return await uow.rows(query.order_by(c.event_id.desc()).limit(limit))
