"""Clearing in the store (清算): runs and their life, statements, the ledger, the cases of a run."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator, Collection, Iterator, Mapping, Sequence
from typing import Any

import pyarrow as pa
from sqlalchemy import Row, func, select, text, update
from sqlalchemy.dialects.postgresql import insert as upsert

from fenzhi.store.copy_rows import copy_parts
from fenzhi.store.repositories.fund import Pool
from fenzhi.store.repositories.scope_predicate import within
from fenzhi.store.session import UnitOfWork, new_id
from fenzhi.store.tables.clearing import clearing_run, hospital_statement, ledger_entry, run_case
from fenzhi.store.tables.fund import payment
from fenzhi.store.tables.jobs import job
from fenzhi.store.tables.registry import county, hospital, pooling_area
from fenzhi.store.tables.submission import inpatient_case

LIVE = ("computing", "computed", "issued", "approved", "published")
_LIVE_SQL = "state in ('computing', 'computed', 'issued', 'approved', 'published')"


def _of_pool(uow: UnitOfWork, pool: Pool) -> list[Any]:
    insurance, pool_scope, year = pool
    c = clearing_run.c
    return [c.area_id == uow.scope.area, c.insurance == insurance, c.pool_scope == pool_scope, c.year == year]


# Runs


async def add_run(uow: UnitOfWork, row: Mapping[str, Any]) -> bool:
    """A new run in state computing; false when the period has a live run already, which another start may have just made."""
    touched = await uow.execute(
        upsert(clearing_run)
        .values(state="computing", **row)
        .on_conflict_do_nothing(
            index_elements=["area_id", "kind", "insurance", "pool_scope", "year", "period"],
            index_where=text(_LIVE_SQL),
        )
    )
    return touched == 1


async def live_run(uow: UnitOfWork, pool: Pool, kind: str, period: int) -> Row[Any] | None:
    """The live run of a period, if there is one."""
    c = clearing_run.c
    return await uow.first(
        select(clearing_run).where(*_of_pool(uow, pool), c.kind == kind, c.period == period, c.state.in_(LIVE))
    )


async def runs_of_pool(uow: UnitOfWork, pool: Pool, states: Sequence[str]) -> Sequence[Row[Any]]:
    """The runs of a pool's year in the states given, in order of their start."""
    c = clearing_run.c
    return await uow.rows(select(clearing_run).where(*_of_pool(uow, pool), c.state.in_(states)).order_by(c.run_id))


async def release_dead(uow: UnitOfWork, pool: Pool) -> int:
    """Stop runs of a pool whose job will never come back: refused, or out of attempts."""
    ended = select(job.c.job_id).where(job.c.area_id == uow.scope.area, job.c.state.in_(("refused", "dead")))
    c = clearing_run.c
    return await uow.execute(
        update(clearing_run)
        .where(*_of_pool(uow, pool), c.state == "computing", c.job_id.in_(ended))
        .values(state="stopped")
    )


async def run_by_id(uow: UnitOfWork, run_id: uuid.UUID) -> Row[Any] | None:
    return await uow.first(
        select(clearing_run, pooling_area.c.code.label("area_code"))
        .join(pooling_area, pooling_area.c.area_id == clearing_run.c.area_id)
        .where(within(clearing_run, uow.scope), clearing_run.c.run_id == run_id)
    )


async def runs(
    uow: UnitOfWork,
    before: uuid.UUID | None,
    limit: int,
    *,
    year: int | None = None,
    kind: str | None = None,
    state: str | None = None,
    insurance: str | None = None,
) -> Sequence[Row[Any]]:
    """Runs of the scope, newest first, one page."""
    c = clearing_run.c
    query = (
        select(clearing_run, pooling_area.c.code.label("area_code"))
        .join(pooling_area, pooling_area.c.area_id == c.area_id)
        .where(within(clearing_run, uow.scope))
    )
    for column, wanted in ((c.year, year), (c.kind, kind), (c.state, state), (c.insurance, insurance)):
        if wanted is not None:
            query = query.where(column == wanted)
    if before is not None:
        query = query.where(c.run_id < before)
    return await uow.rows(query.order_by(c.run_id.desc()).limit(limit))


