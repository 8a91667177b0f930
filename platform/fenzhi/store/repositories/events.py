"""Events, webhooks and their deliveries in the store (事件与推送)."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Row, Table, case, func, select, text, update
from sqlalchemy.dialects.postgresql import insert as upsert

from fenzhi.store.repositories.scope_predicate import within
from fenzhi.store.session import UnitOfWork, new_id
from fenzhi.store.tables.clearing import hospital_statement
from fenzhi.store.tables.events import (
    event_stream,
    tenant_event,
    webhook_attempt,
    webhook_delivery,
    webhook_endpoint,
    webhook_secret,
)
from fenzhi.store.tables.registry import county, hospital, pooling_area

_ANNOUNCE = text(
    """
    with wanted as (
      select * from unnest(
        cast(:tenants as text[]), cast(:kinds as text[]), cast(:types as text[]), cast(:ids as text[]), cast(:facts as jsonb[])
      ) with ordinality as w (tenant, kind, subject_type, subject_id, facts, place)
    ), known as (
      select code collate "C" as tenant, province_id, area_id, null::int as county_id, null::int as hospital_id from pooling_area
      union all select code collate "C", province_id, area_id, county_id, null from county
      union all select code collate "C", province_id, area_id, county_id, hospital_id from hospital
    ), told as (
      select k.*, w.kind, w.subject_type, w.subject_id, w.facts,
             row_number() over (partition by k.tenant order by w.place) as nth, count(*) over (partition by k.tenant) as number
      from wanted w join known k on k.tenant = w.tenant collate "C"
    ), stream as (
      insert into event_stream (area_id, county_id, hospital_id, tenant, province_id, last_seq)
      select distinct on (tenant) area_id, county_id, hospital_id, tenant, province_id, number from told order by tenant
      on conflict (tenant) do update set last_seq = event_stream.last_seq + excluded.last_seq
      returning *
    ), noted as (
      insert into tenant_event (area_id, county_id, hospital_id, tenant, seq, event_id, kind, subject_type, subject_id, facts)
      select t.area_id, t.county_id, t.hospital_id, t.tenant, s.last_seq - t.number + t.nth, gen_random_uuid(), t.kind,
             t.subject_type, t.subject_id, t.facts
      from told t join stream s on s.tenant = t.tenant
    )
    insert into job_timer (name, kind, tenant, province_id, area_id, county_id, hospital_id, payload, due_at)
    select 'deliver/' || tenant, :deliver, tenant, province_id, area_id, county_id, hospital_id,
           jsonb_build_object('tenant', tenant), clock_timestamp()
    from stream where is_listened order by tenant
    on conflict (name) do update set due_at = least(job_timer.due_at, excluded.due_at)
    """
)


async def announce(uow: UnitOfWork, columns: Mapping[str, Sequence[str]], deliver: str) -> None:
    """Give each notice the next number of its tenant's stream and keep it; a tenant that listens gets a delivery job.

    Streams are locked in the order of their tenants until the transaction ends. A tenant outside the scope is told nothing.
    """
    await uow.execute(_ANNOUNCE, {**{name: list(values) for name, values in columns.items()}, "deliver": deliver})


def _own(table: Table, uow: UnitOfWork) -> tuple[ColumnElement[bool], ...]:
    """The acting tenant's own rows."""
    return within(table, uow.scope), table.c.tenant == uow.scope.tenant


async def events_after(uow: UnitOfWork, seq: int, limit: int, kinds: Sequence[str] = ()) -> Sequence[Row[Any]]:
    """The acting tenant's events beyond a number, in their order."""
    query = select(tenant_event).where(*_own(tenant_event, uow), tenant_event.c.seq > seq)
    if kinds:
        query = query.where(tenant_event.c.kind.in_(kinds))
    return await uow.rows(query.order_by(tenant_event.c.seq).limit(limit))


async def lock_telling(uow: UnitOfWork, tenant: str, subject_type: str, subject_id: str) -> None:
    """Let one transaction at a time decide whether a tenant was told of something; held until the transaction ends."""
    name = "\x1f".join(("tell", tenant, subject_type, subject_id))
    await uow.scalar(text("select pg_advisory_xact_lock(hashtextextended(:name, 0))"), {"name": name})


