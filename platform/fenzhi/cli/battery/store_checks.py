"""What must hold in the store after every fault (故障后核对), asked of the database itself, past every wall."""

from __future__ import annotations

import asyncio
import base64
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import asyncpg

from fenzhi.cli.battery.history import Asked, History
from fenzhi.cli.battery.small_world import Sent
from fenzhi.cli.battery.tally import Tally

STARTED_AGAIN_S = 30.0
"""A supervisor has a server that ended running again within this (重新启动时限)."""
_BATCHES = """
select b.batch_id, b.label, b.state, b.parts,
  (select count(*) from job j where j.payload ->> 'batch' = b.batch_id::text) as jobs,
  (select count(*) from intake_row r where r.batch_id = b.batch_id) as rows,
  (select count(*) from inpatient_case c where c.batch_id = b.batch_id) as cases,
  (select count(distinct c.setl_id) from inpatient_case c where c.batch_id = b.batch_id) as lists,
  (select count(*) from case_personal p join inpatient_case c using (area_id, case_id) where c.batch_id = b.batch_id) as personal,
  (select count(*) from list_key k join inpatient_case c using (area_id, case_id) where c.batch_id = b.batch_id) as keys
from batch b where b.recorded_at >= $1
"""
_HELD_TWICE = """
select count(*) from (
  select 1 from inpatient_case group by area_id, hospital_id, setl_id, version having count(*) > 1
) doubled
"""
_LEDGER = """
select count(*) from (
  select 1 from ledger_entry group by run_id having sum(amount_fen) <> 0
) unbalanced
"""
_RUNS_HALF = """
select count(*) from clearing_run r where r.state = 'computing'
  and (exists (select from run_case c where c.run_id = r.run_id)
    or exists (select from hospital_statement s where s.run_id = r.run_id)
    or exists (select from ledger_entry e where e.run_id = r.run_id))
"""
_HOSPITALS = (
    """
select count(*) as statements,
  count(*) filter (where gross_fen <> payable_fen + deposit_withheld_fen + deductions_fen + assessment_withheld_fen
    + band_withheld_fen - bonus_fen + not_prepaid_fen + cash_cut_fen) as second_identity,
  count(*) filter (where transfer_fen <> payable_fen - prior_paid_fen - offset_fen) as transfers,
  count(*) filter (where cases <> cleared) as cases_off,
  count(*) filter (where points <> summed_points) as points_off,
  count(*) filter (where cost_fen <> summed_cost) as cost_off,
  count(*) filter (where pending_cases <> pending) as pending_off,
  count(*) filter (where -payable_posted <> payable_fen - case when run_kind = 'month' then 0 else offset_fen end
    + deposit_released_fen - advance_fen) as payable_off,
  count(*) filter (where -deposit_posted <> deposit_withheld_fen - deposit_released_fen - deposit_forfeited_fen) as deposit_off,
  count(*) filter (where -(deductions_posted + assessment_posted + bands_posted + bonuses_posted)
    <> deductions_fen + assessment_withheld_fen + band_withheld_fen - bonus_fen) as withheld_off,
  count(*) filter (where run_kind = 'year' and final_fen <> payable_fen + deposit_released_fen - prior_paid_fen - offset_fen - advance_fen)
    as final_off,
  coalesce(sum(gross_fen), 0)::bigint as gross
from hospital_statement s,
  lateral (select kind as run_kind from clearing_run r where r.run_id = s.run_id) run,
  lateral (select count(*) filter (where disposition = 'cleared') as cleared,
      count(*) filter (where disposition <> 'cleared') as pending,
      coalesce(sum(points) filter (where disposition = 'cleared'), 0)::bigint as summed_points,
      coalesce(sum(total_fen) filter (where disposition = 'cleared'), 0)::bigint as summed_cost
    from run_case c where c.area_id = s.area_id and c.run_id = s.run_id and c.hospital_id = s.hospital_id) shares,
  lateral (select """
    + ", ".join(
        f"coalesce(sum(amount_fen) filter (where account = '{name}'), 0)::bigint as {name}_posted"
        for name in ("payable", "deposit", "deductions", "assessment", "bands", "bonuses")
    )
    + """ from ledger_entry e where e.run_id = s.run_id and e.hospital_id = s.hospital_id) ledger
where s.run_id = $1
"""
)
# A list whose judging ended before the run was started must be in it; one judged meanwhile may be in it or in the next.
_MEMBERSHIP = """
with due as (
  select c.case_id, not exists (select from job j where j.payload ->> 'batch' = c.batch_id::text
      and (j.finished_at is null or j.finished_at > r.recorded_at)) as was_there
    from inpatient_case c join clearing_run r on r.run_id = $1
  where c.area_id = r.area_id and c.insurance = r.insurance and c.pool_scope = r.pool_scope
    and c.settlement_month between r.year * 100 + case when r.kind = 'month' then r.period else 1 end
      and r.year * 100 + case r.kind when 'month' then r.period when 'quarter' then 3 * r.period else 12 end
    and c.submitted_at <= r.as_known_at
    and not exists (select from case_supersession s
      where s.area_id = c.area_id and s.old_case_id = c.case_id and s.recorded_at <= r.as_known_at)
), held as (
  select case_id, count(*) as times, bool_and(disposition = 'cleared' or disposition like 'pending:_%') as named
  from run_case where run_id = $1 group by case_id
)
select (select count(*) from due where was_there) as due,
  (select count(*) from due left join held using (case_id) where held.times > 1 or (was_there and held.times is null)) as missing,
  (select count(*) from held left join due using (case_id) where due.case_id is null) as strangers,
  (select count(*) from held where not named) as unnamed
"""
_STUCK = """
-- A transaction of the API may be idle for 20 s before the server ends it, one of a worker, which computes meanwhile, for 120.
select
  (select count(*) from job where state = 'running' and lease_until < clock_timestamp() - make_interval(secs => $1)) as leases,
  (select count(*) from pg_stat_activity where state like 'idle in transaction%'
    and clock_timestamp() - state_change >
      case application_name when 'fenzhi-worker' then interval '125 seconds' else interval '25 seconds' end
    and datname = current_database()) as idle_in_transaction,
  (select count(*) from pg_prepared_xacts) as prepared,
  (select count(*) from pg_class c left join pg_inherits i on i.inhrelid = c.oid
    where c.relkind = 'r' and c.relname like 'run_case\\_p\\_%\\_%' and i.inhrelid is null) as loose_tables
"""


