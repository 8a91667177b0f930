"""Timers (定时作业): a job wanted at a time of its own, set in the transaction that wants it.

Whoever sweeps takes what is due and wants the jobs; a timer of a name that is set again is not set twice, it only moves earlier.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import delete, func, select
from sqlalchemy.dialects.postgresql import insert as upsert

from fenzhi.store.session import UnitOfWork, new_id
from fenzhi.store.tables.events import job_timer
from fenzhi.store.tables.jobs import job

TAKEN_MOST = 100


async def set_timer(uow: UnitOfWork, name: str, kind: str, payload: Mapping[str, Any], **row: Any) -> None:
    """Want a job at a time (设定定时作业): `row` names `due_at` and whose job it is: tenant, province_id, area_id, county_id, hospital_id."""
    wanted = upsert(job_timer).values(name=name, kind=kind, payload=dict(payload), **row)
    await uow.execute(
        wanted.on_conflict_do_update(
            index_elements=["name"], set_={"due_at": func.least(job_timer.c.due_at, wanted.excluded.due_at)}
        )
    )


async def wake(uow: UnitOfWork) -> int:
    """Turn timers that are due into jobs (到时登记作业), in the doorbell's scope; how many."""
    c = job_timer.c
    due = (
        select(c.name)
        .where(c.due_at <= func.clock_timestamp())
        .order_by(c.due_at, c.name)
        .limit(TAKEN_MOST)
        .with_for_update(skip_locked=True)
    )
    rows = await uow.rows(delete(job_timer).where(c.name.in_(due)).returning(job_timer))
    await uow.insert(
        job,
        [
            {
                "job_id": new_id(),
                "kind": row.kind,
                "tenant": row.tenant,
                "province_id": row.province_id,
                "area_id": row.area_id,
                "county_id": row.county_id,
                "hospital_id": row.hospital_id,
                "payload": row.payload,
            }
            for row in sorted(rows, key=lambda row: (row.due_at, row.name))
        ],
    )
    return len(rows)


def due_now() -> datetime:
    """A time that has come already by any clock (即刻): for a job that is wanted at once, by the next sweep."""
    return datetime.fromisoformat("2000-01-01T00:00:00+08:00")