async def was_told(
    uow: UnitOfWork, tenant: str, kind: str, subject_type: str, subject_id: str, facts: Mapping[str, str]
) -> bool:
    """Whether a tenant of the area was told exactly this; take `lock_telling` before."""
    c = tenant_event.c
    found = await uow.first(
        select(c.seq).where(
            c.area_id == uow.scope.area,
            c.tenant == tenant,
            c.kind == kind,
            c.subject_type == subject_type,
            c.subject_id == subject_id,
            c.facts == dict(facts),
        )
    )
    return found is not None


async def codes_of_hospitals(uow: UnitOfWork, hospital_ids: Sequence[int]) -> dict[int, str]:
    """Codes of hospitals of the area by id."""
    c = hospital.c
    rows = await uow.rows(
        select(c.hospital_id, c.code).where(c.area_id == uow.scope.area, c.hospital_id.in_(hospital_ids))
    )
    return {row.hospital_id: row.code for row in rows}


async def statement_hospitals(uow: UnitOfWork, run_id: uuid.UUID) -> Sequence[Row[Any]]:
    """The hospitals of a run's statements, with the codes of their counties."""
    c = hospital_statement.c
    return await uow.rows(
        select(c.hospital_id, hospital.c.code, county.c.code.label("county_code"))
        .join(hospital, hospital.c.hospital_id == c.hospital_id)
        .outerjoin(county, county.c.county_id == hospital.c.county_id)
        .where(within(hospital_statement, uow.scope), c.run_id == run_id)
        .order_by(hospital.c.code)
    )


async def own_area(uow: UnitOfWork) -> Row[Any] | None:
    """The scope's pooling area."""
    return await uow.first(select(pooling_area).where(pooling_area.c.area_id == uow.scope.area))


async def tenants_of_province(uow: UnitOfWork) -> Sequence[str]:
    """Codes of every city, county and hospital below the acting province."""
    areas = uow.scope.area_ids
    found: list[str] = []
    for table in (pooling_area, county, hospital):
        rows = await uow.rows(select(table.c.code).where(table.c.area_id.in_(areas)).order_by(table.c.code))
        found += [row.code for row in rows]
    return found


# Addresses


async def hold_stream(uow: UnitOfWork, row: Mapping[str, Any]) -> Row[Any]:
    """The acting tenant's stream, made where it is missing, locked."""
    await uow.execute(upsert(event_stream).values(**row).on_conflict_do_nothing(index_elements=["tenant"]))
    found = await uow.first(select(event_stream).where(*_own(event_stream, uow)).with_for_update())
    assert found is not None
    return found


async def note_listening(uow: UnitOfWork) -> None:
    """Whether anything listens to the acting tenant's stream, as its addresses say now."""
    c = webhook_endpoint.c
    listens = select(1).where(*_own(webhook_endpoint, uow), c.state == "active").exists()
    await uow.execute(update(event_stream).where(*_own(event_stream, uow)).values(is_listened=listens))


async def add_endpoint(uow: UnitOfWork, row: Mapping[str, Any]) -> uuid.UUID:
    endpoint_id, scope = new_id(), uow.scope
    await uow.insert(
        webhook_endpoint,
        [
            {
                "endpoint_id": endpoint_id,
                "registered_by": uuid.UUID(scope.account_id),
                "registered_by_person": uuid.UUID(scope.person_id),
                **row,
            }
        ],
    )
    return endpoint_id


async def endpoints(uow: UnitOfWork) -> Sequence[Row[Any]]:
    """The acting tenant's addresses, in order of registration."""
    return await uow.rows(
        select(webhook_endpoint).where(*_own(webhook_endpoint, uow)).order_by(webhook_endpoint.c.endpoint_id)
    )


async def endpoint(uow: UnitOfWork, endpoint_id: uuid.UUID, *, lock: bool = False) -> Row[Any] | None:
    query = select(webhook_endpoint).where(*_own(webhook_endpoint, uow), webhook_endpoint.c.endpoint_id == endpoint_id)
    return await uow.first(query.with_for_update() if lock else query)


