"""What a verification reads (核验读取): one area at a time, in the worker's scope, from one snapshot."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Row, text

from fenzhi.access.scope import DatabaseRole, Scope
from fenzhi.store.session import UnitOfWork
from fenzhi.store.tables import TableClass, metadata

OPERATOR = Scope(role=DatabaseRole.OPERATOR, tenant="operator")
ANY_JOB = Scope(role=DatabaseRole.WORKER, tenant="operator")
SHOWN = 20
"""Rows named of one kind of orphan; all are counted."""


async def areas(uow: UnitOfWork) -> Sequence[Row[Any]]:
    """Every pooling area."""
    return await uow.rows(text("select area_id, province_id, code from pooling_area order by area_id"))


async def hospitals(uow: UnitOfWork) -> Sequence[Row[Any]]:
    """Id and code of the hospitals of the area."""
    return await uow.rows(
        text("select hospital_id, code from hospital where area_id = :area"), {"area": uow.scope.area}
    )


async def settled_runs(uow: UnitOfWork) -> Sequence[Row[Any]]:
    """Every run of the area that was computed, in order of start."""
    return await uow.rows(
        text(
            """select * from clearing_run where area_id = :area and state in ('computed', 'issued', 'approved', 'published', 'voided')
               order by run_id"""
        ),
        {"area": uow.scope.area},
    )


async def statements(uow: UnitOfWork, run_id: Any) -> Sequence[Row[Any]]:
    """The statements of a run with the code of their hospital, in order of code."""
    return await uow.rows(
        text(
            """select s.*, h.code as hospital_code from hospital_statement s
               left join hospital h on h.area_id = s.area_id and h.hospital_id = s.hospital_id
               where s.area_id = :area and s.run_id = :run order by h.code"""
        ),
        {"area": uow.scope.area, "run": run_id},
    )


async def posted(uow: UnitOfWork, run_ids: Sequence[Any]) -> dict[tuple[int | None, str], int]:
    """Σ of the ledger over runs, by hospital (none for the pool) and account."""
    rows = await uow.rows(
        text(
            """select hospital_id, account, sum(amount_fen)::bigint as fen from ledger_entry
               where area_id = :area and run_id = any(:runs) group by hospital_id, account"""
        ),
        {"area": uow.scope.area, "runs": list(run_ids)},
    )
    return {(row.hospital_id, row.account): int(row.fen) for row in rows}


async def unbalanced_sources(uow: UnitOfWork) -> Sequence[Row[Any]]:
    """Whatever but a run wrote to the books and does not sum to zero: payments, advances, budgets, openings, debts."""
    return await uow.rows(
        text(
            """select source, source_id, sum(amount_fen)::bigint as fen from ledger_entry
               where area_id = :area and run_id is null group by 1, 2 having sum(amount_fen) <> 0 order by 1, 2"""
        ),
        {"area": uow.scope.area},
    )


async def run_case_totals(uow: UnitOfWork, run_id: Any) -> dict[tuple[int, bool], tuple[int, int]]:
    """(hospital, cleared or pending) → cases and points of a run as stored."""
    rows = await uow.rows(
        text(
            """select hospital_id, disposition = 'cleared' as is_cleared, count(*) as cases, sum(points)::bigint as points
               from run_case where area_id = :area and run_id = :run group by 1, 2"""
        ),
        {"area": uow.scope.area, "run": run_id},
    )
    return {(row.hospital_id, row.is_cleared): (int(row.cases), int(row.points)) for row in rows}


async def run_case_sums(uow: UnitOfWork, run_id: Any) -> Sequence[Row[Any]]:
    """Cases, points and money of a run as stored, by hospital, the cleared and the others apart."""
    return await uow.rows(
        text(
            """select hospital_id, disposition = 'cleared' as is_cleared, count(*) as cases, sum(points)::bigint as points,
                      sum(total_fen)::bigint as cost_fen, sum(basic_fund_fen)::bigint as booked_fen, sum(patient_fen)::bigint as patient_fen
               from run_case where area_id = :area and run_id = :run group by 1, 2"""
        ),
        {"area": uow.scope.area, "run": run_id},
    )


async def run_part_sums(uow: UnitOfWork, run_id: Any) -> Sequence[Row[Any]]:
    """Cases, points and money of the cleared cases of a run as stored, by scope of the point value and hospital."""
    return await uow.rows(
        text(
            """select part, hospital_id, count(*) as cases, sum(points)::bigint as points, sum(total_fen)::bigint as cost_fen,
                      sum(basic_fund_fen)::bigint as booked_fen, sum(patient_fen)::bigint as patient_fen
               from run_case where area_id = :area and run_id = :run and disposition = 'cleared' group by 1, 2"""
        ),
        {"area": uow.scope.area, "run": run_id},
    )


async def run_case_payers(uow: UnitOfWork, run_id: Any) -> Sequence[Row[Any]]:
    """Points and other payers of every cleared case of a run as stored."""
    return await uow.rows(
        text(
            """select part, hospital_id, points, patient_fen from run_case
               where area_id = :area and run_id = :run and disposition = 'cleared'"""
        ),
        {"area": uow.scope.area, "run": run_id},
    )


async def run_case_beside(uow: UnitOfWork, run_id: Any) -> Sequence[Row[Any]]:
    """What a run pays beside the points, and holds back of it, as stored with its cases, by hospital, mode and settlement month."""
    return await uow.rows(
        text(
            """select hospital_id, coalesce(mode, substr(disposition, 8)) as mode, settlement_month, count(*) as cases,
                      sum(beside_fen)::bigint as fen, sum(total_fen)::bigint as cost_fen, coalesce(sum(control_fen), 0)::bigint as held_fen
               from run_case where area_id = :area and run_id = :run and beside_fen is not null group by 1, 2, 3"""
        ),
        {"area": uow.scope.area, "run": run_id},
    )


async def run_case_points(uow: UnitOfWork, run_id: Any) -> Sequence[Row[Any]]:
    """How many cleared cases of a hospital have how many points, as stored."""
    return await uow.rows(
        text(
            """select hospital_id, points, count(*) as cases from run_case
               where area_id = :area and run_id = :run and disposition = 'cleared' group by 1, 2"""
        ),
        {"area": uow.scope.area, "run": run_id},
    )


async def runs_named(uow: UnitOfWork, run_ids: Sequence[str]) -> Sequence[Row[Any]]:
    """Runs of the area by id."""
    return await uow.rows(
        text("select * from clearing_run where area_id = :area and run_id = any(cast(:runs as uuid[]))"),
        {"area": uow.scope.area, "runs": list(run_ids)},
    )


async def hospitals_of_rows(uow: UnitOfWork, table: str, ids: Sequence[str]) -> dict[str, int]:
    """Row → hospital, of payments or audit deductions by id; what is gone is absent."""
    key = {"payment": "payment_id", "audit_deduction": "deduction_id"}[table]
    rows = await uow.rows(
        text(
            f"select {key} as id, hospital_id from {table} where area_id = :area and {key} = any(cast(:ids as uuid[]))"
        ),
        {"area": uow.scope.area, "ids": list(ids)},
    )
    return {str(row.id): row.hospital_id for row in rows}


async def point_value_of(uow: UnitOfWork, run_id: Any) -> Row[Any] | None:
    """The settlement point value that a quarter or year made."""
    return await uow.first(
        text("select * from point_value where area_id = :area and run_id = :run"),
        {"area": uow.scope.area, "run": run_id},
    )


def case_digests_sql(area_id: int, run_id: Any) -> str:
    """The digests of a run's cases as the store holds them now, for a bulk read."""
    return f"""select r.hospital_id, c.settlement_month, c.digest from run_case r
        join inpatient_case c on c.area_id = r.area_id and c.case_id = r.case_id
        where r.area_id = {int(area_id)} and r.run_id = '{run_id}'"""