async def move_run(uow: UnitOfWork, run_id: uuid.UUID, from_states: Sequence[str], values: Mapping[str, Any]) -> bool:
    """Move a run on; false when it is in none of the states given."""
    touched = await uow.execute(
        update(clearing_run)
        .where(within(clearing_run, uow.scope), clearing_run.c.run_id == run_id, clearing_run.c.state.in_(from_states))
        .values(**values)
    )
    return touched == 1


async def stop_run(uow: UnitOfWork, run_id: uuid.UUID, job_id: uuid.UUID, attempt: int, error: str) -> bool:
    """Stop a computing run with its reason, under the fence of the job that computes it."""
    mine = select(job.c.job_id).where(job.c.job_id == job_id, job.c.state == "running", job.c.attempt == attempt)
    c = clearing_run.c
    touched = await uow.execute(
        update(clearing_run)
        .where(within(clearing_run, uow.scope), c.run_id == run_id, c.state == "computing", c.job_id.in_(mine))
        .values(state="stopped", error=error[:4000])
    )
    return touched == 1


# Statements and the ledger


async def statement(uow: UnitOfWork, run_id: uuid.UUID, hospital_id: int) -> Row[Any] | None:
    c = hospital_statement.c
    return await uow.first(
        _statements().where(within(hospital_statement, uow.scope), c.run_id == run_id, c.hospital_id == hospital_id)
    )


async def statements(uow: UnitOfWork, run_id: uuid.UUID, after: str, limit: int) -> Sequence[Row[Any]]:
    """Statements of a run the scope sees, in order of hospital code, one page."""
    return await uow.rows(
        _statements()
        .where(within(hospital_statement, uow.scope), hospital_statement.c.run_id == run_id, hospital.c.code > after)
        .order_by(hospital.c.code)
        .limit(limit)
    )


async def statements_of_runs(uow: UnitOfWork, run_ids: Sequence[uuid.UUID]) -> Sequence[Row[Any]]:
    """Every statement of the runs named."""
    if not run_ids:
        return []
    return await uow.rows(
        _statements().where(within(hospital_statement, uow.scope), hospital_statement.c.run_id.in_(run_ids))
    )


def _statements() -> Any:
    c = hospital_statement.c
    return (
        select(
            hospital_statement,
            hospital.c.code.label("hospital_code"),
            hospital.c.name.label("hospital_name"),
            clearing_run.c.kind.label("run_kind"),
            clearing_run.c.insurance,
            clearing_run.c.pool_scope,
            clearing_run.c.year,
            clearing_run.c.period,
            clearing_run.c.state.label("run_state"),
            clearing_run.c.summary.label("run_summary"),
        )
        .join(hospital, hospital.c.hospital_id == c.hospital_id)
        .join(clearing_run, clearing_run.c.run_id == c.run_id)
    )


async def county_totals(uow: UnitOfWork, run_id: uuid.UUID) -> Sequence[Row[Any]]:
    """The statements of a run by county, those of the city's own hospitals under a null county; with what was paid on the run."""
    c, p = hospital_statement.c, payment.c
    paid = (
        select(p.hospital_id, func.sum(p.amount_fen - p.returned_fen).label("fen"))
        .where(within(payment, uow.scope), p.run_id == run_id, p.part == "")
        .group_by(p.hospital_id)
        .subquery()
    )
    return await uow.rows(
        select(
            county.c.code.label("county_code"),
            func.count().label("hospitals"),
            *(func.sum(c[name]).label(name) for name in ("gross_fen", "deductions_fen", "payable_fen", "transfer_fen")),
            func.coalesce(func.sum(paid.c.fen), 0).label("paid_fen"),
        )
        .select_from(hospital_statement)
        .outerjoin(county, county.c.county_id == c.county_id)
        .outerjoin(paid, paid.c.hospital_id == c.hospital_id)
        .where(within(hospital_statement, uow.scope), c.run_id == run_id)
        .group_by(county.c.code)
        .order_by(county.c.code.asc().nulls_first())
    )