async def disable_endpoint(uow: UnitOfWork, endpoint_id: uuid.UUID) -> bool:
    c = webhook_endpoint.c
    touched = await uow.execute(
        update(webhook_endpoint)
        .where(*_own(webhook_endpoint, uow), c.endpoint_id == endpoint_id, c.state == "active")
        .values(state="disabled", disabled_at=func.now(), disabled_by_person=uuid.UUID(uow.scope.person_id))
    )
    return touched == 1


async def add_secret(uow: UnitOfWork, row: Mapping[str, Any]) -> None:
    await uow.insert(webhook_secret, [row])


async def secrets_of(uow: UnitOfWork, endpoint_id: uuid.UUID) -> Sequence[Row[Any]]:
    """The secrets of an address that still hold, the newest first."""
    c = webhook_secret.c
    return await uow.rows(
        select(webhook_secret)
        .where(
            within(webhook_secret, uow.scope),
            c.endpoint_id == endpoint_id,
            c.valid_until.is_(None) | (c.valid_until > func.clock_timestamp()),
        )
        .order_by(c.secret_no.desc())
    )


async def end_secrets(uow: UnitOfWork, endpoint_id: uuid.UUID, until: datetime) -> int:
    """Let the secrets of an address end at a time, unless they end before; the highest number given so far."""
    c = webhook_secret.c
    own = (*_own(webhook_secret, uow), c.endpoint_id == endpoint_id)
    await uow.execute(
        update(webhook_secret).where(*own).values(valid_until=func.least(func.coalesce(c.valid_until, until), until))
    )
    return int(await uow.scalar(select(func.coalesce(func.max(c.secret_no), 0)).where(*own)))


# Deliveries


async def add_deliveries(uow: UnitOfWork, rows: Sequence[Mapping[str, Any]]) -> None:
    """Put events on their way to an address; one that is on its way already stays as it is."""
    for row in rows:
        await uow.execute(
            upsert(webhook_delivery)
            .values(delivery_id=new_id(), **row)
            .on_conflict_do_nothing(index_elements=["endpoint_id", "event_id"])
        )


async def deliveries(
    uow: UnitOfWork, after: uuid.UUID | None, limit: int, *, endpoint_id: uuid.UUID | None = None, state: str = ""
) -> Sequence[Row[Any]]:
    """The acting tenant's deliveries, the newest first, with the addresses they go to."""
    c = webhook_delivery.c
    query = (
        select(webhook_delivery, webhook_endpoint.c.url)
        .join(webhook_endpoint, webhook_endpoint.c.endpoint_id == c.endpoint_id)
        .where(*_own(webhook_delivery, uow))
    )
    if after is not None:
        query = query.where(c.delivery_id < after)
    if endpoint_id is not None:
        query = query.where(c.endpoint_id == endpoint_id)
    if state:
        query = query.where(c.state == state)
    return await uow.rows(query.order_by(c.delivery_id.desc()).limit(limit))


async def attempts_of(uow: UnitOfWork, delivery_ids: Sequence[uuid.UUID]) -> Sequence[Row[Any]]:
    """The acting tenant's attempts at some deliveries, in their order."""
    c = webhook_attempt.c
    return await uow.rows(
        select(webhook_attempt)
        .where(*_own(webhook_attempt, uow), c.delivery_id.in_(delivery_ids))
        .order_by(c.delivery_id, c.attempt_no)
    )


async def drop_deliveries(uow: UnitOfWork, endpoint_id: uuid.UUID) -> int:
    """Take what is on its way to an address off the way."""
    c = webhook_delivery.c
    return await uow.execute(
        update(webhook_delivery)
        .where(within(webhook_delivery, uow.scope), c.endpoint_id == endpoint_id, c.state == "due")
        .values(state="dropped", next_at=None, ended_at=func.now())
    )


# The worker's half


async def take_endpoints(uow: UnitOfWork, tenant: str, job_id: uuid.UUID, lease_s: int) -> Sequence[Row[Any]]:
    """The active addresses of a tenant that nobody sends to at this moment, taken by a job."""
    c = webhook_endpoint.c
    free = c.busy_until.is_(None) | (c.busy_until < func.clock_timestamp()) | (c.busy_job == job_id)
    return await uow.rows(
        update(webhook_endpoint)
        .where(c.area_id == uow.scope.area, c.tenant == tenant, c.state == "active", free)
        .values(busy_job=job_id, busy_until=text(f"clock_timestamp() + interval '{int(lease_s)} seconds'"))
        .returning(webhook_endpoint)
    )