def run_cases_sql(area_id: int, run_id: Any) -> str:
    """What a run's result digest covers of its cases, for a bulk read."""
    return f"""select case_id::text as case_id, disposition, group_code, band, points from run_case
        where area_id = {int(area_id)} and run_id = '{run_id}'"""


async def batches(uow: UnitOfWork) -> Sequence[Row[Any]]:
    """Every batch of the area that was sealed, with its parts as kept and its rows as they came out."""
    return await uow.rows(
        text(
            """select b.batch_id, b.area_id, b.hospital_id, b.purpose, b.state, b.parts, b.counts,
                      (select array_agg(p.part_no order by p.part_no) from batch_part p
                        where p.area_id = b.area_id and p.batch_id = b.batch_id) as kept,
                      (select count(*) from intake_row i where i.area_id = b.area_id and i.batch_id = b.batch_id) as rows,
                      (select count(*) from intake_row i
                        where i.area_id = b.area_id and i.batch_id = b.batch_id and i.outcome = 'accepted') as accepted
               from batch b where b.area_id = :area and b.state in ('sealed', 'judged', 'refused') order by b.batch_id"""
        ),
        {"area": uow.scope.area},
    )


async def part(uow: UnitOfWork, batch_id: Any, part_no: int) -> Row[Any] | None:
    """One kept part with its digest."""
    return await uow.first(
        text(
            """select sha256, bytes, key_id, sealed_bytes from batch_part
               where area_id = :area and batch_id = :batch and part_no = :part"""
        ),
        {"area": uow.scope.area, "batch": batch_id, "part": part_no},
    )