@dataclass
class Findings:
    """What the checks need to know from one check to the next (核对依据)."""

    dsn: str
    since: Any
    """When the faults began, by the database's clock."""
    lease_s: int
    lost: set[Any] = field(default_factory=set)
    """Jobs that ended badly and were told of."""
    ended: set[str] = field(default_factory=set)
    """Labels of batches that were judged and checked."""


async def begin(dsn: str, lease_s: int) -> Findings:
    """Where the checks start from."""
    connection = await connected(dsn)
    try:
        since = await connection.fetchval("select clock_timestamp()")
        rows = await connection.fetch("select job_id from job where state in ('dead', 'refused')")
        return Findings(dsn, since, lease_s, {row["job_id"] for row in rows})
    finally:
        await connection.close()


async def _row(connection: asyncpg.Connection, query: str, *values: Any) -> asyncpg.Record:
    """The one row of a query that always has one."""
    found = await connection.fetchrow(query, *values)
    assert found is not None
    return found


async def connected(dsn: str) -> asyncpg.Connection:
    """A connection of the superuser's; waits for a server that ended by the fault that was tried and is being started again."""
    until = time.monotonic() + STARTED_AGAIN_S
    while True:
        try:
            return await asyncpg.connect(dsn, timeout=20, server_settings={"application_name": "fenzhi-battery"})
        except (ConnectionError, asyncpg.CannotConnectNowError):
            if time.monotonic() > until:
                raise
            await asyncio.sleep(0.2)


async def check_store(
    tally: Tally, findings: Findings, history: History, batches: Sequence[Sent], context: str
) -> None:
    """Everything but the runs: requests, batches, cases, jobs, ledger as a whole (总核对)."""
    connection = await connected(findings.dsn)
    try:
        await _requests(tally, connection, findings, history, context)
        await _batches(tally, connection, findings, history, batches, context)
        tally.saw("no list stored twice", await connection.fetchval(_HELD_TWICE) == 0, context)
        tally.saw("every run's ledger sums to 0", await connection.fetchval(_LEDGER) == 0, context)
        tally.saw("no run half recorded", await connection.fetchval(_RUNS_HALF) == 0, context)
        stuck = await _row(connection, _STUCK, 2 * findings.lease_s)
        tally.saw("no lease older than two", stuck["leases"] == 0, f"{context}: {dict(stuck)}")
        lost = await connection.fetch(
            "select job_id, kind, state, attempt, error_code, error_en from job where state in ('dead', 'refused')"
        )
        new = [dict(row) for row in lost if row["job_id"] not in findings.lost]
        findings.lost |= {row["job_id"] for row in new}
        tally.saw("no job lost", not new, f"{context}: {new[:3]}")
        rest = {
            "idle in transaction": stuck["idle_in_transaction"],
            "prepared": stuck["prepared"],
            "loose run tables": stuck["loose_tables"],
        }
        tally.saw("nothing stuck or left over", not any(rest.values()), f"{context}: {rest}")
    finally:
        await connection.close()


async def _requests(
    tally: Tally, connection: asyncpg.Connection, findings: Findings, history: History, context: str
) -> None:
    asked = {request.key: request for request in history.asked if request.operation != "part"}
    rows = await connection.fetch("select tenant, key from idempotency_key where recorded_at >= $1", findings.since)
    stored = [(row["tenant"], row["key"]) for row in rows]
    strangers = [key for tenant, key in stored if key not in asked or asked[key].tenant != tenant]
    tally.saw("stored only under a known key", not strangers, f"{context}: {strangers[:3]}")
    missing = [key for key, request in asked.items() if request.is_acknowledged and (request.tenant, key) not in stored]
    twice = len(stored) - len(set(stored))
    tally.saw("acknowledged is stored exactly once", not missing and not twice, f"{context}: {missing[:3]} {twice}")
    notes = await connection.fetch(
        "select action, object_id, count(*) as n from audit_event where recorded_at >= $1 group by 1, 2", findings.since
    )
    repeated = [dict(row) for row in notes if row["n"] > 1 and row["action"] in _ONCE]
    tally.saw("one audit row for each effect", not repeated, f"{context}: {repeated[:3]}")