async def add_statements(uow: UnitOfWork, rows: Sequence[Mapping[str, Any]]) -> None:
    await uow.insert(hospital_statement, rows)


async def add_entries(
    uow: UnitOfWork, common: Mapping[str, Any], rows: Sequence[tuple[int | None, str, int, str]]
) -> None:
    """Post entries in one statement, so that the database sees their sum: it refuses one that is not 0.

    Shape: rows of (hospital or none for the pool, account, fen with debit positive, memo); `common` holds the pool and either the run
    or, with `source`, what else they come from.
    """
    if not rows:
        return
    await uow.execute(
        text(
            """
            insert into ledger_entry (entry_id, area_id, run_id, source, source_id, insurance, pool_scope, year, hospital_id, county_id,
                                      account, amount_fen, memo)
            select e.entry_id, :area_id, cast(:run_id as uuid), :source, cast(:source_id as uuid), :insurance, :pool_scope, :year,
                   e.hospital_id, h.county_id, e.account, e.amount_fen, e.memo
              from unnest(cast(:ids as uuid[]), cast(:hospitals as int[]), cast(:accounts as text[]),
                          cast(:amounts as bigint[]), cast(:memos as text[]))
                   as e (entry_id, hospital_id, account, amount_fen, memo)
              left join hospital h on h.area_id = :area_id and h.hospital_id = e.hospital_id
            """
        ),
        {
            "run_id": None,
            "source": "run",
            "source_id": None,
            **common,
            "ids": [new_id() for _ in rows],
            "hospitals": [row[0] for row in rows],
            "accounts": [row[1] for row in rows],
            "amounts": [row[2] for row in rows],
            "memos": [row[3] for row in rows],
        },
    )


async def balances(uow: UnitOfWork, run_ids: Sequence[uuid.UUID]) -> Sequence[Row[Any]]:
    """Σ of the ledger over runs, by account and hospital."""
    if not run_ids:
        return []
    c = ledger_entry.c
    return await uow.rows(
        select(c.account, c.hospital_id, func.sum(c.amount_fen).label("amount_fen"))
        .where(c.area_id == uow.scope.area, c.run_id.in_(run_ids))
        .group_by(c.account, c.hospital_id)
    )


async def books(
    uow: UnitOfWork, pool: Pool, *, sources: Sequence[str] = (), published_only: bool = True
) -> Sequence[Row[Any]]:
    """Where the books of a pool's year stand (科目余额), by hospital and account: every source, of runs the published ones."""
    insurance, pool_scope, year = pool
    c = ledger_entry.c
    query = (
        select(c.account, c.hospital_id, func.sum(c.amount_fen).label("amount_fen"))
        .outerjoin(clearing_run, clearing_run.c.run_id == c.run_id)
        .where(within(ledger_entry, uow.scope), c.insurance == insurance, c.pool_scope == pool_scope, c.year == year)
        .group_by(c.account, c.hospital_id)
        .order_by(c.hospital_id.asc().nulls_first(), c.account)
    )
    if published_only:
        query = query.where((c.run_id.is_(None)) | (clearing_run.c.state == "published"))
    if sources:
        query = query.where(c.source.in_(sources))
    return await uow.rows(query)


async def entries(uow: UnitOfWork, run_id: uuid.UUID) -> Sequence[Row[Any]]:
    """The entries of a run, in order of posting."""
    c = ledger_entry.c
    return await uow.rows(
        select(ledger_entry).where(within(ledger_entry, uow.scope), c.run_id == run_id).order_by(c.entry_id)
    )


# Cases of a run