async def cases_of_part(uow: UnitOfWork, batch_id: Any, part_no: int) -> dict[int, Row[Any]]:
    """Row number → the case that an accepted row of a part became."""
    rows = await uow.rows(
        text(
            """select c.* from intake_row i join inpatient_case c on c.area_id = i.area_id and c.case_id = i.case_id
               where i.area_id = :area and i.batch_id = :batch and i.part_no = :part and i.outcome = 'accepted'"""
        ),
        {"area": uow.scope.area, "batch": batch_id, "part": part_no},
    )
    return {row.row_no: row for row in rows}


async def wrong_payers(uow: UnitOfWork) -> Sequence[Row[Any]]:
    """Cases whose payers do not add up, whatever a constraint should have refused; and how many cases there are."""
    return await uow.rows(
        text(
            """select count(*) as cases,
                      count(*) filter (where total_fen <> basic_fund_fen + other_funds_fen + account_fen + cash_fen) as wrong,
                      min(case_id::text) filter
                        (where total_fen <> basic_fund_fen + other_funds_fen + account_fen + cash_fen) as first
               from inpatient_case where area_id = :area"""
        ),
        {"area": uow.scope.area},
    )


ORPHANS: tuple[tuple[str, str, str], ...] = (
    (
        "accepted row without its case",
        "i.batch_id || ' row ' || i.row_no",
        """intake_row i where i.area_id = :area and i.outcome = 'accepted' and not exists (
             select from inpatient_case c where c.area_id = i.area_id and c.case_id = i.case_id)""",
    ),
    (
        "case without its row of a batch",
        "c.case_id::text",
        """inpatient_case c where c.area_id = :area and not exists (
             select from intake_row i where i.area_id = c.area_id and i.batch_id = c.batch_id and i.row_no = c.row_no
               and i.case_id = c.case_id and i.outcome = 'accepted')""",
    ),
    (
        "refused row without a reason",
        "i.batch_id || ' row ' || i.row_no",
        "intake_row i where i.area_id = :area and i.outcome = 'refused' and cardinality(i.refusal_codes) = 0",
    ),
    (
        "case without its key, or with another digest than its key's",
        "c.case_id::text",
        """inpatient_case c where c.area_id = :area and not exists (
             select from list_key k where k.area_id = c.area_id and k.hospital_id = c.hospital_id and k.setl_id = c.setl_id
               and k.version = c.version and k.case_id = c.case_id and k.digest = c.digest)""",
    ),
    (
        "key of a list without its case",
        "k.case_id::text",
        """list_key k where k.area_id = :area and not exists (
             select from inpatient_case c where c.area_id = k.area_id and c.case_id = k.case_id)""",
    ),
    (
        "case without its personal fields",
        "c.case_id::text",
        """inpatient_case c where c.area_id = :area and not exists (
             select from case_personal p where p.area_id = c.area_id and p.case_id = c.case_id)""",
    ),
    (
        "personal fields without their case",
        "p.case_id::text",
        """case_personal p where p.area_id = :area and not exists (
             select from inpatient_case c where c.area_id = p.area_id and c.case_id = p.case_id)""",
    ),
    (
        "supersession without one of its cases",
        "s.old_case_id::text",
        """case_supersession s where s.area_id = :area and (
             not exists (select from inpatient_case c where c.area_id = s.area_id and c.case_id = s.old_case_id)
             or not exists (select from inpatient_case c where c.area_id = s.area_id and c.case_id = s.new_case_id))""",
    ),
    (
        "case of a run that is no case",
        "r.case_id::text",
        """run_case r where r.area_id = :area and not exists (
             select from inpatient_case c where c.area_id = r.area_id and c.case_id = r.case_id)""",
    ),
    (
        "case of no run",
        "r.case_id::text",
        """run_case r where r.area_id = :area and not exists (
             select from clearing_run x where x.area_id = r.area_id and x.run_id = r.run_id)""",
    ),
    (
        "ledger entry of a run that was never computed",
        "e.entry_id::text",
        """ledger_entry e where e.area_id = :area and e.run_id is not null and not exists (
             select from clearing_run x where x.area_id = e.area_id and x.run_id = e.run_id
               and x.state in ('computed', 'issued', 'approved', 'published', 'voided'))""",
    ),
    (
        "ledger entry of no hospital",
        "e.entry_id::text",
        """ledger_entry e where e.area_id = :area and e.hospital_id is not null and not exists (
             select from hospital h where h.area_id = e.area_id and h.hospital_id = e.hospital_id)""",
    ),
    (
        "payment of a run that is not published",
        "p.payment_id::text",
        """payment p where p.area_id = :area and not exists (
             select from clearing_run x where x.area_id = p.area_id and x.run_id = p.run_id and x.state = 'published')""",
    ),
    (
        "settlement point value of no run",
        "v.point_value_id::text",
        """point_value v where v.area_id = :area and v.run_id is not null and not exists (
             select from clearing_run x where x.area_id = v.area_id and x.run_id = v.run_id)""",
    ),
    (
        "batch whose job is gone",
        "b.batch_id::text",
        """batch b where b.area_id = :area and b.job_id is not null and not exists (
             select from job j where j.job_id = b.job_id)""",
    ),
    (
        "run whose job is gone",
        "x.run_id::text",
        """clearing_run x where x.area_id = :area and x.job_id is not null and not exists (
             select from job j where j.job_id = x.job_id)""",
    ),
)
"""(what it is, its name, from where): rows of one area whose other half is missing; no foreign key could say so across partitions."""