_ONCE = frozenset({"batchCreate", "batchSeal", "clearingRunStart", "clearingRunVoid", "catalogEditionPublish"})


async def _batches(
    tally: Tally,
    connection: asyncpg.Connection,
    findings: Findings,
    history: History,
    batches: Sequence[Sent],
    context: str,
) -> None:
    rows = await connection.fetch(_BATCHES, findings.since)
    by_label: dict[str, list[Any]] = {}
    for row in rows:
        by_label.setdefault(row["label"], []).append(row)
    known = {sent.label for sent in batches}
    tally.saw("no batch of nobody's", set(by_label) <= known, f"{context}: {sorted(set(by_label) - known)[:3]}")
    for sent in batches:
        # A batch that was judged and checked once never changes again, but it must still be there.
        found = by_label.get(sent.label, [])
        if sent.label in findings.ended:
            continue
        once = len(found) == 1 and _key(sent.batch) == str(found[0]["batch_id"]) if sent.batch else len(found) <= 1
        tally.saw("a batch is stored once", once, f"{context}: {sent.label} {len(found)} times")
        if not once or not found:
            continue
        row = found[0]
        parts = await connection.fetch(
            "select part_no, sha256, hospital_id from batch_part where batch_id = $1", row["batch_id"]
        )
        kept = {part["part_no"]: part["sha256"].hex() for part in parts}
        asked = {request.order["part"]: request.order["sha256"].hex() for request in _parts_of(history, sent)}
        holds = all(kept.get(number) == digest for number, digest in sent.kept.items())
        tally.saw("acknowledged parts are kept", holds, f"{context}: {sent.label}")
        tally.saw(
            "no part but those sent", all(asked.get(n) == d for n, d in kept.items()), f"{context}: {sent.label} {kept}"
        )
        counts = {name: row[name] for name in ("rows", "cases", "lists", "personal", "keys")}
        if sent.is_sealed or row["state"] == "judged":
            whole = row["state"] == "judged" and row["jobs"] == 1 and set(counts.values()) == {len(sent.lists)}
            tally.saw("a sealed batch is judged once, whole", whole, f"{context}: {sent.label} {dict(row)}")
            if whole:
                findings.ended.add(sent.label)
        elif row["state"] == "open":
            tally.saw("an open batch counts for nothing", not any(counts.values()) and row["jobs"] == 0, context)


def _parts_of(history: History, sent: Sent) -> list[Asked]:
    return [r for r in history.asked if r.operation == "part" and sent.batch and f"/{sent.batch}/" in r.key]


async def check_run(tally: Tally, findings: Findings, run: dict[str, Any], undisturbed: str, context: str) -> None:
    """One computed run: its digest, its pool, its hospitals, its cases (单次结算核对)."""
    digest = (run.get("manifest") or {}).get("resultSha256")
    tally.saw("run computed", run["state"] == "COMPUTED", f"{context}: {run['state']} {run.get('error')}")
    if undisturbed:
        tally.saw("same digest as undisturbed", digest == undisturbed, f"{context}: {digest}")
    if run["state"] != "COMPUTED":
        return
    run_id = _key(run["id"])
    connection = await connected(findings.dsn)
    try:
        row = await _row(connection, _HOSPITALS, run_id)
        pool = await connection.fetchval("select pool_fen from clearing_run where run_id = $1", run_id)
        jobs = await connection.fetchval("select count(*) from job where payload ->> 'run' = $1", run_id)
        seen = await _row(connection, _MEMBERSHIP, run_id)
    finally:
        await connection.close()
    summary = {name: int(run["summary"][name]) for name in ("drawsFen", "grossFen", "returnsFen", "unexplainedFen")}
    explained = (
        row["gross"] == summary["grossFen"] and pool + summary["drawsFen"] == row["gross"] + summary["returnsFen"]
    )
    holds = summary["unexplainedFen"] == 0 and explained
    tally.saw("conservation per pool", holds, f"{context}: {dict(row)} pool {pool}")
    off = {name: count for name, count in row.items() if name not in ("statements", "gross") and count}
    tally.saw("conservation per hospital", row["statements"] > 0 and not off, f"{context}: {off}")
    astray = seen["missing"] + seen["strangers"] + seen["unnamed"]
    tally.saw(
        "each list in the run once or a named exclusion", seen["due"] > 0 and not astray, f"{context}: {dict(seen)}"
    )
    tally.saw("one job for the run", jobs == 1, f"{context}: {jobs}")


def _key(global_id: str) -> str:
    """The key inside an id of the API."""
    padded = global_id + "=" * (-len(global_id) % 4)
    return base64.urlsafe_b64decode(padded).decode().partition(":")[2]