async def write_cases(uow: UnitOfWork, run_id: uuid.UUID, cases: pa.Table) -> None:
    """The cases of a run into its own table, attached to the area's, all inside the transaction at hand.

    Shape: the columns of run_case by name without area and run, ids as text. The worker's grant on the table ends with the attach.
    """
    place = {"area": uow.scope.area, "run": run_id}
    name = await uow.scalar(text("select fenzhi_open_run_table(:area, cast(:run as uuid))"), place)
    raw = await uow.connection.get_raw_connection()
    driver: Any = raw.driver_connection
    same: dict[str, int | uuid.UUID] = {"area_id": uow.scope.area, "run_id": run_id}
    # A column without any value is left to be missing.
    told = [one for one in cases.column_names if one not in same and cases[one].null_count < max(1, cases.num_rows)]
    columns, parts = copy_parts(cases.select(told), ("case_id",), same)
    # Rows of a table made in this very transaction need not be frozen later.
    await driver.copy_to_table(name, source=_in_turn(parts), columns=columns, format="binary", freeze=True)
    # Several processes on one small table cost more than they save: rows stand in the order of the first index already.
    await uow.scalar(text("select set_config('max_parallel_maintenance_workers', '0', true)"))
    await uow.scalar(text("select fenzhi_attach_run_table(:area, cast(:run as uuid))"), place)


async def _in_turn(parts: Iterator[bytes]) -> AsyncIterator[bytes]:
    """The parts one by one; between them whatever else waits in this process gets its turn."""
    for part in parts:
        yield part
        await asyncio.sleep(0)


async def case_totals(uow: UnitOfWork, run_id: uuid.UUID) -> Sequence[Row[Any]]:
    """Cases and points of a run as stored, per hospital, cleared and pending apart."""
    c = run_case.c
    is_cleared = (c.disposition == "cleared").label("is_cleared")
    return await uow.rows(
        select(c.hospital_id, is_cleared, func.count().label("cases"), func.sum(c.points).label("points"))
        .where(within(run_case, uow.scope), c.run_id == run_id)
        .group_by(c.hospital_id, is_cleared)
    )


async def cases_of_hospital(uow: UnitOfWork, run_id: uuid.UUID, hospital_id: int) -> Sequence[Row[Any]]:
    """Id, points and other payers of the cleared cases of one hospital, in order of id: what its gross is apportioned by."""
    c = run_case.c
    return await uow.rows(
        select(c.case_id, c.points, c.patient_fen)
        .where(
            within(run_case, uow.scope), c.run_id == run_id, c.hospital_id == hospital_id, c.disposition == "cleared"
        )
        .order_by(c.case_id)
    )


async def insured_areas(uow: UnitOfWork, run_id: uuid.UUID, hospital_id: int) -> Sequence[Row[Any]]:
    """Where the patients of the cleared cases of one hospital are insured (参保地)."""
    c, d = run_case.c, inpatient_case.c
    return await uow.rows(
        select(c.case_id, d.insured_area)
        .join(inpatient_case, (d.area_id == c.area_id) & (d.case_id == c.case_id))
        .where(
            within(run_case, uow.scope), c.run_id == run_id, c.hospital_id == hospital_id, c.disposition == "cleared"
        )
    )


async def case_rows(
    uow: UnitOfWork, run_id: uuid.UUID, hospital_id: int, after: uuid.UUID | None, limit: int
) -> Sequence[Row[Any]]:
    """The cases of one hospital in a run, cleared and pending, in order of id, one page."""
    c = run_case.c
    query = select(run_case).where(within(run_case, uow.scope), c.run_id == run_id, c.hospital_id == hospital_id)
    if after is not None:
        query = query.where(c.case_id > after)
    return await uow.rows(query.order_by(c.case_id).limit(limit))


_NO_GROUP = "like any (array['pending:ungrouped%', 'pending:no_edition%'])"