async def orphans(uow: UnitOfWork, name: str, source: str) -> tuple[int, list[str]]:
    """How many rows of one kind of orphan there are, and the first of them by name."""
    place = {"area": uow.scope.area}
    count = int(await uow.scalar(text(f"select count(*) from {source}"), place))
    if not count:
        return 0, []
    rows = await uow.rows(text(f"select {name} as name from {source} order by 1 limit {SHOWN}"), place)
    return count, [row.name for row in rows]


async def strange_hospitals(uow: UnitOfWork) -> dict[str, list[int]]:
    """Table → hospital numbers in it that no hospital of the area has, over every hospital-class table the worker reads."""
    found: dict[str, list[int]] = {}
    for table in metadata.sorted_tables:
        if table.info.get("table_class") != TableClass.HOSPITAL.value or "hospital_id" not in table.columns:
            continue
        if table.name == "hospital" or not await uow.scalar(
            text("select has_table_privilege(current_user, :table, 'select')"), {"table": table.name}
        ):
            continue
        rows = await uow.rows(
            text(
                f"""select distinct t.hospital_id from {table.name} t where t.area_id = :area and t.hospital_id is not null
                    and not exists (select from hospital h where h.area_id = t.area_id and h.hospital_id = t.hospital_id)"""
            ),
            {"area": uow.scope.area},
        )
        found[table.name] = [row.hospital_id for row in rows]
    return found


async def job_faults(uow: UnitOfWork) -> tuple[int, Sequence[Row[Any]]]:
    """How many jobs there are, and those in a state that cannot be."""
    total = int(await uow.scalar(text("select count(*) from job")))
    rows = await uow.rows(
        text(
            """select * from (
                 select job_id, state, attempt, case
                   when state in ('done', 'refused', 'dead') and finished_at is null then 'ended without its time'
                   when state in ('queued', 'running') and finished_at is not null then 'ended and still open'
                   when state = 'running' and lease_until is null then 'running without a lease'
                   when state in ('done', 'refused', 'dead') and lease_until is not null then 'ended under a lease'
                   when attempt > max_attempts then 'more attempts than allowed'
                   when state in ('running', 'done') and attempt = 0 then 'carried out by nobody'
                   when state in ('refused', 'dead') and error_code is null then 'failed without a reason'
                 end as fault from job) j
               where fault is not null order by job_id"""
        )
    )
    return total, rows


async def jobs_without_effect(uow: UnitOfWork) -> Sequence[Row[Any]]:
    """Batches and runs of the area that say something else than their job."""
    return await uow.rows(
        text(
            """select 'batch ' || b.batch_id as name, b.state || ' but job ' || j.state as saw
                 from batch b join job j on j.job_id = b.job_id
                where b.area_id = :area and ((b.state = 'sealed') and j.state = 'done'
                   or b.state = 'judged' and j.state <> 'done')
               union all
               select 'run ' || x.run_id, x.state || ' but job ' || j.state
                 from clearing_run x join job j on j.job_id = x.job_id
                where x.area_id = :area and (x.state = 'computing' and j.state = 'done'
                   or x.state in ('computed', 'issued', 'approved', 'published') and j.state <> 'done')"""
        ),
        {"area": uow.scope.area},
    )