async def stream_events(uow: UnitOfWork, tenant: str, seq: int, limit: int) -> Sequence[Row[Any]]:
    """Events of a tenant's stream beyond a number."""
    c = tenant_event.c
    return await uow.rows(
        select(tenant_event)
        .where(c.area_id == uow.scope.area, c.tenant == tenant, c.seq > seq)
        .order_by(c.seq)
        .limit(limit)
    )


async def note_taken(uow: UnitOfWork, endpoint_id: uuid.UUID, seq: int) -> None:
    c = webhook_endpoint.c
    await uow.execute(
        update(webhook_endpoint)
        .where(c.area_id == uow.scope.area, c.endpoint_id == endpoint_id)
        .values(taken_seq=func.greatest(c.taken_seq, seq))
    )


async def due_deliveries(uow: UnitOfWork, endpoint_id: uuid.UUID, limit: int) -> Sequence[Row[Any]]:
    """Deliveries of an address whose time has come, the oldest first."""
    c = webhook_delivery.c
    return await uow.rows(
        select(webhook_delivery)
        .where(
            c.area_id == uow.scope.area,
            c.endpoint_id == endpoint_id,
            c.state == "due",
            c.next_at <= func.clock_timestamp(),
        )
        .order_by(c.next_at, c.delivery_id)
        .limit(limit)
    )


async def note_attempt(uow: UnitOfWork, delivery: Row[Any], attempt: Mapping[str, Any], **values: Any) -> None:
    """Write an attempt down and how the delivery stands after it; one whose address was disabled meanwhile stays dropped."""
    c = webhook_delivery.c
    await uow.execute(
        update(webhook_delivery)
        .where(c.area_id == uow.scope.area, c.delivery_id == delivery.delivery_id, c.state == "due")
        .values(attempts=delivery.attempts + 1, first_at=func.coalesce(c.first_at, func.now()), **values)
    )
    place = {name: getattr(delivery, name) for name in ("area_id", "county_id", "hospital_id", "tenant")}
    await uow.execute(
        upsert(webhook_attempt)
        .values(**place, delivery_id=delivery.delivery_id, attempt_no=delivery.attempts + 1, **attempt)
        .on_conflict_do_nothing()
    )


async def let_go(uow: UnitOfWork, endpoint_id: uuid.UUID, job_id: uuid.UUID, rest_s: int = 0) -> None:
    """Leave an address to others, at once or after a rest."""
    c = webhook_endpoint.c
    free_at = text(f"clock_timestamp() + interval '{int(rest_s)} seconds'") if rest_s else None
    await uow.execute(
        update(webhook_endpoint)
        .where(c.area_id == uow.scope.area, c.endpoint_id == endpoint_id, c.busy_job == job_id)
        .values(busy_job=None, busy_until=free_at)
    )


async def next_due(uow: UnitOfWork, tenant: str) -> datetime | None:
    """When one of a tenant's addresses has something to be sent and is free to be sent to, or none while nothing waits."""
    d, e, s = webhook_delivery.c, webhook_endpoint.c, event_stream.c
    first = select(func.min(d.next_at)).where(d.endpoint_id == e.endpoint_id, d.state == "due").scalar_subquery()
    behind = case((e.taken_seq < s.last_seq, func.now()))
    work = (
        select(func.least(first, behind).label("work_at"), e.busy_until)
        .select_from(webhook_endpoint.join(event_stream, s.tenant == e.tenant))
        .where(e.area_id == uow.scope.area, e.tenant == tenant, e.state == "active")
        .subquery()
    )
    return await uow.scalar(  # type: ignore[no-any-return]
        select(func.min(func.greatest(work.c.work_at, work.c.busy_until))).where(work.c.work_at.is_not(None))
    )


async def stream_of(uow: UnitOfWork, tenant: str) -> Row[Any] | None:
    """A tenant's stream in the job's area."""
    c = event_stream.c
    return await uow.first(select(event_stream).where(c.area_id == uow.scope.area, c.tenant == tenant))