async def known_sums(
    uow: UnitOfWork,
    run_id: uuid.UUID,
    parts: Sequence[uuid.UUID],
    part_of_month: Mapping[int, uuid.UUID],
    rest: uuid.UUID,
    unreviewed: Mapping[str, tuple[str, int]],
    reviewed_then: Collection[str],
) -> Sequence[Row[Any]]:
    """The cleared cases of a run by hospital and by the earlier run they stood in, at each degree of knowing (归因病例合计).

    A case the earlier run did not have counts from `lists` on with its values of now, under the run of its month, `rest` where none
    settled it. `grouped`: at the score of its group now and the multiplier it had then, points ÷ score, half up. `valued`: as it is.
    `unreviewed`: disposition and points without the review, of the cases a review decides now. `reviewed_then`: cases a review decided
    in their earlier run; these stand as they did. So no degree knows what reviews changed since.
    """
    own = sorted(unreviewed)
    return await uow.rows(
        text(
            f"""
            with place as (select * from unnest(cast(:months as int[]), cast(:places as uuid[])) as p (month, part)),
            plain as (select * from unnest(cast(:own as uuid[]), cast(:own_dispositions as text[]), cast(:own_points as bigint[]))
                       as s (case_id, disposition, points)),
            old as (select case_id, run_id, disposition, points, group_score from run_case
                     where area_id = :area and run_id = any (cast(:parts as uuid[]))),
            new as (select n.hospital_id, n.case_id, n.settlement_month, n.group_score, n.total_fen, n.basic_fund_fen, n.patient_fen,
                           coalesce(s.disposition, n.disposition) as disposition, coalesce(s.points, n.points) as points
                      from run_case n left join plain s on s.case_id = n.case_id
                     where n.area_id = :area and n.run_id = :run),
            both_ as (
              select n.hospital_id, coalesce(o.run_id, p.part, cast(:rest as uuid)) as part,
                     o.case_id is not null as had, o.disposition = 'cleared' as was, n.disposition = 'cleared' as is_now,
                     o.case_id is not null and o.case_id = any (cast(:reviewed as uuid[])) as stands,
                     o.disposition {_NO_GROUP} as had_no_group, n.disposition {_NO_GROUP} as has_no_group,
                     o.points as old_points, o.group_score as old_score, n.points, n.group_score,
                     n.total_fen, n.basic_fund_fen, n.patient_fen
                from new n
                left join old o on o.case_id = n.case_id
                left join place p on p.month = n.settlement_month),
            seen as (
              select b.*,
                     case when had then was else is_now end as in_lists,
                     case when had then old_points else points end as lists_pts,
                     case when stands then was
                          when not had or was and is_now then is_now when was then not has_no_group else is_now and had_no_group end
                       as in_grouped,
                     case when stands then old_points
                          when had and was and is_now and old_score > 0 and group_score is not null
                            then (2 * cast(group_score as numeric) * old_points + old_score) / (2 * old_score)
                          when had and was and not is_now then old_points else points end as grouped_pts,
                     case when stands then was else is_now end as in_valued,
                     case when stands then old_points else points end as valued_pts
                from both_ b)
            select hospital_id, part,
                   {
                ", ".join(
                    f"count(*) filter (where {flag}) as {name}_cases, sum(trunc({points})) filter (where {flag}) as {name}_points, "
                    f"sum(total_fen) filter (where {flag}) as {name}_cost, sum(basic_fund_fen) filter (where {flag}) as {name}_booked, "
                    f"sum(patient_fen) filter (where {flag}) as {name}_patient"
                    for name, flag, points in (
                        ("lists", "in_lists", "lists_pts"),
                        ("grouped", "in_grouped", "grouped_pts"),
                        ("valued", "in_valued", "valued_pts"),
                    )
                )
            }
              from seen group by hospital_id, part
            """
        ),
        {
            "area": uow.scope.area,
            "run": run_id,
            "parts": list(parts),
            "months": list(part_of_month),
            "places": list(part_of_month.values()),
            "rest": rest,
            "own": own,
            "own_dispositions": [unreviewed[case][0] for case in own],
            "own_points": [unreviewed[case][1] for case in own],
            "reviewed": sorted(reviewed_then),
        },
    )


async def group_stay(uow: UnitOfWork, pool: Pool, group_code: str) -> tuple[int, int]:
    """Days and cases of a group in the pool's latest published run (病种住院日): the mean is their quotient, and 0, 0 is none."""
    published = await runs_of_pool(uow, pool, ("published",))
    if not published:
        return 0, 0
    c = run_case.c
    row = await uow.first(
        select(func.coalesce(func.sum(c.los_days), 0).label("days"), func.count().label("cases")).where(
            c.area_id == uow.scope.area,
            c.run_id == published[-1].run_id,
            c.group_code == group_code,
            c.disposition == "cleared",
        )
    )
    return (int(row.days), int(row.cases)) if row is not None else (0, 0)
